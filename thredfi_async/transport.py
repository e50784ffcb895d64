"""The only module that talks to aiohttp's client: one session, its timeouts, and what its exceptions mean."""

import asyncio
import os
import ssl
import zlib
from collections.abc import Callable, Mapping
from errno import ECONNABORTED, ECONNRESET, EPIPE
from typing import Any, Final, Self, TypeVar

import aiohttp
import attrs
from aiohttp.abc import AbstractStreamWriter
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from yarl import URL

from thredfi_async._ports import Progress, Request, Response
from thredfi_async._version import __version__
from thredfi_async.errors import (
    TRANSIENT_STATUSES,
    ClientStateError,
    ConfigurationError,
    ConnectError,
    ConnectionLostError,
    RequestTimeoutError,
    TransportError,
)
from thredfi_async.settings import Timeouts

T = TypeVar("T")

Ssl = ssl.SSLContext | aiohttp.Fingerprint | bool


@attrs.frozen(kw_only=True)
class TransportOptions:
    """How to reach the server.

    Args:
        timeouts: The bounds that hold unless a call brings its own.
        max_connections: Connections at most.
        max_body_bytes: Bytes of an answer's body at most, counted after decompression.
        proxy: URL of an HTTP proxy; hidden in `repr`, since it may hold a password.
        ssl: What aiohttp's connector takes as `ssl`.
        session: A session of the caller's own; it is used as it is, and never closed.
    """

    timeouts: Timeouts
    max_connections: int
    max_body_bytes: int
    proxy: str | None = attrs.field(default=None, repr=False)
    ssl: Ssl = True
    session: aiohttp.ClientSession | None = None


class AiohttpTransport:
    """Sends single requests over aiohttp.

    Args:
        options: How to reach the server.

    Raises:
        ConfigurationError: The session that was given would send credentials of its own.
    """

    def __init__(self, options: TransportOptions) -> None:
        """Keep the options; the session is made on first use, inside the event loop."""
        self._options = options
        self._session = options.session
        if options.session is not None and options.session.auth is not None:
            msg = "session must not have auth of its own: it would collide with the client's Authorization header"
            raise ConfigurationError(msg)
        if options.session is not None and options.ssl is not True:
            raise ConfigurationError("ssl belongs to the connector of the session that is given, not to the client")
        self._own_timeout = self._timeout(options.timeouts)

    async def send(
        self, request: Request[T], headers: Mapping[str, str], timeouts: Timeouts, progress: Progress
    ) -> Response:
        """Send one request once and read its whole answer, up to the bound.

        Args:
            request: What to send.
            headers: Headers besides the request's own.
            timeouts: `connect` and `read` apply here.
            progress: Its `sent` becomes true when the first byte may be about to be written.

        Returns:
            The answer, whatever its status.

        Raises:
            TransportError: There was no whole answer.
            ClientStateError: The session that was given to the client is closed.
        """
        session = self._session or self._open()
        if session.closed:
            raise ClientStateError("the session that this client was given is closed")
        # A body says itself when it starts to leave; without one, nobody can tell.
        progress.sent = request.body is None
        try:
            async with session.request(
                request.method,
                URL(request.url, encoded=True),
                headers={**_HEADERS, **request.headers, **headers},
                data=None if request.body is None else _Body(request.body, progress),
                timeout=self._own_timeout if timeouts is self._options.timeouts else self._timeout(timeouts),
                # A followed redirect would turn the POST into a GET, or take our headers to a stranger.
                allow_redirects=False,
                raise_for_status=False,
                proxy=self._options.proxy,
            ) as response:
                return await self._read(response, session)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not session.closed or (task is not None and task.cancelling()):
                raise
            # Nobody cancelled this call: a session that its owner closes cancels whoever waits in its pool.
            failure = translate(aiohttp.ServerDisconnectedError(), sent=progress.sent)
        except Exception as error:  # noqa: BLE001 - a resolver's UnicodeError, or whatever a session's own hooks raise
            failure = translate(error, sent=None if request.body is None else progress.sent)
        # Raised out here, so that aiohttp's exception, which holds the request's headers, is not even its context.
        raise failure

    async def aclose(self) -> None:
        """Close the session, if it is the client's own."""
        if self._session is not None and self._session is not self._options.session:
            await self._session.close()

    def _timeout(self, timeouts: Timeouts) -> aiohttp.ClientTimeout:
        # `total` and `connect` run while a request waits for a pooled connection (aio-libs/aiohttp#10313). In a pool
        # of our own none ever waits, and there `connect` is what bounds the look-up of the host's name.
        connect = timeouts.connect if self._options.session is None else None
        return aiohttp.ClientTimeout(
            total=None, connect=connect, sock_connect=timeouts.connect, sock_read=timeouts.read
        )

    def _open(self) -> aiohttp.ClientSession:
        options = self._options
        # One connection more than calls can have: a token is fetched while they all wait for it.
        connector = _Connector(limit=options.max_connections + 1, ssl=options.ssl)
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        return self._session

    async def _read(self, response: aiohttp.ClientResponse, session: aiohttp.ClientSession) -> Response:
        if response.status < _FINAL:
            # A 101 that nobody asked for is no answer to the request, and says nothing about it.
            raise aiohttp.ServerDisconnectedError
        bound = self._options.max_body_bytes
        body, flaw = bytearray(), None
        while chunk := await response.content.readany():
            body += chunk
            if len(body) > bound:
                # What is left unread costs the connection, which leaving the context closes.
                flaw = f"is longer than max_body_bytes ({bound})"
                break
        content, encoding = bytes(body[:bound]), response.headers.get("Content-Encoding", "").strip().lower()
        if encoding in _GZIP and not session.auto_decompress and flaw is None:
            content, flaw = _gunzip(content, bound)
        # An encoding that was not asked for stays as it came: whoever reads it will find that it is not JSON.
        return Response(response.status, response.headers, content, flaw)


class _Connector(aiohttp.TCPConnector):
    """Lends no connection on which something came that nobody asked for (aio-libs/aiohttp#13656).

    The next request would take it for its own answer, and a stray 404 would say of a customer that nothing was done.
    """

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        if connection.protocol is None or connection.protocol.should_close:
            connection.close()
            raise aiohttp.ServerDisconnectedError
        return connection


class _Body(aiohttp.Payload):
    """A body that says when it is about to be written: until then, nothing of the request has left.

    aiohttp sends the head together with the body's first bytes, so that this is the first write of all.
    """

    def __init__(self, body: bytes, progress: Progress) -> None:
        super().__init__(body)
        self._size = len(body)
        self._progress = progress

    def __deepcopy__(self, memo: object) -> Self:
        # aioresponses copies what a request was made of: through the progress it would come to the event loop.
        return self

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return bytes(self._value).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        self._progress.sent = True
        await writer.write(self._value)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        del content_length
        await self.write(writer)


def _gunzip(body: bytes, bound: int) -> tuple[bytes, str | None]:
    # aiohttp's own decompression knows no bound in time: a small body may become gigabytes in one step.
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain = stream.decompress(body, bound + 1)
    except zlib.error:
        return b"", "is not the gzip that it is said to be"
    if len(plain) > bound:
        return plain[:bound], f"is longer than max_body_bytes ({bound})"
    return plain, None if stream.eof else "is cut short"


def _refused(error: BaseException) -> TransportError:
    return ConnectError(f"no connection: {_reason(error)}")


def _untrusted(error: BaseException) -> TransportError:
    return ConnectError(f"no connection that can be trusted: {_reason(error)}", transient=False)


def _by_proxy(error: BaseException) -> TransportError:
    status = error.status if isinstance(error, aiohttp.ClientResponseError) else 0
    return ConnectError(f"no connection: the proxy answered {status}", transient=status in TRANSIENT_STATUSES)


def _connect_timeout(error: BaseException) -> TransportError:
    del error
    return RequestTimeoutError("no connection within Timeouts.connect; nothing was sent", phase="connect")


def _read_timeout(error: BaseException) -> TransportError:
    del error
    return RequestTimeoutError("silence for longer than Timeouts.read while the answer was awaited", phase="read")


def _lost(error: BaseException) -> TransportError:
    return ConnectionLostError(f"the connection was lost, or its answer was cut short or no HTTP: {_reason(error)}")


def _unexpected(error: BaseException) -> TransportError:
    return ConnectError(f"nothing was sent: {type(error).__name__}", transient=False)


def _reason(error: BaseException) -> str:
    # Never str(error), nor a strerror of aiohttp's own making: some quote the URL or the answer, and a proxy's URL may
    # hold a password.
    reason = getattr(error, "os_error", None)
    number: int = getattr(error, "errno", None) or 0
    words = reason.strerror if isinstance(reason, OSError) else os.strerror(number) if number in _BROKEN else None
    return f"{type(error).__name__}, {words}" if words else type(error).__name__


# Looked through from the top: several of these are subclasses of others further down, and some of OSError too.
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
    # aiohttp raises a ClientResponseError(status=400) of its own making for what is no HTTP: the status is no answer.
    (aiohttp.ClientError, _lost),
    (OSError, _lost),
    # Not aiohttp's: of the resolver, or of what was built into a session that the client was given.
    (Exception, _unexpected),
)
_BEFORE_SENDING: Final[Mapping[Any, Callable[[BaseException], TransportError]]] = {
    _read_timeout: _connect_timeout,
    _lost: _refused,
}
_AFTER_SENDING: Final = frozenset({_lost, _read_timeout})


def translate(error: BaseException, *, sent: bool | None) -> TransportError:
    """Say what an exception of aiohttp means: the only place that knows them.

    Args:
        error: The exception.
        sent: Whether the request, or a part of it, may have left; None where only the exception tells.

    Returns:
        The error to raise in its place, holding nothing of it but names.
    """
    meaning = next(make for kind, make in EXCEPTIONS if isinstance(error, kind))
    if sent is False:
        meaning = _BEFORE_SENDING.get(meaning, meaning)
    elif sent and meaning not in _AFTER_SENDING:
        # Sent, and a second try that a session's own middleware made found no connection.
        meaning = _lost
    return meaning(error)


_FINAL: Final = 200
_BROKEN: Final = (ECONNABORTED, ECONNRESET, EPIPE)
_GZIP: Final = frozenset({"gzip", "x-gzip"})
_HEADERS: Final[Mapping[str, str]] = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip",
    "User-Agent": f"thredfi-async/{__version__}",
}
