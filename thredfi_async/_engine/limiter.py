"""How many requests may be under way at once, who is next, and when nobody is."""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import Final

import attrs

from thredfi_async._engine.learned_rate import LearnedRate
from thredfi_async.errors import ClientStateError, RequestTimeoutError

_LONGEST_RAMP: Final = 1.0


@attrs.frozen(kw_only=True)
class Limits:
    """One look at a client's limits.

    Args:
        in_use: Requests that are in flight.
        waiting: Calls that wait for their turn; one that was cancelled counts until its turn would have come.
        max_in_flight: Requests that may be in flight at once, as things are.
        rate: Requests a second that the client allows itself, learned from throttling; None while it knows none.
        cooldown: Seconds for which the API has asked every call to wait still; 0 if it has not.
    """

    in_use: int
    waiting: int
    max_in_flight: int
    rate: float | None
    cooldown: float


class Limiter:
    """Slots for requests: as many as the API bears, first come, first served.

    Waiting for a slot happens here and not in the connection pool, where it would spend the request's timeouts.
    A slot is a number, not an object: whoever acquired one releases one.

    - Its window grows by one for a window's worth of good answers, and is halved when the API throttles: once for all
      requests that were under way together, since they all tell of the same moment.
    - A cooldown holds back every slot. After it slots are given at a growing pace, one window's worth over as long as
      the cooldown was, a second at most; the calls that it held back would otherwise arrive as one herd.
    - An API that says again and again that requests are too many teaches a rate, by which slots are spaced out.

    State changes in synchronous functions only, and no task is behind it, only a timer while a cooldown has waiters.

    Args:
        limit: The window's upper bound, and its start.
        now: Tells the time, in monotonic seconds.
    """

    def __init__(self, limit: int, now: Callable[[], float]) -> None:
        """Start with every slot free."""
        self._limit = limit
        self._now = now
        self._window = float(limit)
        self._in_use = 0
        self._halvings = 0
        # A call that comes back for another attempt came first, whenever it comes back.
        self._returning: deque[asyncio.Future[None]] = deque()
        self._arriving: deque[asyncio.Future[None]] = deque()
        self._pace: _Pace | None = None
        self._rate: LearnedRate | None = None
        self._timer: asyncio.TimerHandle | None = None
        # Asked for once: it is a tenth of what waiting costs.
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
        """Slots that may be taken at once, as things are."""
        return int(self._window)

    @property
    def generation(self) -> int:
        """The number of halvings so far: a request remembers it, and gives it back with `throttled`."""
        return self._halvings

    def cooldown(self) -> float:
        """Return the seconds for which every call is held back still; 0 without a cooldown."""
        return 0.0 if self._pace is None else max(0.0, self._pace.begins - self._now())

    def limits(self) -> Limits:
        """Look at all of it."""
        return Limits(
            in_use=self.in_use,
            waiting=self.waiting,
            max_in_flight=self.window,
            rate=None if self._rate is None else self._rate.allowed(self._now()),
            cooldown=self.cooldown(),
        )

    def acquire_nowait(self) -> bool:
        """Take a slot if one is to be had and nobody waits; say whether it was."""
        if self._returning or self._arriving or not self._has_slot():
            return False
        self._take()
        return True

    async def acquire(self, timeout: float | None, *, returning: bool = False) -> None:  # noqa: ASYNC109 - a bare timer costs less than a scope
        """Wait for a slot.

        Args:
            timeout: Seconds to wait at most, or None.
            returning: Whether the call has had a slot before; such calls go first.

        Raises:
            RequestTimeoutError: The time was up; the phase is `queue`.
            ClientStateError: The client was closed meanwhile.
        """
        turn = self.queue(timeout, returning=returning)
        try:
            await turn
        except BaseException:
            self.leave(turn)
            raise

    def queue(self, timeout: float | None, *, returning: bool = False) -> asyncio.Future[None]:
        """Stand in the queue, as `acquire` does, without a coroutine for each who waits.

        Returns:
            What to await: its result is a slot. Whoever gets an exception there has to `leave`.
        """
        loop = self._loop = self._loop or asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        (self._returning if returning else self._arriving).append(turn)
        if self._in_use < self._window:
            self._serve()
        if timeout is not None:
            timer = loop.call_later(timeout, _time_is_up, turn, timeout)
            turn.add_done_callback(lambda _: timer.cancel())
        return turn

    def leave(self, turn: asyncio.Future[None]) -> None:
        """Stand in the queue no longer; a slot that came in the same moment is handed on."""
        if not turn.cancel() and not turn.cancelled() and turn.exception() is None:
            self.release()

    def release(self) -> None:
        """Give a slot back; whoever waits longest has it next."""
        self._in_use -= 1
        if self._returning or self._arriving:
            self._serve()

    def answered_well(self) -> None:
        """Learn that the API bears what it gets."""
        if self._rate is not None and self._rate.answered_well(self._now()):
            self._rate = None
        if self._window < self._limit:
            self._window = min(float(self._limit), self._window + 1.0 / self._window)
            self._serve()

    def throttled(self, generation: int, hold: float, *, too_many: bool = True) -> None:
        """Learn that the API gets too much.

        Args:
            generation: What `generation` was when the request took its slot.
            hold: Seconds for which the API wants peace; 0 if it does not say.
            too_many: Whether it says that the requests were too many, from which a rate is learned. An API that is
                unavailable now and then may be so at any rate.
        """
        now = self._now()
        if generation == self._halvings:
            self._halvings += 1
            self._window = max(1.0, self._window / 2)
        if too_many:
            self._rate = self._rate or LearnedRate(now)
            self._rate.throttled(now, now + max(hold, self.cooldown()))
        if hold > self.cooldown():
            self._pace = _Pace(now + hold, min(hold, _LONGEST_RAMP), self.window)

    def close(self) -> None:
        """End every wait with a ClientStateError."""
        for turns in (self._returning, self._arriving):
            while turns:
                turn = turns.popleft()
                if not turn.done():
                    turn.set_exception(ClientStateError("the client was closed while this call waited for its turn"))
        self._stop_timer()

    def _has_slot(self) -> bool:
        return self._in_use + 1 <= self._window and (self._is_unpaced() or self._now() >= self._next())

    def _is_unpaced(self) -> bool:
        return self._pace is None and self._rate is None

    def _next(self) -> float:
        """When the next slot may be given, if one is free."""
        pace = -math.inf if self._pace is None else self._pace.next
        return pace if self._rate is None else max(pace, self._rate.next)

    def _take(self) -> None:
        self._in_use += 1
        if self._pace is not None and self._pace.step():
            self._pace = None
        if self._rate is not None:
            self._rate.take(self._now())

    def _serve(self) -> None:
        """Give out what is to be had, and come back when the pace allows more."""
        for turns in (self._returning, self._arriving):
            while turns and (turns[0].done() or self._has_slot()):
                turn = turns.popleft()
                if not turn.done():
                    self._take()
                    turn.set_result(None)
        waiting = bool(self._returning or self._arriving)
        # One timer, which may ring too early after the pace was moved: then it is set anew. Without a free slot,
        # whoever gives one back comes here.
        if waiting and not self._is_unpaced() and self._timer is None and self._in_use < self.window:
            self._timer = asyncio.get_running_loop().call_later(self._next() - self._now(), self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._serve()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Pace:
    """When the next slot may be given after a cooldown: `count` of them over `ramp` seconds, ever faster."""

    __slots__ = ("_count", "_given", "_ramp", "begins", "next")

    def __init__(self, begins: float, ramp: float, count: int) -> None:
        self.begins = self.next = begins
        self._ramp = ramp
        self._count = count
        self._given = 0

    def step(self) -> bool:
        """Count a slot; say whether the ramp is over."""
        self._given += 1
        self.next = self.begins + self._ramp * math.sqrt(self._given / self._count)
        return self._given > self._count


def _time_is_up(turn: asyncio.Future[None], timeout: float) -> None:
    if not turn.done():
        summary = f"no turn came within {timeout:g} s (Timeouts.queue); nothing was sent while waiting"
        turn.set_exception(RequestTimeoutError(summary, phase="queue"))
