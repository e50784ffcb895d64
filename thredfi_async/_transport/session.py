"""Sends single requests over one session of aiohttp's client."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Self, TypeVar

import aiohttp
import attrs
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter
from multidict import CIMultiDictProxy
from yarl import URL

from thredfi_async._http_statuses import SUCCESS
from thredfi_async._interfaces import Progress, Request, Response, Secret
from thredfi_async._transport.connections import LENT, LONGEST_LINE, MOST_HEADERS, Connector, Protocol
from thredfi_async._transport.direct_post import DirectPost
from thredfi_async._transport.exceptions import translate
from thredfi_async._transport.gzip import gunzip
from thredfi_async._transport.options import TransportOptions
from thredfi_async._transport.redaction import redacted
from thredfi_async._transport.watchers import is_instrumented
from thredfi_async._version import __version__
from thredfi_async.errors import ClientStateError, ConfigurationError
from thredfi_async.settings import Timeouts

T = TypeVar("T")


class AiohttpTransport:
    """Sends single requests over aiohttp.

    Args:
        options: How to reach the server.

    Raises:
        ConfigurationError: The caller's session would send its own credentials, or is given together with `ssl`.
    """

    def __init__(self, options: TransportOptions) -> None:
        """Store the options; the session is created on first use, inside the event loop."""
        self._options = options
        self._session = options.session
        self._direct_post: DirectPost | None = None
        if options.session is not None and options.session.auth is not None:
            msg = "session must not have auth of its own: it would collide with the client's Authorization header"
            raise ConfigurationError(msg)
        if options.session is not None and options.ssl is not True:
            raise ConfigurationError("set ssl on the connector of the session that is given, not on the client")
        self._own_timeout = self._timeout(options.timeouts)
        # Our own session already has them, and merges them faster than we could.
        self._headers = _HEADERS
        if options.app_name is not None:
            self._headers = {**_HEADERS, "User-Agent": f"{_HEADERS['User-Agent']} {options.app_name}"}
        self._constant_headers: Mapping[str, str] = {} if options.session is None else self._headers

    async def send(
        self, request: Request[T], authorization: Secret, timeouts: Timeouts, progress: Progress
    ) -> Response:
        """Send one request once and read its complete answer, up to `max_body_bytes`.

        Args:
            request: What to send.
            authorization: The Authorization header.
            timeouts: `connect` and `read` apply here.
            progress: Has headers of this attempt; its `sent` becomes true when the first byte may be about to be
                written.

        Returns:
            The answer, whatever its status.

        Raises:
            TransportError: No complete answer was received.
            ClientStateError: The session that was given to the client is closed, or belongs to another event loop.
        """
        session = self._session or self._open()
        self._check(session)
        # A body reports when it starts to leave; without one, we cannot tell.
        progress.sent = request.body is None
        timeout = self._own_timeout if timeouts is self._options.timeouts else self._timeout(timeouts)
        try:
            if self._direct_post is not None and self._direct_post.can_send(request):
                answer = await self._direct_post.post(request, authorization, timeout, progress, self._read)
            else:
                request_made = session.request(
                    request.method,
                    URL(request.url, encoded=True),
                    headers={
                        **self._constant_headers,
                        # Of two names that differ in case alone, aiohttp takes the later one.
                        **progress.headers,
                        **request.headers,
                        "Authorization": authorization.reveal(),
                    },
                    data=None if request.body is None else _Body(request.body, progress),
                    timeout=timeout,
                    # Following a redirect would turn the POST into a GET, or send our headers to another host.
                    allow_redirects=False,
                    raise_for_status=False,
                    proxy=self._options.proxy,
                )
                # Leaving the context closes the connection if the answer was not read completely.
                lent_before = LENT.set(None)
                try:
                    async with await request_made as response:
                        lent = LENT.get()
                        retire = _nothing if lent is None else lent.force_close
                        answer = await self._read(response.status, response.headers, response.content, retire)
                finally:
                    LENT.reset(lent_before)
        except asyncio.CancelledError:
            if not _was_closed_meanwhile(session):
                raise
            failure = translate(aiohttp.ServerDisconnectedError(), sent=progress.sent)
        except Exception as error:  # noqa: BLE001 - a resolver's UnicodeError, or anything from a session's own hooks
            failure = translate(error, sent=None if request.body is None else progress.sent)
        else:
            if answer.status in SUCCESS:
                return answer
            return attrs.evolve(answer, body=redacted(answer.body, authorization.reveal()))
        # Raised outside the handler, so that aiohttp's exception, which has the request's headers, is not its context.
        raise failure

    def is_instrumented(self) -> bool:
        """Return whether OpenTelemetry's instrumentation of aiohttp makes a span for each request."""
        return is_instrumented(self._session or self._open())

    def _check(self, session: aiohttp.ClientSession) -> None:
        if session.closed:
            raise ClientStateError("the session that this client was given is closed")
        # aiohttp's public name for it is deprecated.
        if session is self._options.session and vars(session).get("_loop") is not asyncio.get_running_loop():
            raise ClientStateError("the session that this client was given belongs to another event loop")

    async def aclose(self) -> None:
        """Close the session if the client created it."""
        if self._session is not None and self._session is not self._options.session:
            await self._session.close()

    @property
    def is_open(self) -> bool:
        """Whether there is a session that the client has to close."""
        session = self._session
        return session is not None and session is not self._options.session and not session.closed

    def _timeout(self, timeouts: Timeouts) -> aiohttp.ClientTimeout:
        # `total` and `connect` run while a request waits for a pooled connection (aio-libs/aiohttp#10313). In our own
        # pool no request ever waits, and there `connect` bounds the look-up of the host's name.
        connect = timeouts.connect if self._options.session is None else None
        return aiohttp.ClientTimeout(
            total=None, connect=connect, sock_connect=timeouts.connect, sock_read=timeouts.read
        )

    def _open(self) -> aiohttp.ClientSession:
        options = self._options
        # One connection more than calls can use, for fetching a token while they all wait for it.
        connector = Connector(options.max_connections + 1, options.ssl, options.max_connection_age, options.now)
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers=self._headers,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
            max_headers=MOST_HEADERS,
        )
        # It would send a GET once more by itself, unseen, whatever our own retries decide.
        self._session._retry_connection = False  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - it has no public name
        if options.proxy is None:
            self._direct_post = DirectPost.over(self._session, connector, self._headers)
        return self._session

    async def _read(
        self,
        status: int,
        headers: CIMultiDictProxy[str],
        stream: aiohttp.StreamReader,
        retire: Callable[[], None],
    ) -> Response:
        if status < SUCCESS.start:
            # An unrequested 101 is not an answer to the request, and tells nothing about it.
            raise aiohttp.ServerDisconnectedError
        if _is_ambiguous(headers):
            # The rest of it must not be the next request's answer.
            retire()
            raise aiohttp.ClientPayloadError
        bound = self._options.max_body_bytes
        content, flaw = await stream.readany(), None
        if not stream.at_eof():
            body = bytearray(content)
            while len(body) <= bound and (chunk := await stream.readany()):
                body += chunk
            content = bytes(body)
        if len(content) > bound:
            content, flaw = content[:bound], f"is longer than max_body_bytes ({bound})"
        encoding = headers.get("Content-Encoding", "").strip().lower()
        is_decompressed = self._options.session is not None and self._options.session.auto_decompress
        if encoding in _GZIP and not is_decompressed and flaw is None:
            content, flaw = gunzip(content, bound)
        # A body in an encoding that was not requested stays as it is: parsing it will fail, since it is not JSON.
        return Response(status, headers, content, flaw, retire)


class _Body(aiohttp.Payload):
    """A body that reports when it is about to be written: until then, nothing of the request has left.

    aiohttp sends the head together with the body's first bytes, so this is the first write.
    """

    def __init__(self, body: bytes, progress: Progress) -> None:
        super().__init__(body)
        self._size = len(body)
        self._progress = progress

    def __deepcopy__(self, memo: object) -> Self:
        # aioresponses deep-copies a request's arguments: through `progress` it would reach the event loop.
        return self

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return bytes(self._value).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        lent = LENT.get()
        if isinstance(lent, Protocol):
            _ = lent.writable() or await lent.refuse()
        elif isinstance(writer, StreamWriter) and (writer.transport is None or writer.transport.is_closing()):
            # On a connection that is closed already, nothing leaves.
            raise aiohttp.ClientConnectionResetError
        self._progress.sent = True
        await writer.write(self._value)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        del content_length
        await self.write(writer)


def _nothing() -> None:
    """Do nothing: a session of the caller's own has its own connections."""


def _was_closed_meanwhile(session: aiohttp.ClientSession) -> bool:
    """Return whether the session's closing caused a cancellation: it cancels the requests that wait in its pool."""
    task = asyncio.current_task()
    return session.closed and (task is None or not task.cancelling())


def _is_ambiguous(headers: CIMultiDictProxy[str]) -> bool:
    """Return whether an answer's end can be read in two ways, which aiohttp's Python parser accepts."""
    first, *others = headers.getall("Content-Length", (None,))
    if first is None:
        return False
    is_number = first.isascii() and first.isdigit()
    return not is_number or "Transfer-Encoding" in headers or any(other != first for other in others)


_GZIP: Final = frozenset({"gzip", "x-gzip"})
_HEADERS: Final[Mapping[str, str]] = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip",
    "User-Agent": f"thredfi-async/{__version__}",
}
