"""Operations on a connection: read, wait, answer, cut an answer short, reset."""

import asyncio
import logging
import socket
import struct
from asyncio import Future
from typing import TYPE_CHECKING

from aiohttp import web

from thredfi_async.mock_server.checks import RefusedError

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy

logger: logging.Logger = logging.getLogger(__name__)
JSON = "application/json"
HTML = "text/html; charset=utf-8"
MAX_BODY_BYTES = 1024 * 1024
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time to linger: closing sends RST instead of FIN."""


class Connection(web.RequestHandler):
    """A connection that notifies handlers when it ends."""

    __slots__ = ("waiters",)

    def __init__(self, manager: web.Server, *, loop: asyncio.AbstractEventLoop) -> None:
        # The lingering time is for bodies left unread by a refusal.
        super().__init__(manager, loop=loop, access_log=None, lingering_time=1.0, auto_decompress=False)  # type: ignore[arg-type] # None turns the log off, says aiohttp's documentation
        self.waiters: set[Future[bool]] = set()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Notify the waiting handlers."""
        super().connection_lost(exc)
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(False)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a request that could not be parsed or handled, in the contract's envelope."""
        del request, message
        # aiohttp's own answers are plain text, and it logs a traceback for each request it cannot parse.
        if status >= 500:  # noqa: PLR2004 - the first server error
            logger.error("the mock server failed to handle a request", exc_info=exc)
        problem = RefusedError(status, "error" if status >= 500 else "parse_error", "The request failed.")  # noqa: PLR2004 - as above
        response = web.Response(status=status, body=problem.envelope(), headers={"Content-Type": JSON})
        response.force_close()
        return response


class LoopbackServer(web.Server):
    """aiohttp's low-level server with `Connection`; no router, no middlewares, no request log."""

    def __call__(self) -> web.RequestHandler:
        """Return the protocol of a new connection."""
        return Connection(self, loop=asyncio.get_running_loop())


class Call:
    """One request, and the operations on its connection.

    Args:
        request: aiohttp's request.
        request_id: The `X-Request-Id` of the answer.
    """

    __slots__ = ("headers", "method", "number", "path", "query", "request", "request_id")

    def __init__(self, request: web.BaseRequest, request_id: str) -> None:
        target = request.raw_path
        if not target.isascii():  # aiohttp decodes invalid UTF-8 to lone surrogates, which nothing can encode
            target = target.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        self.request: web.BaseRequest = request
        self.request_id: str = request_id
        self.method: str = request.method
        self.headers: CIMultiDictProxy[str] = request.headers
        self.number: int | None = None  # the customer's number, once it is found
        self.path: str
        self.query: str
        self.path, _, self.query = target.partition("?")

    async def body(self) -> bytes:
        """Return the whole body.

        Raises:
            RefusedError: It is compressed, too large, or not framed as it claims to be.
        """
        if self.headers.get("Content-Encoding", "identity") != "identity":
            raise RefusedError(415, "unsupported_media_type", "Bodies come uncompressed.")
        try:
            return await self.request.read()
        except web.HTTPRequestEntityTooLarge:
            raise RefusedError(413, "request_too_large", f"A body has {MAX_BODY_BYTES} bytes at most.") from None
        except web.RequestPayloadError:
            raise RefusedError(400, "parse_error", "The body cannot be decoded.") from None

    def answer(
        self, status: int, body: bytes, *, media_type: str = JSON, headers: dict[str, str] | None = None
    ) -> web.Response:
        """Return an answer."""
        named = {"Content-Type": media_type, "X-Request-Id": self.request_id}
        return web.Response(status=status, body=body, headers=named | headers if headers else named)

    def reset(self) -> web.Response:
        """Reset the connection (RST).

        Returns:
            A response for aiohttp, which finds the connection gone and sends nothing.
        """
        transport = self.request.transport
        if transport is not None:
            sock: socket.socket | None = transport.get_extra_info("socket")
            if sock is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            transport.abort()
        return web.Response()

    def cut_short(self, body: bytes) -> web.Response:
        """Announce the whole body, send half of it, and close the connection (FIN).

        Returns:
            A response for aiohttp, which finds the connection closing and sends nothing.
        """
        transport = self.request.transport
        if transport is not None:
            head = (
                f"HTTP/1.1 200 OK\r\nContent-Type: {JSON}\r\nContent-Length: {len(body)}\r\n"
                f"X-Request-Id: {self.request_id}\r\n\r\n"
            )
            transport.write(head.encode() + body[: len(body) // 2])
            transport.close()
        return web.Response()


class Waits:
    """The waits of all handlers; a shutdown ends them at once."""

    def __init__(self) -> None:
        self._futures: set[Future[bool]] = set()
        self._over = False

    async def sleep(self, seconds: float) -> bool:
        """Wait, even if the client leaves.

        Returns:
            False if the server shuts down.
        """
        loop = asyncio.get_running_loop()
        future: Future[bool] = loop.create_future()
        timer = loop.call_later(seconds, _settle, future, True)  # noqa: FBT003 - as `_settle`
        try:
            return await self._until(future)
        finally:
            timer.cancel()

    async def until_gone(self, request: web.BaseRequest) -> None:
        """Wait until the client leaves, or the server shuts down."""
        connection = request.protocol
        if not isinstance(connection, Connection) or request.transport is None:
            return
        future: Future[bool] = asyncio.get_running_loop().create_future()
        connection.waiters.add(future)
        try:
            await self._until(future)
        finally:
            connection.waiters.discard(future)

    def open(self) -> None:
        """Let handlers wait, also after a shutdown."""
        self._over = False

    def end(self) -> None:
        """End all waits, current and future."""
        self._over = True
        for future in self._futures:
            _settle(future, result=False)

    async def _until(self, future: Future[bool]) -> bool:
        if self._over:
            return False
        self._futures.add(future)
        try:
            return await future
        finally:
            self._futures.discard(future)


def _settle(future: Future[bool], result: bool) -> None:  # noqa: FBT001 - the loop takes no keywords
    if not future.done():
        future.set_result(result)
