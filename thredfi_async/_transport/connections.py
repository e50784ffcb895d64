"""Which connections are lent to requests, which are refused, and how a connection ends."""

import asyncio
import random
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any, Final, NoReturn

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

LONGEST_LINE: Final = 65_536
"""Bytes of a line of an answer's head; aiohttp's own bound is reached by gateways that add to it."""
MOST_HEADERS: Final = 1_000
_SPREAD: Final = 0.1
"""The part of its maximum age by which a connection may end earlier: those made together are not renewed together."""
_UNTIL_LOST: Final = 10
"""Iterations of the event loop in which the reason of an end is waited for; asyncio takes two or three."""
LENT: Final[ContextVar[ResponseHandler | None]] = ContextVar("thredfi_async_lent", default=None)
"""The connection that the request of the running task was lent last, by way of a session."""


class Protocol(ResponseHandler):
    """One connection to a server.

    Attributes:
        was_lent: Whether a request has been sent over it, or was about to be.
        is_new: Whether the request that it is lent to is its first.
        was_read: Whether that request has begun to read its answer, by way of a session.
        expires: When it is too old to be lent again, by its connector's clock; None for never.
        lost: Why the connection ended, if it failed.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.was_lent: bool = False
        self.is_new: bool = True
        self.was_read: bool = False
        self.expires: float | None = None
        self.lost: BaseException | None = None
        self._is_lost = self._is_refused = False

    @property
    def has_answer(self) -> bool:
        """Whether an answer has come that no one has read yet."""
        return bool(self._buffer)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.lost, self._is_lost = exc, True
        super().connection_lost(exc)
        # Who reads later is told why: aiohttp tells only one who reads already.
        error = self.exception()
        if error is not None and error.__cause__ is None:
            error.__cause__ = exc

    def writable(self) -> asyncio.Transport | None:
        """Return the transport, to which the first byte of a request is about to be written.

        Returns:
            None if it is closed already, or something came that no request asked for: `refuse` then says why.
        """
        if self._is_doubtful() or self.transport is None or self.transport.is_closing():
            return None
        return self.transport

    async def refuse(self) -> NoReturn:
        """Close the connection before anything of a request is written, and wait for the reason.

        asyncio closes first, and calls `connection_lost` two iterations later. In between, TLS 1.3 may have said that
        the server wants another certificate (since Python 3.14 the transport tells that it is closing by then).

        Raises:
            aiohttp.ServerDisconnectedError: Always. Nothing of the request has left, and nothing that came is its
                answer; the cause is why the connection ended, if it failed.
        """
        self._is_refused = True
        self.abort()
        for _ in range(_UNTIL_LOST):
            if self._is_lost:
                break
            await asyncio.sleep(0)
        raise aiohttp.ServerDisconnectedError from self.lost

    async def read(self) -> Any:  # noqa: ANN401 - aiohttp's: a message and its payload
        """Wait for the next message; aiohttp forgets its timer after a 1xx (aio-libs/aiohttp#2926)."""
        self.start_timeout()
        message = None
        if not self.was_read:
            self.was_read = True
            # aiohttp may read before it writes; what is there by now is not the answer.
            self._is_refused = self._is_refused or self._is_doubtful()
        try:
            message = None if self._is_refused else await super().read()
        except aiohttp.ClientError:
            # aiohttp wraps what refused the first byte in an error that does not say why.
            if not self._is_refused:
                raise
        if self._is_refused:
            await self.refuse()
        return message

    def _is_doubtful(self) -> bool:
        # What came over a new connection is no one else's answer: a server that is full sends its 503 at once.
        return self.should_close and not self.is_new

    def close(self) -> None:
        """Close it now.

        A polite end of TLS waits for the other side, up to 30 s, and meanwhile the socket lives on past the pool's
        limit (aio-libs/aiohttp#11091). There is nothing more to read, or nothing that anyone wants to.
        """
        self.abort()


class Connector(aiohttp.TCPConnector):
    """Lends no connection on which something came that no request asked for (aio-libs/aiohttp#13656), and no old one.

    The next request would get it as its own answer, and a stray 404 would claim that nothing was applied. A connection
    that is used all the time never idles out: only a maximum age makes its requests leave a server that is drained.

    Args:
        limit: Maximum number of connections.
        ssl: The `ssl` of aiohttp's connector.
        max_age: Seconds after which a connection is lent no more; None for no maximum.
        now: Returns the time, in seconds that never step.
    """

    def __init__(self, limit: int, ssl: Any, max_age: float | None, now: Callable[[], float]) -> None:  # noqa: ANN401 - aiohttp's
        super().__init__(limit=limit, ssl=ssl)  # pyright: ignore[reportUnknownMemberType] - of a parameter that is not used
        self._max_age = max_age
        self._now = now
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
            if not protocol.was_lent:
                protocol.was_lent = True
                if self._max_age is not None:
                    protocol.expires = self._now() + self._max_age * (1.0 - _SPREAD * random.random())  # noqa: S311 - no secret
                return connection
            if not protocol.should_close and (protocol.expires is None or self._now() < protocol.expires):
                protocol.is_new = protocol.was_read = False
                return connection
            connection.close()
