"""Which connections are lent to requests, which are refused, and how a connection ends."""

import asyncio
from contextvars import ContextVar
from functools import partial
from typing import Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

LONGEST_LINE: Final = 65_536
"""Bytes of a line of an answer's head; aiohttp's own bound is reached by gateways that add to it."""
MOST_HEADERS: Final = 1_000
LENT: Final[ContextVar[ResponseHandler | None]] = ContextVar("thredfi_async_lent", default=None)
"""The connection that the request of the running task was lent last, by way of a session."""


class Protocol(ResponseHandler):
    """One connection to a server.

    Attributes:
        was_lent: Whether a request has been sent over it, or was about to be.
        is_new: Whether the request that it is lent to is its first.
        lost: Why the connection ended, if it failed.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.was_lent: bool = False
        self.is_new: bool = True
        self.lost: BaseException | None = None

    @property
    def has_answer(self) -> bool:
        """Whether an answer has come that no one has read yet."""
        return bool(self._buffer)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.lost = exc
        super().connection_lost(exc)

    async def read(self) -> Any:  # noqa: ANN401 - aiohttp's: a message and its payload
        """Wait for the next message; aiohttp forgets its timer after a 1xx (aio-libs/aiohttp#2926)."""
        self.start_timeout()
        return await super().read()

    def close(self) -> None:
        """Close it now.

        A polite end of TLS waits for the other side, up to 30 s, and meanwhile the socket lives on past the pool's
        limit (aio-libs/aiohttp#11091). There is nothing more to read, or nothing that anyone wants to.
        """
        self.abort()


class Connector(aiohttp.TCPConnector):
    """Lends no connection on which something came that no request asked for (aio-libs/aiohttp#13656).

    The next request would get it as its own answer, and a stray 404 would claim that nothing was applied.

    Args:
        limit: Maximum number of connections.
        ssl: The `ssl` of aiohttp's connector.
    """

    def __init__(self, limit: int, ssl: Any) -> None:  # noqa: ANN401 - aiohttp's
        super().__init__(limit=limit, ssl=ssl)  # pyright: ignore[reportUnknownMemberType] - of a parameter that is not used
        self.make(partial(Protocol, asyncio.get_running_loop()))

    def make(self, protocol: "partial[Any]") -> None:
        """Make every new connection with this."""
        # aiohttp has no public name for it; a test fails if this one is gone.
        self._factory = protocol

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's
    ) -> Connection:
        """Lend a connection to aiohttp's session, and note which."""
        connection = await self.lend(req, traces, timeout)
        LENT.set(connection.protocol)
        return connection

    async def lend(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's
    ) -> Connection:
        """Lend a connection of the pool, or a new one."""
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            if not isinstance(protocol, Protocol):
                return connection
            # On a new connection it can be no one else's answer: a server that is full sends its 503 at once.
            if not protocol.was_lent or not protocol.should_close:
                protocol.is_new = not protocol.was_lent
                protocol.was_lent = True
                return connection
            connection.close()
