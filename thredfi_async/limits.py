"""How many requests may be under way at once, and who is next."""

import asyncio
from collections import deque

from thredfi_async.errors import ClientStateError, RequestTimeoutError


class Limiter:
    """Slots for requests, given first come, first served.

    Waiting for a slot happens here and not in the connection pool, where it would spend the request's timeouts.
    A slot is a number, not an object: whoever acquired one releases one. State changes in synchronous functions.

    Args:
        limit: Slots in all.
    """

    def __init__(self, limit: int) -> None:
        """Start with every slot free."""
        self._limit = limit
        self._in_use = 0
        self._waiters: deque[asyncio.Future[None]] = deque()

    @property
    def in_use(self) -> int:
        """Slots that are taken."""
        return self._in_use

    def acquire_nowait(self) -> bool:
        """Take a slot if one is free and nobody waits; say whether it was had."""
        if self._in_use >= self._limit or self._waiters:
            return False
        self._in_use += 1
        return True

    async def acquire(self, timeout: float | None) -> None:  # noqa: ASYNC109 - a bare timer costs less than a scope
        """Wait for a slot.

        Args:
            timeout: Seconds to wait at most, or None.

        Raises:
            RequestTimeoutError: The time was up; the phase is `queue`.
            ClientStateError: The client was closed meanwhile.
        """
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._waiters.append(turn)
        self._wake()
        timer = None if timeout is None else loop.call_later(timeout, _time_is_up, turn, timeout)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                # The slot came in the same moment as the cancellation: hand it on.
                self.release()
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def release(self) -> None:
        """Give a slot back; whoever waits longest has it next."""
        self._in_use -= 1
        self._wake()

    def close(self) -> None:
        """End every wait with a ClientStateError."""
        while self._waiters:
            turn = self._waiters.popleft()
            if not turn.done():
                turn.set_exception(ClientStateError("the client was closed while this call waited for its turn"))

    def _wake(self) -> None:
        while self._waiters and self._in_use < self._limit:
            turn = self._waiters.popleft()
            if not turn.done():
                self._in_use += 1
                turn.set_result(None)


def _time_is_up(turn: asyncio.Future[None], timeout: float) -> None:
    if not turn.done():
        summary = f"no turn came within {timeout:g} s (Timeouts.queue); nothing was sent while waiting"
        turn.set_exception(RequestTimeoutError(summary, phase="queue"))
