"""Reads the files that a login at NATS needs, and says what is wrong with one before it is used."""

import re
import ssl
from pathlib import Path
from typing import Any, Final

from thredfi_async import ConfigurationError
from thredfi_async._interfaces import Hidden

_JWT: Final = re.compile(r"-BEGIN NATS USER JWT-+\s+([\w.=-]+)\s", re.ASCII)
_SEED: Final = re.compile(r"-BEGIN USER NKEY SEED-+\s+(S[A-Z2-7]+)\s", re.ASCII)
_LARGEST: Final = 1_000_000


def read_creds(path: Path) -> object:
    """Return what nats-py takes for the content of a `.creds` file.

    nats-py reads a file without a JWT for ever.

    Raises:
        ConfigurationError: The file cannot be read, or is no `.creds` file.
    """
    from nats.aio.client import RawCredentials  # noqa: PLC0415 - settings are checked without nats-py

    text = _text(path)
    jwt, seed = _found(_JWT, text), _found(_SEED, text)
    if jwt is None or seed is None:
        raise ConfigurationError(f"{path} is no .creds file: it must hold a user's JWT and nkey seed")
    _check_seed(seed, path)
    return RawCredentials(
        f"-----BEGIN NATS USER JWT-----\n{jwt.reveal()}\n------END NATS USER JWT------\n"
        f"-----BEGIN USER NKEY SEED-----\n{seed.reveal()}\n------END USER NKEY SEED------\n"
    )


def read_seed(path: Path) -> str:
    """Return the nkey seed that a file holds.

    Raises:
        ConfigurationError: The file cannot be read, or holds no seed.
    """
    seed = Hidden(_text(path).reveal().strip())
    _check_seed(seed, path)
    return seed.reveal()


def tls_context(ca_file: Path | None, certificate_file: Path | None, key_file: Path | None) -> ssl.SSLContext:
    """Return a context that checks the server's certificate and shows a client certificate, if there is one.

    Args:
        ca_file: The CA; the system's if None.
        certificate_file: The client certificate.
        key_file: Its key, if it is not in the same file.

    Raises:
        ConfigurationError: A file cannot be read, or does not hold what it should.
    """
    for path in (ca_file, certificate_file, key_file):
        if path is not None:
            _check_kind(path)
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ConfigurationError(_cannot_use(ca_file, error, "a CA's certificate as PEM")) from None
    if certificate_file is not None:
        try:
            context.load_cert_chain(certificate_file, key_file, password=lambda: "")
        except OSError as error:
            what = "a certificate and its private key as PEM, without a passphrase"
            files = f"{certificate_file}{'' if key_file is None else f' and {key_file}'}"
            raise ConfigurationError(_cannot_use(files, error, what)) from None
    return context


def _found(pattern: re.Pattern[str], text: Hidden[str]) -> Hidden[str] | None:
    for match in pattern.finditer(text.reveal()):
        return Hidden(match[1])
    return None


def _cannot_use(name: object, error: OSError, what: str) -> str:
    if isinstance(error, ssl.SSLError):  # also an OSError, but its number is OpenSSL's
        return f"{name} must hold {what}"
    return f"cannot read {name}: {error.strerror or type(error).__name__}"


def _check_kind(path: Path) -> None:
    """Refuse what would keep its reader waiting, and could not be read again for the next connection."""
    if path.is_fifo() or path.is_char_device() or path.is_socket():
        raise ConfigurationError(f"{path} is a pipe or a device: name a file, which is read again for each connection")


def _text(path: Path) -> Hidden[str]:
    _check_kind(path)
    try:
        with path.open("rb") as file:
            return Hidden(file.read(_LARGEST).decode("utf-8", "replace") + "\n")
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror or type(error).__name__}") from None


def _check_seed(seed: Hidden[str], path: Path) -> None:
    try:
        import nkeys  # noqa: PLC0415 # pyright: ignore[reportMissingTypeStubs] - only for such credentials
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"{error.name} is not installed: pip install 'thredfi-async[worker]'") from None
    untyped: Any = nkeys
    try:
        pair = untyped.from_seed(bytearray(seed.reveal().encode()))
        good = bool(pair.public_key.startswith(b"U"))
        pair.wipe()
    except Exception:  # noqa: BLE001 - nkeys raises whatever the bytes lead to, and may quote them
        good = False
    if not good:
        raise ConfigurationError(f"{path} holds no valid nkey seed of a user, which begins with SU")
