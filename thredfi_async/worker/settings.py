"""The broker's address and credentials; secrets come from the environment or from a file, never from argv."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

import attrs

from thredfi_async import ConfigurationError

_SCHEMES: Final = frozenset({"nats", "tls", "ws", "wss"})
_VARIABLES: Final = {
    "url": "THREDFI_NATS_URL",
    "credentials_file": "THREDFI_NATS_CREDS",
    "token": "THREDFI_NATS_TOKEN",
    "user": "THREDFI_NATS_USER",
    "password": "THREDFI_NATS_PASSWORD",
}


def _path(value: Path | str | None) -> Path | None:
    return None if value is None else Path(value)


@attrs.frozen(kw_only=True)
class NatsSettings:
    """Address and credentials of NATS.

    Args:
        url: One URL, or several separated by commas, such as `nats://host:4222` or `tls://host:4222`.
        credentials_file: A `.creds` file with a user's JWT and seed; needs the package `nkeys`.
        token: A token, hidden in `repr`, as are the next two.
        user: A user's name.
        password: The user's password.

    Raises:
        ConfigurationError: A URL is invalid, or more than one kind of credentials is given.
    """

    url: str = attrs.field(default="nats://127.0.0.1:4222", repr=False)
    credentials_file: Path | None = attrs.field(default=None, converter=_path)
    token: str | None = attrs.field(default=None, repr=False)
    user: str | None = attrs.field(default=None, repr=False)
    password: str | None = attrs.field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        """Check everything before connecting."""
        for url in self.servers:
            _check_url(url)
        ways = {"a credentials file": self.credentials_file, "a token": self.token, "a user": self.user}
        given = [name for name, value in ways.items() if value is not None]
        if len(given) > 1:
            raise ConfigurationError(f"NATS: give {' or '.join(given)}, not {'both' if len(given) == 2 else 'all'}")  # noqa: PLR2004 - a pair
        if (self.user is None) != (self.password is None):
            raise ConfigurationError("NATS: a user and a password belong together: set both, or neither")

    @property
    def servers(self) -> list[str]:
        """The URLs, one by one."""
        return [url.strip() for url in self.url.split(",")]

    @property
    def shown(self) -> str:
        """The servers' addresses without anything secret."""
        parts = (urlsplit(url) for url in self.servers)
        return ", ".join(f"{part.scheme}://{part.netloc.rpartition('@')[2]}" for part in parts)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, *, url: str | None = None, **given: Any) -> Self:  # noqa: ANN401 - as the class
        """Read what is not given from environment variables.

        `THREDFI_NATS_URL` is the address; `THREDFI_NATS_CREDS` (a file), `THREDFI_NATS_TOKEN`, or `THREDFI_NATS_USER`
        and `THREDFI_NATS_PASSWORD`, are the credentials. An empty variable counts as unset.

        Args:
            environ: The variables; the process's environment by default.
            url: Instead of `THREDFI_NATS_URL`.
            **given: Instead of the other variables.

        Returns:
            The settings.

        Raises:
            ConfigurationError: As for the class.
        """
        environ = os.environ if environ is None else environ
        given = {name: value for name, value in {"url": url, **given}.items() if value is not None}
        found = {name: environ[variable] for name, variable in _VARIABLES.items() if environ.get(variable)}
        return cls(**found | given)


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        # Not quoted: it may hold a password.
        raise ConfigurationError("the URL of NATS must be like nats://host:4222, or several separated by commas")
