"""Translates aiohttp's exceptions into ours, with one table."""

import os
import ssl
from collections.abc import Callable, Mapping
from errno import ECONNABORTED, ECONNRESET, EPIPE
from typing import Any, Final

import aiohttp

from thredfi_async._http_statuses import TRANSIENT
from thredfi_async.errors import (
    ConnectError,
    ConnectionLostError,
    RequestTimeoutError,
    TransportError,
)

_BROKEN: Final = (ECONNABORTED, ECONNRESET, EPIPE)


def _refused(error: BaseException) -> TransportError:
    return ConnectError(f"no connection: {_reason(error)}")


def _untrusted(error: BaseException) -> TransportError:
    return ConnectError(f"no trusted connection: {_reason(error)}", transient=False)


def _by_proxy(error: BaseException) -> TransportError:
    status = error.status if isinstance(error, aiohttp.ClientResponseError) else 0
    return ConnectError(f"no connection: the proxy answered {status}", transient=status in TRANSIENT)


def _connect_timeout(error: BaseException) -> TransportError:
    del error
    return RequestTimeoutError("no connection within Timeouts.connect; nothing was sent", phase="connect")


def _read_timeout(error: BaseException) -> TransportError:
    del error
    return RequestTimeoutError("no data for longer than Timeouts.read while waiting for the answer", phase="read")


def _lost(error: BaseException) -> TransportError:
    return ConnectionLostError(f"the connection was lost, or the answer was cut short or not HTTP: {_reason(error)}")


def _unexpected(error: BaseException) -> TransportError:
    return ConnectError(f"nothing was sent: {type(error).__name__}", transient=False)


# What the other side, or our own TLS, says of a handshake that will never succeed; the ends of OpenSSL's names.
_WANTS_CERTIFICATE: Final = (
    "ALERT_CERTIFICATE_REQUIRED",
    "ALERT_BAD_CERTIFICATE",
    "ALERT_UNKNOWN_CA",
    "ALERT_CERTIFICATE_EXPIRED",
    "ALERT_CERTIFICATE_REVOKED",
    "ALERT_CERTIFICATE_UNKNOWN",
    "ALERT_UNSUPPORTED_CERTIFICATE",
    "ALERT_ACCESS_DENIED",
)
_NO_HANDSHAKE: Final[tuple[tuple[tuple[str, ...], str], ...]] = (
    (_WANTS_CERTIFICATE, "the server wants a client certificate, or another one"),
    (
        ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"),
        "the server does not speak TLS on this port: check base_url",
    ),
    (
        ("ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS_AVAILABLE", "VERSION_TOO_LOW"),
        "there is no TLS version that both sides accept",
    ),
    (
        ("ALERT_HANDSHAKE_FAILURE", "NO_SHARED_CIPHER", "NO_CIPHERS_AVAILABLE", "ALERT_INSUFFICIENT_SECURITY"),
        "the server refused the TLS handshake: no common cipher, or it wants a client certificate",
    ),
)


def _handshake_refused(error: BaseException, *, sent: bool | None) -> TransportError | None:
    """Return the error for a TLS handshake that will fail again; None for anything else.

    In TLS 1.3 the server looks at the client's certificate after the client may have sent a request: what it refuses
    then, it has not read.
    """
    # Without a body we cannot tell what was sent: a record that is broken later may be whole the next time.
    is_connecting = sent is False or isinstance(error, aiohttp.ClientConnectorError)
    for each in (error, getattr(error, "os_error", None), error.__cause__, getattr(error.__cause__, "__cause__", None)):
        # Some of aiohttp's exceptions are SSLErrors too, but have no reason.
        reason = (getattr(each, "reason", None) if isinstance(each, ssl.SSLError) else None) or ""
        for ends, words in _NO_HANDSHAKE:
            if reason.endswith(ends) and (is_connecting or ends is _WANTS_CERTIFICATE):
                return ConnectError(f"no connection: {words}", transient=False)
    return None


def _reason(error: BaseException) -> str:
    # Never str(error), nor a strerror that aiohttp wrote: some quote the URL or the answer, and a proxy's URL may
    # contain a password.
    reason = getattr(error, "os_error", None)
    number: int = getattr(error, "errno", None) or 0
    words = reason.strerror if isinstance(reason, OSError) else os.strerror(number) if number in _BROKEN else None
    return f"{type(error).__name__}, {words}" if words else type(error).__name__


# Searched from the top: several of these are subclasses of others further down, and some of OSError too.
EXCEPTIONS: Final[tuple[tuple[type[BaseException], Callable[[BaseException], TransportError]], ...]] = (
    (aiohttp.ClientConnectorCertificateError, _untrusted),
    (aiohttp.ServerFingerprintMismatch, _untrusted),
    (aiohttp.InvalidURL, _untrusted),
    (aiohttp.NonHttpUrlClientError, _untrusted),
    (aiohttp.ClientHttpProxyError, _by_proxy),
    (aiohttp.ClientConnectorError, _refused),
    (aiohttp.ConnectionTimeoutError, _connect_timeout),
    (aiohttp.ServerTimeoutError, _read_timeout),
    (TimeoutError, _read_timeout),
    # aiohttp raises a ClientResponseError(status=400) for data that is not HTTP: the status is not the server's.
    (aiohttp.ClientError, _lost),
    (OSError, _lost),
    # Not aiohttp's: raised by the resolver, or by extensions of the caller's own session.
    (Exception, _unexpected),
)
_BEFORE_SENDING: Final[Mapping[Any, Callable[[BaseException], TransportError]]] = {
    _read_timeout: _connect_timeout,
    _lost: _refused,
}
_AFTER_SENDING: Final = frozenset({_lost, _read_timeout})


def translate(error: BaseException, *, sent: bool | None) -> TransportError:
    """Return our error for an exception of aiohttp.

    Args:
        error: The exception.
        sent: Whether any of the request may have left; None if only the exception can tell.

    Returns:
        The error to raise instead; it keeps only the names of the exception.
    """
    refused = _handshake_refused(error, sent=sent)
    if refused is not None:
        return refused
    meaning = next(make for kind, make in EXCEPTIONS if isinstance(error, kind))
    if sent is False:
        meaning = _BEFORE_SENDING.get(meaning, meaning)
    elif sent and meaning not in _AFTER_SENDING:
        # Sent, and then a retry by the session's own middleware found no connection.
        meaning = _lost
    return meaning(error)
