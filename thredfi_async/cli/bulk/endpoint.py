"""Where a run sends to, and the question before a run on a host where customers may be real."""

import enum
import sys
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import typer

from thredfi_async import Environment
from thredfi_async._checks.text import printable
from thredfi_async._checks.urls import is_loopback
from thredfi_async.cli.bulk.preflight_errors import preflight_error


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


def confirm(target: Endpoint, customers: str, *, yes: bool, stdin_is_taken: bool, json: bool) -> None:
    """Ask whether to go on, unless nothing real is at stake or the answer was given before.

    Args:
        target: Where the run sends to.
        customers: How many customers it is about, in words.
        yes: Whether `--yes` was given.
        stdin_is_taken: Whether stdin is the source, so that no answer can come from there.
        json: Whether a machine started it, which answers no questions.

    Raises:
        ReportedError: No one can be asked, or the answer was no; nothing was sent.
    """
    if yes or not target.needs_confirmation:
        return
    if json or stdin_is_taken or not somebody_is_there():
        advice = "look at what it would do with --dry-run, then add --yes"
        raise preflight_error(
            f"This needs a yes, and there is no one to ask: it would archive at {target}.", advice=advice
        )
    if not typer.confirm(printable(f"Archive {customers} at {target}?"), err=True):
        raise preflight_error("The answer was no, so nothing was sent.")


def somebody_is_there() -> bool:
    """Return whether a question can be asked and answered on a terminal."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))
