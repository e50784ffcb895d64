"""A POST over a connection of aiohttp's own pool, without what its session does for requests of every other kind.

`ClientSession.request` spends more than half of what a bare POST costs on what none of ours asks for: redirects,
cookies, middleware, traces, a task that writes the body. Leaving that out is worth a quarter of a call. What is left
is aiohttp's: the pool with its DNS and TLS, and the parser.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, Self, TypeVar

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from thredfi_async._interfaces import Progress, Request
from thredfi_async._transport.connections import Connector

T = TypeVar("T")
Read = Callable[[int, Mapping[str, str], aiohttp.StreamReader], Awaitable[T]]

LONGEST: Final = 65536
"""Bytes that are written at once; a longer body would have to wait for the other side to take it."""

KNOWN: Final = aiohttp.__version__.startswith("3.14.")
"""Whether this aiohttp is one whose inner parts were looked at; with another, every request goes by its session."""

_READ_AT_ONCE: Final = 65536
"""Bytes that are read from a connection at once."""
_CONTINUE: Final = range(100, 200)
_SWITCHING_PROTOCOLS: Final = 101
_SESSIONS_OWN: Final = vars(aiohttp.ClientSession).get("_request")


class _Protocol(ResponseHandler, asyncio.BufferedProtocol):
    """Reads into a buffer that is there already, and watches for silence with one timer that it lets run on.

    asyncio gets 256 KiB from the system for whatever comes, and gives them back: a tenth of a call.

    aiohttp sets and cancels a timer for every request and for every piece of an answer: a twentieth of a call. Here
    it is set anew only when it has rung too early. aiohttp promises none of these names; under others, its own timers
    would be back.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, buffer: memoryview) -> None:
        super().__init__(loop)
        # All connections share it: whatever was read into it is copied before anything else is.
        self._room = buffer
        self._silent_until: float | None = None
        self._watch: asyncio.TimerHandle | None = None

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
        if self._watch is None or self._watch.when() > until:
            self._stop_watch()
            self._watch = self._loop.call_at(until, self._look)

    def _drop_timeout(self) -> None:
        self._silent_until = None

    def _look(self) -> None:
        self._watch = None
        if self._silent_until is None:
            return
        if self._loop.time() < self._silent_until:
            self._watch = self._loop.call_at(self._silent_until, self._look)
        else:
            self._on_read_timeout()

    def _stop_watch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None


class DirectPost:
    """Posts over the connections of one session.

    Args:
        session: The session: one of our own, without a proxy.
        connector: Its connector.
        headers: The headers that every request has.
    """

    def __init__(self, session: aiohttp.ClientSession, connector: Connector, headers: Mapping[str, str]) -> None:
        """Start without knowing any server."""
        self._session = session
        self._connector = connector
        self._headers = headers
        self._peers: dict[str, tuple[aiohttp.ClientRequest, dict[str, str]]] = {}

    @classmethod
    def over(cls, session: aiohttp.ClientSession, connector: Connector, headers: Mapping[str, str]) -> Self | None:
        """Make one where that is possible.

        Args:
            session: The session: one of our own, without a proxy.
            connector: Its connector, which has made no connection yet.
            headers: The headers that every request has.

        Returns:
            What posts; None with an aiohttp whose inner parts were not looked at.
        """
        if not KNOWN:
            return None
        buffer = memoryview(bytearray(_READ_AT_ONCE))
        connector._factory = partial(_Protocol, asyncio.get_running_loop(), buffer)  # type: ignore[assignment] # invariant
        return cls(session, connector, headers)

    def can_send(self, request: Request[Any]) -> bool:
        """Say whether a request can go this way; the others are the session's."""
        if request.method != "POST" or request.body is None or len(request.body) > LONGEST:
            return False
        # aioresponses and its like put themselves in this one's place: then requests have to come where they are.
        return vars(aiohttp.ClientSession).get("_request") is _SESSIONS_OWN

    async def post(
        self,
        request: Request[Any],
        headers: Mapping[str, str],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's
        progress: Progress,
        read: Read[T],
    ) -> T:
        """Send a POST once.

        Args:
            request: One that `can_send` says yes to.
            headers: Headers besides the request's own, and those that all have.
            timeout: `connect`, `sock_connect` and `sock_read` apply.
            progress: Its `sent` becomes true when the first byte is about to be written.
            read: Makes something of the answer's status, headers and body.

        Returns:
            What `read` returned.

        Raises:
            aiohttp.ClientError: There was no whole answer; other exceptions as from a session.
        """
        peer, message = self._written(request, headers)
        try:
            connection = await self._connector.connect(peer, [], timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError from error
        try:
            # What calls have to send in this turn of the event loop leaves together in the next: that wakes a server
            # once where it was woken for each, and is a quarter of a call when there are many.
            await asyncio.sleep(0)
            # From here on it counts as sent: whether a server closed before or while it was written to, not every
            # event loop tells.
            progress.sent = True
            protocol, transport = _open(connection)
            protocol.set_response_params(auto_decompress=False, read_until_eof=True, read_timeout=timeout.sock_read)
            transport.write(message)
            protocol.start_timeout()
            answer, content = await protocol.read()
            while answer.code in _CONTINUE and answer.code != _SWITCHING_PROTOCOLS:
                answer, content = await protocol.read()
        except HttpProcessingError:
            connection.close()
            # The session's own words for it: what came is no HTTP.
            raise aiohttp.ClientResponseError(peer.request_info, ()) from None
        except BaseException:
            connection.close()
            raise
        try:
            return await read(answer.code, answer.headers, content)
        finally:
            # Unless the answer was read to its end, this closes the connection.
            connection.release()

    def _written(self, request: Request[Any], headers: Mapping[str, str]) -> tuple[aiohttp.ClientRequest, bytes]:
        """Write a request out; return for whom it is, and its bytes."""
        place = request.url.index("/", request.url.index("://") + 3)
        origin, target = request.url[:place], request.url[place:]
        peer, constant = self._peers.get(origin) or self._prepare(origin)
        lines = constant | _lines(request.headers) | _lines(headers)
        body = request.body or b""
        head = f"POST {target} HTTP/1.1\r\n{''.join(lines.values())}Content-Length: {len(body)}\r\n\r\n"
        if not head.count("\r") == head.count("\n") == len(lines) + 3:
            # Whoever gave it to us should have looked; but this is how one request becomes two.
            raise ValueError("the URL or a header holds the end of a line")
        return peer, head.encode("ascii") + body

    def _prepare(self, origin: str) -> tuple[aiohttp.ClientRequest, dict[str, str]]:
        """Make what leads to a server: a request that says to the pool where to, and the lines of every head."""
        request = aiohttp.ClientRequest("POST", URL(origin), loop=asyncio.get_running_loop(), session=self._session)
        prepared = request, _lines({"Host": request.headers["Host"], **self._headers})
        self._peers[origin] = prepared
        return prepared


def _lines(headers: Mapping[str, str]) -> dict[str, str]:
    """Write headers out, under names by which a later one takes an earlier one's place."""
    return {name.lower(): f"{name}: {value}\r\n" for name, value in headers.items()}


def _open(connection: Connection) -> tuple[ResponseHandler, asyncio.Transport]:
    protocol = connection.protocol
    if protocol is None or protocol.should_close or protocol.transport is None or protocol.transport.is_closing():
        raise aiohttp.ServerDisconnectedError
    return protocol, protocol.transport
