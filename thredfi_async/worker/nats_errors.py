"""What nats-py raises, in words."""

import os
import ssl
from typing import Final

import aiohttp
import nats.errors
from nats.js.errors import APIError, ServiceUnavailableError

from thredfi_async._checks.text import printable

TROUBLE: Final = (nats.errors.Error, aiohttp.ClientError, OSError, TimeoutError)
"""What nats-py raises when the broker is unavailable or refuses a request."""

_NO_JETSTREAM: Final = (
    "there is no JetStream: start nats-server with -js, and enable JetStream for the account of this login"
)
_LONGEST: Final = 300
_PREFIX: Final = "nats: "
_DISABLED: Final = frozenset({10039, 10076})
"""JetStream's own codes: not enabled for the account, not enabled."""
_TLS: Final = {
    "WRONG_VERSION_NUMBER": "the server does not speak TLS on this port",
    "RECORD_LAYER_FAILURE": "the server does not speak TLS on this port",
    "CERTIFICATE_REQUIRED": "the server wants a client certificate, which THREDFI_NATS_CERT names",
    "HANDSHAKE_FAILURE": "the server refused the TLS handshake; it may want another client certificate",
    "BAD_CERTIFICATE": "the server wants another client certificate; THREDFI_NATS_CERT names it",
    "UNKNOWN_CA": "the server does not trust the client certificate's CA",
}


def words(error: Exception) -> str:
    """Return a short description of an error of nats-py, without any payload, in characters that can be shown.

    Much of it is what a server said, which may be anything.
    """
    return printable(_described(error)[:_LONGEST])


def _described(error: Exception) -> str:
    match error:
        case APIError():
            return _of_jetstream(error)
        # What aiohttp raises for a connection by WebSocket is of the system's types, without what these have.
        case (
            aiohttp.ClientConnectorCertificateError(certificate_error=Exception() as cause)
            | aiohttp.ClientConnectorError(os_error=OSError() as cause)
        ):
            return _described(cause)
        case aiohttp.ClientResponseError():
            return "the server does not speak WebSocket on this port"
        case ImportError(name=str(name)):
            return f"the package {name} is not installed: pip install 'thredfi-async[worker]'"
        case OSError():
            return _of_system(error)
        case _:
            return str(error).removeprefix(_PREFIX).strip("'") or type(error).__name__


def _of_jetstream(error: APIError) -> str:
    is_missing = isinstance(error, ServiceUnavailableError) and error.description is None
    if is_missing or error.err_code in _DISABLED:
        return _NO_JETSTREAM
    return error.description or f"the broker answers {error.code}"


def _of_system(error: OSError) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            flaw = error.verify_message.rstrip(".")
            return f"the server's certificate is not trusted: {flaw}; THREDFI_NATS_CA names the CA that signed it"
        case ssl.SSLError():
            # Its number is OpenSSL's and no errno: 1 would be "Operation not permitted".
            reason = str(error.reason or "")
            known = (text for name, text in _TLS.items() if reason.endswith(name))
            return next(known, f"TLS failed: {reason.replace('_', ' ').lower() or 'the connection ended'}")
        case TimeoutError():
            return "no answer in time"
        case OSError(errno=int(number)) if number > 0:
            # asyncio replaces the system's description with a sentence that holds the address.
            return os.strerror(number)
        case _:
            # A name that cannot be looked up has a number of its own, which says nothing.
            return error.strerror or str(error).removeprefix(_PREFIX) or type(error).__name__
