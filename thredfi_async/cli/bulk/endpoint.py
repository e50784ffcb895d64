"""Where a run sends to, and whether it has to ask first."""

import enum
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from thredfi_async import Environment
from thredfi_async._checks.urls import is_loopback


class Kind(enum.Enum):
    """What kind of host it is."""

    PRODUCTION = "production"
    SANDBOX = "sandbox"
    LOOPBACK = "this machine"
    OTHER = "another host"


_ENVIRONMENTS: Final = {Environment.PRODUCTION: Kind.PRODUCTION, Environment.SANDBOX: Kind.SANDBOX}
_NAMES: Final = {
    Kind.PRODUCTION: "PRODUCTION, {host}",
    Kind.SANDBOX: "the sandbox, {host}",
    Kind.LOOPBACK: "{host}, on this machine",
    Kind.OTHER: "{host}, which is neither the sandbox nor this machine",
}


@dataclass(frozen=True)
class Endpoint:
    """Where a run sends to.

    Args:
        base_url: As the client has it.
    """

    base_url: str

    @property
    def host(self) -> str:
        """The host, with its port if that is not the usual one, as a journal keeps it."""
        return urlsplit(self.base_url).netloc.lower()

    @property
    def kind(self) -> Kind:
        """What kind of host it is."""
        for environment, kind in _ENVIRONMENTS.items():
            if self.host == urlsplit(environment.value).netloc:
                return kind
        return Kind.LOOPBACK if is_loopback(urlsplit(self.base_url).hostname or "") else Kind.OTHER

    @property
    def needs_confirmation(self) -> bool:
        """Whether customers there may be real, as far as the address tells."""
        return self.kind in {Kind.PRODUCTION, Kind.OTHER}

    def __str__(self) -> str:
        """Return its name for people."""
        return _NAMES[self.kind].format(host=self.host)
