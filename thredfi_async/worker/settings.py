"""The broker's address and credentials; secrets come from the environment or from a file, never from argv."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

import attrs

from thredfi_async import ConfigurationError
from thredfi_async._checks.urls import is_loopback
from thredfi_async.worker import credentials

_SCHEMES: Final = frozenset({"nats", "tls", "ws", "wss"})
_ENCRYPTED: Final = frozenset({"tls", "wss"})
_VARIABLES: Final = {
    "url": "THREDFI_NATS_URL",
    "credentials_file": "THREDFI_NATS_CREDS",
    "nkey_file": "THREDFI_NATS_NKEY",
    "token": "THREDFI_NATS_TOKEN",
    "user": "THREDFI_NATS_USER",
    "password": "THREDFI_NATS_PASSWORD",
    "ca_file": "THREDFI_NATS_CA",
    "certificate_file": "THREDFI_NATS_CERT",
    "key_file": "THREDFI_NATS_KEY",
    "tls_handshake_first": "THREDFI_NATS_TLS_FIRST",
}
_YES: Final = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def _path(value: Path | str | None) -> Path | None:
    return None if value is None else Path(value)


@attrs.frozen(kw_only=True)
class NatsSettings:
    """Address and credentials of NATS.

    With `tls://` and `wss://`, nothing of the credentials is sent before TLS is up, whatever the server says. Files are
    read for each connection, so that renewed ones are used without a restart.

    Args:
        url: One URL, or several of the same kind separated by commas, such as `tls://host:4222`.
        credentials_file: A `.creds` file with a user's JWT and seed.
        nkey_file: A file with a user's nkey seed.
        token: A token, hidden in `repr`, as are the next two.
        user: A user's name.
        password: The user's password.
        ca_file: The CA that signed the servers' certificates, as PEM; the system's by default.
        certificate_file: A client certificate with its chain, as PEM.
        key_file: Its private key, as PEM without a passphrase; by default it is in `certificate_file`.
        tls_handshake_first: Whether the server expects TLS before its first line (`handshake_first`); no by default.
        allow_plaintext: Whether a password or token may be sent without TLS to another machine; no by default.

    Raises:
        ConfigurationError: A URL is invalid, settings contradict each other, or a secret would be sent in clear.
    """

    url: str = attrs.field(default="nats://127.0.0.1:4222", repr=False)
    credentials_file: Path | None = attrs.field(default=None, converter=_path)
    nkey_file: Path | None = attrs.field(default=None, converter=_path)
    token: str | None = attrs.field(default=None, repr=False)
    user: str | None = attrs.field(default=None, repr=False)
    password: str | None = attrs.field(default=None, repr=False)
    ca_file: Path | None = attrs.field(default=None, converter=_path)
    certificate_file: Path | None = attrs.field(default=None, converter=_path)
    key_file: Path | None = attrs.field(default=None, converter=_path)
    tls_handshake_first: bool = False
    allow_plaintext: bool = False

    def __attrs_post_init__(self) -> None:
        """Check everything before connecting."""
        for url in self.servers:
            _check_url(url)
        schemes = sorted({urlsplit(url).scheme for url in self.servers})
        if len(schemes) > 1:
            found = " and ".join(f"{scheme}://" for scheme in schemes)
            raise ConfigurationError(f"the URLs of NATS must all begin alike, not with {found}: use one for all")
        self._check_credentials()
        self._check_tls()

    @property
    def servers(self) -> list[str]:
        """The URLs, one by one."""
        return [url.strip() for url in self.url.split(",")]

    @property
    def scheme(self) -> str:
        """The scheme of all URLs."""
        return urlsplit(self.servers[0]).scheme

    @property
    def is_encrypted(self) -> bool:
        """Whether the URLs ask for TLS."""
        return self.scheme in _ENCRYPTED

    @property
    def shown(self) -> str:
        """The servers' addresses without anything secret."""
        parts = (urlsplit(url) for url in self.servers)
        return ", ".join(f"{part.scheme}://{part.netloc.rpartition('@')[2]}" for part in parts)

    def hosts(self) -> list[tuple[str, str]]:
        """Return each URL with its host."""
        return [(url, urlsplit(url).hostname or "") for url in self.servers]

    def connect_options(self) -> dict[str, Any]:
        """Return nats-py's options for these credentials and for TLS.

        Raises:
            ConfigurationError: A file cannot be read, or does not hold what it should.
        """
        options: dict[str, Any] = {"token": self.token, "user": self.user, "password": self.password}
        if self.credentials_file is not None:
            options["user_credentials"] = credentials.read_creds(self.credentials_file)
        if self.nkey_file is not None:
            options["nkeys_seed_str"] = credentials.read_seed(self.nkey_file)
        if self.is_encrypted:
            options["tls"] = credentials.tls_context(self.ca_file, self.certificate_file, self.key_file)
            options["tls_handshake_first"] = self.tls_handshake_first
        return {name: value for name, value in options.items() if value is not None}

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, *, url: str | None = None, **given: Any) -> Self:  # noqa: ANN401 - as the class
        """Read what is not given from environment variables.

        `THREDFI_NATS_URL` is the address. `THREDFI_NATS_CREDS` or `THREDFI_NATS_NKEY` (files), `THREDFI_NATS_TOKEN`, or
        `THREDFI_NATS_USER` and `THREDFI_NATS_PASSWORD`, are the credentials. `THREDFI_NATS_CA`, `THREDFI_NATS_CERT` and
        `THREDFI_NATS_KEY` are files for TLS, and `THREDFI_NATS_TLS_FIRST` is 1 or 0. An empty variable counts as unset.

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
        found: dict[str, Any] = {name: environ[key] for name, key in _VARIABLES.items() if environ.get(key)}
        first = found.get("tls_handshake_first")
        if first is not None:
            if first.lower() not in _YES:
                raise ConfigurationError("THREDFI_NATS_TLS_FIRST must be 1 or 0")
            found["tls_handshake_first"] = _YES[first.lower()]
        return cls(**found | given)

    def _check_credentials(self) -> None:
        ways = {
            "a credentials file": self.credentials_file,
            "an nkey file": self.nkey_file,
            "a token": self.token,
            "a user": self.user,
        }
        given = [name for name, value in ways.items() if value is not None]
        if len(given) > 1:
            raise ConfigurationError(f"NATS: give {' or '.join(given)}, not {'both' if len(given) == 2 else 'all'}")  # noqa: PLR2004 - a pair
        if (self.user is None) != (self.password is None):
            raise ConfigurationError("NATS: a user and a password belong together: set both, or neither")

    def _check_tls(self) -> None:
        if self.certificate_file is None and self.key_file is not None:
            raise ConfigurationError("NATS: a private key needs its client certificate: set both, or neither")
        if not self.is_encrypted:
            if self.ca_file or self.certificate_file or self.tls_handshake_first:
                raise ConfigurationError("NATS: settings for TLS need a URL that asks for it, like tls://host:4222")
            self._check_plaintext()
        elif self.tls_handshake_first and self.scheme != "tls":
            raise ConfigurationError("NATS: with wss:// the TLS handshake always comes first: leave the setting out")

    def is_plain_secret_for(self, host: str, *, in_url: bool = False) -> bool:
        """Return whether a login there would send a password or token in clear, and nothing allows it.

        Args:
            host: The server's host.
            in_url: Whether the server's URL holds a password; no by default.
        """
        has_secret = self.token is not None or self.password is not None or in_url
        return has_secret and not self.is_encrypted and not self.allow_plaintext and not is_loopback(host)

    def _check_plaintext(self) -> None:
        for url in self.servers:
            parts = urlsplit(url)
            if self.is_plain_secret_for(parts.hostname or "", in_url=parts.username is not None):
                what = "token" if self.token is not None else "password"
                tls = {"nats": "tls", "ws": "wss"}[parts.scheme]
                raise ConfigurationError(
                    f"the {what} for NATS would go to {parts.hostname} in clear: use {tls}://, or --allow-plaintext "
                    "(in Python, allow_plaintext=True) where the network itself is encrypted"
                )


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        # Not quoted: it may hold a password.
        raise ConfigurationError("the URL of NATS must be like nats://host:4222, or several separated by commas")
