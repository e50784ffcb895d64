"""One accepted connection: bytes in, bytes out, and every way to end it.

Plain non-blocking sockets through the loop's `sock_*` calls, because a transport or a stream reads ahead and
hides when FIN and RST are sent: here only steps read, and `close` closes at once.
"""

import asyncio
import contextlib
import json
import socket
import ssl
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

Point = Literal["accept", "bytes", "headers", "request"]
Ending = Literal["keep", "fin", "rst", "half-close", "hang"]

T = TypeVar("T")

_READ = 64 * 1024
# Only so many of a request's first bytes are read, so that a reset after them leaves the rest unread.
_GLIMPSE = 16


@dataclass
class Request:
    """One request as received; `body` stays empty, and `complete` false, if the step did not read it."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    connection: int
    arrived: float = field(default_factory=time.monotonic)
    body: bytes = b""
    complete: bool = False

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    def header(self, name: str) -> str | None:
        """Return the first header of this name, in any case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def json(self) -> Any:
        """Return the body, parsed."""
        return json.loads(self.body)


class ClientGoneError(ConnectionError):
    """The client closed the connection before the step was finished."""


class Connection:
    """The connection that a step uses: the socket (with TLS over it, or not) and the current request."""

    def __init__(self, sock: socket.socket, number: int, applied: list[Request]) -> None:
        self.number = number
        self.applied = applied
        self.closed = False
        self._request: Request | None = None
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._tls: _Tls | None = None
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # each dripped byte is a segment of its own

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Run the server's side of the handshake."""
        self._tls = _Tls(self._sock, context)
        await self._tls.call(self._tls.session.do_handshake)

    async def first_bytes(self) -> bool:
        """Wait for a request to begin; return False if the client closed instead."""
        return bool(self._buffer) or await self._fill(_GLIMPSE)

    async def read_head(self) -> Request:
        """Read the next request, without its body."""
        while b"\r\n\r\n" not in self._buffer:
            await self._need_more()
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        self._buffer[:] = rest
        line, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = line.split(" ", 2)
        pairs = [(name, value.strip()) for name, _, value in (text.partition(":") for text in lines)]
        self._request = Request(method, target, pairs, self.number)
        return self._request

    @property
    def request(self) -> Request:
        """The request that this step answers."""
        if self._request is None:
            raise RuntimeError("this step is played before there is a request")
        return self._request

    async def read_body(self) -> Request:
        """Read the request with its complete body."""
        request = self.request
        if request.header("Transfer-Encoding") is not None:
            raise NotImplementedError("the client is expected to send its bodies with a Content-Length")
        length = int(request.header("Content-Length") or 0)
        while not request.complete:
            if len(self._buffer) >= length:
                request.body, request.complete = bytes(self._buffer[:length]), True
                del self._buffer[:length]
            else:
                await self._need_more()
        return request

    def apply(self) -> None:
        """Record that the server did what the request asks for, whatever answer the client gets."""
        self.applied.append(self.request)

    async def send(self, data: bytes) -> None:
        """Send all of it, however long the client takes."""
        if self._tls is not None:
            await self._tls.write(data)
        else:
            await self._loop.sock_sendall(self._sock, data)

    async def end(self, how: Ending) -> None:
        """Leave the connection open for the next request, or end it in one of four ways."""
        match how:
            case "keep":
                return
            case "rst":
                self.reset()
            case "fin":
                # Shut down first: `close` alone sends RST, not FIN, while unread data is waiting.
                self._shutdown()
                self.close()
            case "half-close":
                self._shutdown()
                await self.wait_for_client()
            case "hang":
                await self.wait_for_client()

    async def wait_for_client(self) -> None:
        """Discard all data until the client closes or resets."""
        while await self._fill(_READ):
            self._buffer.clear()
        self.close()

    def reset(self) -> None:
        """Send RST at once: a linger time of zero discards what the kernel still holds."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Close the socket, with a FIN if none was sent before."""
        self.closed = True
        self._sock.close()

    def _shutdown(self) -> None:
        # Without a close_notify under TLS: a FIN from the network comes without one.
        with contextlib.suppress(OSError):  # the client closed first
            self._sock.shutdown(socket.SHUT_WR)

    async def _need_more(self) -> None:
        if not await self._fill(_READ):
            raise ClientGoneError

    async def _fill(self, size: int) -> bool:
        data = await (self._tls.read(size) if self._tls else self._loop.sock_recv(self._sock, size))
        self._buffer += data
        return bool(data)


class _Tls:
    """TLS between memory and the socket, so that the test can still reset the socket."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    async def call(self, step: Callable[[], T]) -> T:
        """Run one operation of the session, feeding it from the socket for as long as it wants to read."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                await self._flush()
                self._feed(await self._loop.sock_recv(self._sock, _READ))
            finally:
                await self._flush()  # an alert that explains a failed handshake has to be sent as well

    async def read(self, size: int) -> bytes:
        try:
            return await self.call(lambda: self.session.read(size))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    async def write(self, data: bytes) -> None:
        await self.call(lambda: self.session.write(data))

    async def _flush(self) -> None:
        if data := self._outgoing.read():
            await self._loop.sock_sendall(self._sock, data)

    def _feed(self, data: bytes) -> None:
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
