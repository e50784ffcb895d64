"""Places in the limiter's queue, what may hold them back, and what a request remembers of its turn."""

import asyncio
from typing import Final, NamedTuple, Protocol

from thredfi_async.errors import RequestTimeoutError
from thredfi_async.retry import RetryPolicy

ANY_POLICY: Final = RetryPolicy()
"""For turns whose policy does not matter."""


class Turn(asyncio.Future[None]):
    """A place in the queue; its result is a slot.

    Attributes:
        asked: When the call was made.
        policy: How it is retried.
        timeout: Seconds that it may wait, or None.
    """

    __slots__ = ("asked", "policy", "timeout")

    asked: float
    policy: RetryPolicy
    timeout: float | None


class Gate(Protocol):
    """Holds calls back that were not sent yet."""

    def expires(self, turn: Turn) -> float:
        """Return when this one may have a slot, whatever happens until then."""
        ...

    def next_probe(self) -> float:
        """Return when the one that has waited longest may have a slot."""
        ...

    def lets_go(self, now: float) -> None:
        """Note that it has got it."""
        ...


def time_is_up(turn: asyncio.Future[None], timeout: float) -> None:
    """End a wait whose turn has not come."""
    if not turn.done():
        summary = f"no turn came within {timeout:g} s (Timeouts.queue); nothing was sent while waiting"
        turn.set_exception(RequestTimeoutError(summary, phase="queue"))


class Ticket(NamedTuple):
    """What a request remembers of the moment when it was sent.

    Args:
        generation: Reactions of the pace until then.
        flight: Reactions of the window until then.
        in_flight: Requests in flight, this one included.
        pace: The pace.
        time: The time in use of the pace.
    """

    generation: int
    flight: int
    in_flight: int
    pace: float
    time: float
