"""One call's turns and time: how long it waits for turns, and when its deadline cuts it off."""

import asyncio
import math
from typing import Final

from thredfi_async._engine.deadlines import Deadline
from thredfi_async._engine.turns import Ticket
from thredfi_async._interfaces import Clock
from thredfi_async.errors import ClientStateError, RequestTimeoutError, ThredfiError
from thredfi_async.settings import Timeouts

_SETTLING: Final = 10.0
_NO_TIME: Final = 1e-6
"""Seconds that are too few to wait for: a clock may not move on by them."""
_NO_TICKET: Final = Ticket(0, 0, 0, math.inf, 0.0)


class CallTime:
    """The turns and the time of one call.

    Args:
        timeouts: Its bounds.
        clock: The source of time.
        asked: When it was called, in monotonic seconds, if it has already waited for its first turn; now by default.

    Attributes:
        queued: Seconds that it has waited for turns.
        started: When it had its first turn; None before.
        holds_slot: Whether it has a turn.
        ticket: What the limiter gave it with its turn.
        interrupted: Whether the client ends it, since that is closing.
    """

    __slots__ = (
        "_deadline",
        "_reserve",
        "_scope",
        "asked",
        "clock",
        "holds_slot",
        "interrupted",
        "queued",
        "started",
        "ticket",
        "timeouts",
    )

    def __init__(self, timeouts: Timeouts, clock: Clock, asked: float | None) -> None:
        """Start without a turn."""
        self.timeouts: Timeouts = timeouts
        self.clock: Clock = clock
        self.asked: float = clock.monotonic() if asked is None else asked
        self.started: float | None = None
        self._deadline: float | None = None
        self._reserve = 0.0
        self._scope: Deadline | None = None
        self.ticket: Ticket = _NO_TICKET
        self.queued: float = self.since(self.asked)
        self.holds_slot: bool = False
        self.interrupted: bool = False

    def since(self, began: float) -> float:
        """Return the seconds since then for an event; a clock that fails must not change what it says."""
        try:
            return max(0.0, self.clock.monotonic() - began)
        except Exception:  # noqa: BLE001 - whatever a clock raises
            return 0.0

    # -- turns

    def has_waited(self, since: float) -> None:
        """Count a wait for a turn, whether the turn came or not; the deadline does not count it."""
        waited = self.clock.monotonic() - since
        self.queued += waited
        if self._deadline is not None:
            self._deadline += waited

    def has_turn(self, ticket: Ticket) -> None:
        """Record a turn and the limiter's ticket; the first turn starts the clock."""
        self.ticket = ticket
        self.holds_slot = True
        if self.started is None:
            self.started = self.clock.monotonic()
            if self.timeouts.deadline is not None:
                self._deadline = self.started + self.timeouts.deadline

    @property
    def queue_left(self) -> float | None:
        """Seconds that the call may still wait for turns; None for no bound."""
        bound = self.timeouts.queue
        return None if bound is None else max(0.0, bound - self.queued)

    def refused_left(self, seconds: float) -> float:
        """Return for how long it may still wait while all is refused: its deadline's length in all.

        Args:
            seconds: For how long that has been so.
        """
        left = math.inf if self.timeouts.deadline is None else self.timeouts.deadline - seconds
        return left if left > _NO_TIME else 0.0

    # -- the deadline

    def reserve(self, *, for_settling: bool) -> None:
        """Keep time for settling the call, or nothing."""
        deadline = self.timeouts.deadline
        self._reserve = min(_SETTLING, deadline / 4) if for_settling and deadline is not None else 0.0
        if self._scope is not None:
            self.set_deadline()

    def remaining(self) -> float:
        """Return the seconds that attempts may still take, without those that are kept for settling."""
        if self._deadline is None:
            return math.inf
        return self._deadline - self._reserve - self.clock.monotonic()

    def held_back(self, cooldown: float) -> ThredfiError:
        """Return the error for a cooldown that is longer than the call may last."""
        left = max(0.0, self.remaining())
        summary = f"the API asked every call to wait {cooldown:.3g} s, and the deadline ends in {left:.3g} s"
        return RequestTimeoutError(summary, phase="deadline")

    def refused_for_too_long(self) -> ThredfiError:
        """Return the error for an API that refuses all for longer than the call may last."""
        summary = f"the API refused every request for {self.timeouts.deadline} s, the whole of Timeouts.deadline"
        return RequestTimeoutError(summary, phase="deadline")

    def watch(self, deadline: Deadline | None) -> None:
        """Take the scope that cuts off what the call awaits, and set its deadline."""
        self._scope = deadline
        if deadline is not None:
            self.set_deadline()

    def set_deadline(self, *, off: bool = False) -> None:
        """Let the deadline expire when no time remains, or never; after an interruption, let it expire at once."""
        if self._scope is None or self._scope.expired():
            return  # it has expired, and the call is already ending
        remaining = 0.0 if self.interrupted else math.inf if off else self.remaining()
        now = asyncio.get_running_loop().time()
        self._scope.reschedule(None if remaining == math.inf else now + remaining)

    @property
    def is_over(self) -> bool:
        """Whether the deadline has expired, or an interruption has cut the call off."""
        return self._scope is not None and self._scope.expired()

    def interrupt(self) -> None:
        """Let the deadline expire now, since the client is closing."""
        self.interrupted = True
        self.set_deadline()

    def deadline_error(self) -> ThredfiError:
        """Return the error for an expired deadline."""
        if self.interrupted:
            return ClientStateError("the client was closed while this call was in flight")
        summary = f"the call did not end within {self.timeouts.deadline} s (Timeouts.deadline)"
        return RequestTimeoutError(summary, phase="deadline")
