"""Decides how many requests may be in flight at once, which call is next, and when all must wait."""

import asyncio
import heapq
import math
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import attrs

from thredfi_async._engine.learned_rate import LearnedRate
from thredfi_async.errors import ClientStateError, RequestTimeoutError
from thredfi_async.retry import RetryPolicy

_LONGEST_RAMP: Final = 1.0
_LONGEST_TIMER: Final = 3600.0
_ROUNDING: Final = 1e-6
_ANY_POLICY: Final = RetryPolicy()


@attrs.frozen(kw_only=True)
class Limits:
    """A snapshot of a client's limits.

    Args:
        in_use: Requests in flight.
        waiting: Calls that wait for their turn; one that was cancelled counts until its turn would have come.
        max_in_flight: Requests that may be in flight at once, at present.
        rate: Requests a second that the client allows itself, learned from throttling; None while there is none.
        cooldown: Seconds that the API has asked every call to wait from now on; 0 if it has not.
    """

    in_use: int
    waiting: int
    max_in_flight: int
    rate: float | None
    cooldown: float


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


class Limiter:
    """Slots for requests: as many as the API can take, first come, first served.

    Calls wait for a slot here and not in the connection pool, where the wait would spend the request's timeouts.
    A slot is a count, not an object: each caller that acquired one releases one.

    - The window grows by one for a window's worth of good answers, and is halved when the API throttles: once for all
      requests that were in flight together, since they all report the same moment.
    - A cooldown holds back every slot. After it, slots are given at a growing pace, one window's worth over the length
      of the cooldown, a second at most; otherwise all the calls that it held back would arrive at once.
    - An API that throttles repeatedly teaches a rate, and slots are spaced out by it.

    State changes in synchronous functions only. There is no task, only a timer while a cooldown has waiters.

    Args:
        limit: The window's upper bound and initial size.
        now: Returns the time, in monotonic seconds.
    """

    def __init__(self, limit: int, now: Callable[[], float]) -> None:
        """Start with every slot free."""
        self._limit = limit
        self._now = now
        self._window = float(limit)
        self._in_use = 0
        self._halvings = 0
        # A call that returns for another attempt goes before new calls.
        self._returning: deque[Turn] = deque()
        self._arriving: deque[Turn] = deque()
        self._gate: Gate | None = None
        # Those that arrive while there is a gate, by when each has waited for as long as it may.
        self._held: list[tuple[float, int, Turn]] = []
        self._order = 0
        self._passed = -math.inf
        self._pace: _Pace | None = None
        self._rate: LearnedRate | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        # Looked up once: the look-up is a tenth of the cost of waiting.
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def in_use(self) -> int:
        """Slots that are taken."""
        return self._in_use

    @property
    def waiting(self) -> int:
        """Calls that wait for a slot; one that was cancelled counts until its turn would have come."""
        return len(self._returning) + len(self._arriving)

    @property
    def window(self) -> int:
        """Slots that may be taken at once, at present."""
        return int(self._window)

    @property
    def generation(self) -> int:
        """The number of halvings so far: a request remembers it, and passes it to `throttled`."""
        return self._halvings

    def cooldown(self) -> float:
        """Return the seconds for which every call is still held back; 0 without a cooldown."""
        return 0.0 if self._pace is None else max(0.0, self._pace.begins - self._time())

    def limits(self) -> Limits:
        """Return a snapshot of all limits."""
        return Limits(
            in_use=self.in_use,
            waiting=self.waiting,
            max_in_flight=self.window,
            rate=None if self._rate is None else self._rate.allowed(self._time()),
            cooldown=self.cooldown(),
        )

    def acquire_nowait(self) -> bool:
        """Take a slot if one is free and no call waits; return whether it did."""
        if self._returning or self._arriving or self._gate is not None or not self._has_slot():
            return False
        self._take()
        return True

    async def acquire(
        self,
        timeout: float | None,  # noqa: ASYNC109 - a bare timer is cheaper than a scope
        asked: float = 0.0,
        policy: RetryPolicy = _ANY_POLICY,
        *,
        returning: bool = False,
    ) -> None:
        """Wait for a slot.

        Args:
            timeout: Seconds to wait at most, or None.
            asked: When the call was made.
            policy: How it is retried.
            returning: Whether the call has had a slot before; such calls go first.

        Raises:
            RequestTimeoutError: No slot came in time; the phase is `queue`.
            ClientStateError: The client was closed meanwhile.
        """
        turn = self.queue(timeout, asked, policy, returning=returning)
        try:
            await turn
        except BaseException:
            self.leave(turn)
            raise

    def queue(
        self, timeout: float | None, asked: float = 0.0, policy: RetryPolicy = _ANY_POLICY, *, returning: bool = False
    ) -> Turn:
        """Join the queue, as `acquire` does, without a coroutine for each waiter.

        Returns:
            A future to await: its result is a slot. A caller that gets an exception from it must call `leave`.
        """
        loop = self._loop = self._loop or asyncio.get_running_loop()
        turn = Turn(loop=loop)
        turn.asked, turn.policy, turn.timeout = asked, policy, timeout
        (self._returning if returning else self._arriving).append(turn)
        if self._gate is not None and not returning:
            heapq.heappush(self._held, (self._gate.expires(turn), self._number(), turn))
        if self._in_use < self._window:
            self._serve()
        if timeout is not None:
            timer = loop.call_later(timeout, _time_is_up, turn, timeout)
            turn.add_done_callback(lambda _: timer.cancel())
        return turn

    def leave(self, turn: Turn) -> None:
        """Leave the queue; a slot that came in the same moment is passed on."""
        if not turn.cancel() and not turn.cancelled() and turn.exception() is None:
            self.release()

    def release(self) -> None:
        """Release a slot; the call that has waited longest gets it next."""
        self._in_use -= 1
        if self._returning or self._arriving:
            self._serve()

    def answered_well(self) -> None:
        """Record a good answer: the API can take the present load."""
        if self._rate is not None and self._rate.answered_well(self._time()):
            self._rate = None
        if self._window < self._limit:
            self._window = min(float(self._limit), self._window + 1.0 / self._window)
            self._serve()

    def throttled(self, generation: int, hold: float, *, too_many: bool = True) -> None:
        """Record a refusal: the API is overloaded.

        Args:
            generation: The value of `generation` when the request took its slot.
            hold: Seconds that the API asks to wait; 0 if it does not say.
            too_many: Whether it refused because of too many requests, which teaches a rate. An API that is unavailable
                now and then may be so at any rate.
        """
        now = self._time()
        if generation == self._halvings:
            self._halvings += 1
            self._window = max(1.0, self._window / 2)
        if too_many:
            self._rate = self._rate or LearnedRate(now)
            self._rate.throttled(now, now + max(hold, self.cooldown()))
        self.hold_back(hold)

    def hold_back(self, seconds: float) -> None:
        """Give out no slot for so long, unless that is so already."""
        if seconds > self.cooldown():
            self._pace = _Pace(self._time() + seconds, min(seconds, _LONGEST_RAMP), self.window)

    def hold_arrivals(self, gate: Gate | None) -> None:
        """Let this decide when a call gets a slot that was not sent yet; None lets all go."""
        self._gate = gate
        self._held.clear()
        if gate is not None:
            self._held.extend((gate.expires(turn), self._number(), turn) for turn in self._arriving if not turn.done())
            heapq.heapify(self._held)
        self.serve()

    def serve(self) -> None:
        """Give out slots again, since a call may have to wait for less time than it seemed."""
        self._stop_timer()
        if self._returning or self._arriving:
            self._serve()

    def close(self) -> None:
        """End every wait with a ClientStateError."""
        for turns in (self._returning, self._arriving):
            while turns:
                turn = turns.popleft()
                if not turn.done():
                    turn.set_exception(ClientStateError("the client was closed while this call waited for its turn"))
        self._stop_timer()

    def _has_slot(self) -> bool:
        return self._in_use + 1 <= self._window and (self._is_unpaced() or self._time() >= self._next())

    def _is_unpaced(self) -> bool:
        return self._pace is None and self._rate is None

    def _next(self) -> float:
        """Return when the next slot may be given, if one is free."""
        pace = -math.inf if self._pace is None else self._pace.next
        return pace if self._rate is None else max(pace, self._rate.next)

    def _take(self) -> None:
        self._in_use += 1
        if self._pace is not None and self._pace.step():
            self._pace = None
        if self._rate is not None:
            self._rate.take(self._time())

    def _serve(self) -> None:
        """Give out the available slots, and set the timer for when the pace or the gate allows more."""
        while self._returning and (self._returning[0].done() or self._has_slot()):
            self._give(self._returning.popleft())
        held_back = 0.0
        while self._arriving and (self._arriving[0].done() or self._has_slot()):
            if self._gate is not None and not self._arriving[0].done():
                held_back = self._let_one_go(self._gate)
                if held_back > 0.0:
                    break
            else:
                self._give(self._arriving.popleft())
        waits = bool(self._returning) or bool(self._arriving)
        # Without a free slot, the next release calls this method.
        if waits and (held_back > 0.0 or not self._is_unpaced()) and self._in_use < self.window:
            self._wake_at(max(self._time() + held_back, self._next()))

    def _wake_at(self, due: float) -> None:
        # One timer, which may expire too early after the pace was moved: then it is set again.
        if self._timer is not None and self._due <= due:
            return
        self._stop_timer()
        loop, now = asyncio.get_running_loop(), self._time()
        self._due = due
        self._timer = loop.call_later(min(due - now, _LONGEST_TIMER), self._ring, now, loop.time())

    def _let_one_go(self, gate: Gate) -> float:
        """Give a slot to a call that the gate lets go; return for how many seconds there is none."""
        held, now = self._held, self._time()
        while held and held[0][2].done():
            heapq.heappop(held)
        if held and held[0][0] <= now:
            # Its place in the queue is taken away when those before it have gone.
            self._give(heapq.heappop(held)[2])
            return 0.0
        if gate.next_probe() <= now:
            gate.lets_go(now)
            self._give(self._arriving.popleft())
            return 0.0
        return min(held[0][0] if held else math.inf, gate.next_probe()) - now

    def _number(self) -> int:
        self._order += 1
        return self._order

    def _give(self, turn: Turn) -> None:
        if not turn.done():
            self._take()
            turn.set_result(None)

    def _ring(self, since: float, began: float) -> None:
        # A clock of a test may stand still: who waits for this moment must not wait for ever.
        told = since + asyncio.get_running_loop().time() - began
        if told - self._time() > _ROUNDING:
            self._passed = told
        self._timer = None
        self._serve()

    def _time(self) -> float:
        return max(self._now(), self._passed)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Pace:
    """The pace of slots after a cooldown: `count` of them over `ramp` seconds, faster and faster."""

    __slots__ = ("_count", "_given", "_ramp", "begins", "next")

    def __init__(self, begins: float, ramp: float, count: int) -> None:
        self.begins = self.next = begins
        self._ramp = ramp
        self._count = count
        self._given = 0

    def step(self) -> bool:
        """Count a slot; return whether the ramp is over."""
        self._given += 1
        self.next = self.begins + self._ramp * math.sqrt(self._given / self._count)
        return self._given > self._count


def _time_is_up(turn: asyncio.Future[None], timeout: float) -> None:
    if not turn.done():
        summary = f"no turn came within {timeout:g} s (Timeouts.queue); nothing was sent while waiting"
        turn.set_exception(RequestTimeoutError(summary, phase="queue"))
