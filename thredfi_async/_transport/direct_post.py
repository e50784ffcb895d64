"""Sends a POST over a connection from aiohttp's own pool, without the general features of its session.

`ClientSession.request` spends more than half of the cost of a bare POST on features that we do not use: redirects,
cookies, middleware, traces, a task that writes the body. Skipping them saves a quarter of a call. The rest is
aiohttp's: the pool with its DNS and TLS, and the parser.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, Self, TypeVar, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from thredfi_async._interfaces import Progress, Request, Secret
from thredfi_async._transport.connections import LONGEST_LINE, MOST_HEADERS, Connector, Protocol
from thredfi_async._transport.watchers import Watchers

T = TypeVar("T")
Read = Callable[[int, CIMultiDictProxy[str], aiohttp.StreamReader, Callable[[], None]], Awaitable[T]]

LONGEST: Final = 65536
"""Maximum bytes to write at once; a longer body would have to wait until the server reads it."""

_READ_AT_ONCE: Final = 65536
"""Bytes to read from a connection at once."""
_logger = logging.getLogger("thredfi_async")
_CONTINUE: Final = range(100, 200)
_SWITCHING_PROTOCOLS: Final = 101


class _BufferedProtocol(Protocol, asyncio.BufferedProtocol):
    """Reads into one existing buffer, and detects silence with one timer that keeps running.

    asyncio allocates and frees 256 KiB for each read: a tenth of a call.

    aiohttp sets and cancels a timer for every request and for every piece of an answer: a twentieth of a call. Here it
    is set again only if it expired too early. These names are internal to aiohttp; if they change, its own timers
    are used again.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, buffer: memoryview) -> None:
        super().__init__(loop)
        # All connections share it: the data is copied before the next read.
        self._room = buffer
        self._silent_until: float | None = None
        self._watch: asyncio.Handle | None = None
        self._looks_at = 0.0

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._stop_watch()

    def get_buffer(self, sizehint: int) -> memoryview:
        del sizehint
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(self._room[:nbytes].tobytes())

    def _reschedule_timeout(self) -> None:
        if not self._read_timeout:
            self._silent_until = None
            return
        self._silent_until = until = self._loop.time() + self._read_timeout
        if self._watch is None or self._looks_at > until:
            self._stop_watch()
            self._look_at(until)

    def _drop_timeout(self) -> None:
        self._silent_until = None

    def _look(self) -> None:
        self._watch = None
        if self._silent_until is None:
            return
        if self._loop.time() < self._silent_until:
            self._look_at(self._silent_until)
        else:
            self._on_read_timeout()

    def _look_at(self, when: float) -> None:
        # Noted here: for what is due within half a millisecond, uvloop makes a handle that does not know its time.
        self._looks_at = when
        self._watch = self._loop.call_at(when, self._look)

    def _stop_watch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None


class DirectPost:
    """Sends POSTs over the connections of one session.

    Args:
        session: The session: one of our own, without a proxy.
        connector: Its connector.
        headers: The headers that every request has.
    """

    def __init__(self, session: aiohttp.ClientSession, connector: Connector, headers: Mapping[str, str]) -> None:
        """Start without any prepared server."""
        self._session = session
        self._connector = connector
        self._headers = headers
        self._watchers = Watchers(session, connector, CIMultiDict(headers))
        self._told: set[str] = set()
        self._peers: dict[str, tuple[aiohttp.ClientRequest, dict[str, str]]] = {}

    @classmethod
    def over(cls, session: aiohttp.ClientSession, connector: Connector, headers: Mapping[str, str]) -> Self:
        """Create a `DirectPost`; if it is of use, new connections are made so that they cost it less.

        Args:
            session: The session: one of our own, without a proxy.
            connector: Its connector, which has made no connection yet.
            headers: The headers that every request has.

        Returns:
            The `DirectPost`.
        """
        direct_post = cls(session, connector, headers)
        if direct_post._watchers.reason() is None:
            buffer = memoryview(bytearray(_READ_AT_ONCE))
            connector.make(partial(_BufferedProtocol, asyncio.get_running_loop(), buffer))
        return direct_post

    def can_send(self, request: Request[Any]) -> bool:
        """Return whether a request can be sent this way now; the session sends the others."""
        if request.method != "POST" or request.body is None or len(request.body) > LONGEST:
            return False
        reason = self._watchers.reason()
        if reason is None:
            return True
        if reason not in self._told:
            self._told.add(reason)
            _logger.info("POSTs go through aiohttp's session, which costs a little more: %s", reason)
        return False

    async def post(
        self,
        request: Request[Any],
        authorization: Secret,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's
        progress: Progress,
        read: Read[T],
    ) -> T:
        """Send a POST once.

        Args:
            request: A request that `can_send` accepts.
            authorization: The Authorization header.
            timeout: `connect`, `sock_connect` and `sock_read` apply.
            progress: Has headers of this attempt; its `sent` becomes true when the first byte is about to be written.
            read: Reads the answer from its status, headers and body; the last argument retires the connection.

        Returns:
            What `read` returned.

        Raises:
            aiohttp.ClientError: No complete answer was received; other exceptions as from a session.
        """
        place = request.url.index("/", request.url.index("://") + 3)
        peer, constant = self._peers.get(request.url[:place]) or self._prepare(request.url[:place])
        headers = {**progress.headers, **request.headers} if progress.headers else request.headers
        message = _Message.of(request, request.url[place:], constant, headers, authorization)
        if message is None:
            # The callers check this too, but a missed line break would turn one request into two.
            raise ValueError("the URL or a header contains a line break")
        try:
            connection = await self._connector.lend(peer, [], timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError from error
        try:
            # All calls of this iteration of the event loop write together in the next: that wakes the server once, not
            # once for each call, which saves a quarter of a call when there are many.
            await asyncio.sleep(0)
            protocol = cast("Protocol | None", connection.protocol)
            if protocol is None:
                raise aiohttp.ServerDisconnectedError  # noqa: TRY301 - a function more for every call
            # This reads what a server that is full said at once, before any request.
            protocol.set_response_params(
                auto_decompress=False,
                read_until_eof=True,
                read_timeout=timeout.sock_read,
                max_line_size=LONGEST_LINE,
                max_field_size=LONGEST_LINE,
                max_headers=MOST_HEADERS,
            )
            if protocol.should_close:
                protocol.force_close()
            if not protocol.is_new or not protocol.has_answer:
                transport = protocol.writable() or await protocol.refuse()
                # From here on it counts as sent.
                progress.sent = True
                transport.write(message.data)
            protocol.start_timeout()
            # Not by way of `Protocol.read`: one coroutine less.
            answer, content = await ResponseHandler.read(protocol)
            while answer.code in _CONTINUE and answer.code != _SWITCHING_PROTOCOLS:
                protocol.start_timeout()
                answer, content = await ResponseHandler.read(protocol)
        except HttpProcessingError:
            connection.close()
            # As the session reports it: the answer is not HTTP.
            raise aiohttp.ClientResponseError(peer.request_info, ()) from None
        except BaseException:
            connection.close()
            raise
        try:
            return await read(answer.code, answer.headers, content, protocol.force_close)
        finally:
            # This closes the connection unless the answer was read completely.
            connection.release()

    def _prepare(self, origin: str) -> tuple[aiohttp.ClientRequest, dict[str, str]]:
        """Prepare a server: a request that gives the pool its address, and the constant header lines."""
        request = aiohttp.ClientRequest("POST", URL(origin), loop=asyncio.get_running_loop(), session=self._session)
        prepared = request, _lines({"Host": request.headers["Host"], **self._headers})
        self._peers[origin] = prepared
        return prepared


class _Message:
    """The bytes of a request, which no traceback shows."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    @classmethod
    def of(
        cls,
        request: Request[Any],
        target: str,
        constant: dict[str, str],
        headers: Mapping[str, str],
        authorization: Secret,
    ) -> Self | None:
        """Encode a request; None if its URL or a header contains a line break."""
        lines = constant | _lines(headers)
        lines["authorization"] = f"Authorization: {authorization.reveal()}\r\n"
        body = request.body or b""
        head = f"POST {target} HTTP/1.1\r\n{''.join(lines.values())}Content-Length: {len(body)}\r\n\r\n"
        if not head.count("\r") == head.count("\n") == len(lines) + 3:
            return None
        return cls(head.encode("ascii") + body)


def _lines(headers: Mapping[str, str]) -> dict[str, str]:
    """Return header lines by lower-case name, so that later headers replace earlier ones."""
    return {name.lower(): f"{name}: {value}\r\n" for name, value in headers.items()}
