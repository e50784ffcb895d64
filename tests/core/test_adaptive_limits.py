"""The adaptive limiter: a state machine tries every order of events without a loop, and cancellation runs on a loop."""

import asyncio
import contextlib
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Literal, TypeVar, cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from thredfi_async._engine.limiter import Limiter
from thredfi_async.errors import ClientStateError, RequestTimeoutError

T = TypeVar("T")
Kind = Literal["returning", "arriving", "odd"]

SECONDS = st.floats(0.001, 5.0)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Timer:
    def __init__(self, due: float, ring: Callable[[], None]) -> None:
        self.due, self.ring = due, ring
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class StandInLoop:
    """The parts of an event loop that the limiter uses; nothing in it runs by itself."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self._clock.now

    def get_debug(self) -> bool:
        return False

    def create_future(self) -> "asyncio.Future[None]":
        return asyncio.Future(loop=cast("asyncio.AbstractEventLoop", self))

    def call_later(self, delay: float, ring: Callable[..., None], *args: Any) -> Timer:
        timer = Timer(self._clock.now + delay, lambda: ring(*args))
        self.timers.append(timer)
        return timer

    def call_soon(self, *_: Any, **__: Any) -> None:
        raise AssertionError("nothing is to be put off")

    def ring(self) -> None:
        """Run the timers that are due."""
        while due := [timer for timer in self.timers if timer.due <= self._clock.now and not timer.cancelled]:
            self.timers.remove(due[0])
            due[0].ring()

    def run(self, step: Callable[[], T]) -> T:
        """Run a function as if this loop were running."""
        outer = asyncio._get_running_loop()
        asyncio._set_running_loop(cast("asyncio.AbstractEventLoop", self))
        try:
            return step()
        finally:
            asyncio._set_running_loop(outer)


class Waiter:
    """A coroutine that waits for a slot and is resumed by hand, as a task would resume it."""

    def __init__(self, work: Coroutine[Any, Any, None], kind: Kind) -> None:
        self._work = work
        self.kind: Kind = kind
        self.turn: asyncio.Future[None] | None = None
        with contextlib.suppress(StopIteration):  # a slot was free
            self.turn = work.send(None)

    @property
    def has_turn(self) -> bool:
        return self.turn is not None and self.turn.done() and not self.turn.cancelled()

    @property
    def is_over(self) -> bool:
        return inspect.getcoroutinestate(self._work) == inspect.CORO_CLOSED

    def resume(self) -> None:
        with pytest.raises(StopIteration):
            self._work.send(None)

    def cancel(self) -> None:
        assert self.turn is not None
        self.turn.cancel()  # does nothing if the slot has already come: then the task is cancelled instead
        with pytest.raises(asyncio.CancelledError):
            self._work.throw(asyncio.CancelledError())


class LimiterMachine(RuleBasedStateMachine):
    """Events in any order, and the invariants after each."""

    waiting = Bundle[Waiter]("waiting")

    @initialize(limit=st.integers(1, 12))
    def start(self, limit: int) -> None:
        self.clock = Clock()
        self.loop = StandInLoop(self.clock)
        self.limit = limit
        self.limiter = Limiter(limit, self.clock.monotonic, vary=lambda: 0.5)
        self.holders = 0
        self.granted: list[Waiter] = []
        self.queues: dict[Kind, list[Waiter]] = {"returning": [], "arriving": [], "odd": []}
        # Of the turn that was given last; none if several were given at once.
        self.last: Kind | None = "arriving"
        self.tickets = [self.limiter.ticket]
        self.quiet_until = 0.0

    # -- events

    @rule(target=waiting, kind=st.sampled_from(["returning", "arriving", "odd"]))
    def wait(self, kind: Kind) -> Waiter:
        returning, odd = kind == "returning", kind == "odd"
        waiter = self.loop.run(lambda: Waiter(self.limiter.acquire(None, returning=returning, odd=odd), kind))
        if waiter.is_over:
            assert not any(self.queues.values())
            self._check_pace()
            self.holders += 1
            self.last = kind
        else:
            self.queues[kind].append(waiter)
        self._check_grants()
        return waiter

    @rule()
    def try_to_take(self) -> None:
        free = self.limiter.window - self.limiter.in_use
        if self.limiter.acquire_nowait():
            assert free > 0
            assert not any(self.queues.values())
            self._check_pace()
            self.holders += 1

    @precondition(lambda self: self.granted)
    @rule()
    def resume(self) -> None:
        self.granted.pop(0).resume()
        self.holders += 1

    @rule(waiter=consumes(waiting))
    def cancel(self, waiter: Waiter) -> None:
        if waiter.is_over:
            return
        (self.granted if waiter.has_turn else self.queues[waiter.kind]).remove(waiter)
        self.loop.run(waiter.cancel)
        self._check_grants()

    @precondition(lambda self: self.holders)
    @rule()
    def release(self) -> None:
        self.holders -= 1
        self.loop.run(self.limiter.release)
        self._check_grants()

    @rule()
    def answer_well(self) -> None:
        self.loop.run(lambda: self.limiter.answered_well(self.limiter.ticket))
        self._check_grants()

    @rule(hold=st.just(0.0) | SECONDS, stale=st.booleans())
    def throttle(self, hold: float, stale: bool) -> None:
        ticket = self.tickets[0 if stale else -1]
        self.limiter.throttled(ticket, hold)
        # As a call does next, by releasing its slot.
        self.loop.run(self.limiter.serve)
        self._check_grants()
        self.tickets.append(self.limiter.ticket)
        self.quiet_until = max(self.quiet_until, self.clock.now + hold if hold else 0.0)

    @rule(seconds=SECONDS)
    def hold_back(self, seconds: float) -> None:
        self.limiter.hold_back(seconds)
        self.quiet_until = max(self.quiet_until, self.clock.now + seconds)

    @rule(seconds=SECONDS)
    def let_time_pass(self, seconds: float) -> None:
        end = self.clock.now + seconds
        while due := [timer.due for timer in self.loop.timers if not timer.cancelled and timer.due <= end]:
            self.clock.now = max(self.clock.now, min(due))
            self.loop.run(self.loop.ring)
            self._check_grants()
        self.clock.now = end

    # -- invariants

    @invariant()
    def bounds_hold(self) -> None:
        assert 1 <= self.limiter.window <= self.limit
        assert self.limiter.in_use == self.holders + len(self.granted)
        assert self.limiter.in_use <= self.limit

    @invariant()
    def nobody_is_forgotten(self) -> None:
        if any(self.queues.values()) and self.limiter.in_use < self.limiter.window:
            assert any(not timer.cancelled for timer in self.loop.timers)

    @invariant()
    def one_timer_at_most(self) -> None:
        assert sum(not timer.cancelled for timer in self.loop.timers) <= 1

    def teardown(self) -> None:
        """In the end, every call that still waits gets a turn."""
        self.let_time_pass(20.0)
        while self.holders or self.granted or any(self.queues.values()):
            while self.granted:
                self.resume()
            while self.holders:
                self.release()
            self.let_time_pass(200.0)
        assert not any(self.queues.values())
        assert self.limiter.in_use == 0
        self.loop.run(self.limiter.close)
        assert not [timer for timer in self.loop.timers if not timer.cancelled]

    def _check_grants(self) -> None:
        """Slots go to the call that waited longest; returning and arriving ones take turns, odd ones are last."""
        counts = dict[Kind, int]()
        for kind, queue in self.queues.items():
            count = counts[kind] = sum(waiter.has_turn for waiter in queue)
            assert all(waiter.has_turn for waiter in queue[:count])
            assert not count or self.limiter.in_use <= self.limiter.window
            for _ in range(count):
                self._check_pace()
                self.granted.append(queue.pop(0))
        if self.queues["returning"]:
            assert counts["arriving"] <= counts["returning"] + (self.last in {"returning", None})
        if self.queues["arriving"]:
            assert counts["returning"] <= counts["arriving"] + (self.last != "returning")
        given: list[Kind] = [kind for kind, count in counts.items() for _ in range(count)]
        if given:
            self.last = given[0] if len(given) == 1 else None
        assert not counts["odd"] or not (self.queues["returning"] or self.queues["arriving"])

    def _check_pace(self) -> None:
        assert self.clock.now >= self.quiet_until
        assert self.limiter.cooldown() == 0.0


TestLimiterMachine = LimiterMachine.TestCase
TestLimiterMachine.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


def test_slots_after_a_cooldown_do_not_come_all_at_once() -> None:
    """An outage teaches no pace, but what has waited for its end is sent as a client begins: a few, and soon more."""
    clock, given = Clock(), list[int]()
    loop, limiter = StandInLoop(clock), Limiter(40, clock.monotonic)
    for _ in range(40):
        clock.now += 1.0
        assert limiter.acquire_nowait()
        limiter.release()
    limiter.hold_back(4.0)
    assert not limiter.acquire_nowait()
    turns = [loop.run(lambda: limiter.queue(None)) for _ in range(100)]
    for tenth in range(5):
        while due := [t.due for t in loop.timers if not t.cancelled and t.due <= 1044.000001 + tenth / 10]:
            clock.now = min(due)
            loop.run(loop.ring)
        given.append(limiter.in_use)
    assert sum(turn.done() for turn in turns) == limiter.in_use
    assert given == [10, 20, 30, 40, 40]


# On a loop


def limiter_of(slots: int) -> Limiter:
    """Return a limiter that uses the loop's clock."""
    return Limiter(slots, asyncio.get_running_loop().time)


async def taken(limiter: Limiter, *, timeout: float | None = None, returning: bool = False) -> None:  # noqa: ASYNC109 - as the limiter's own
    """Take a slot, keep it for a moment, release it."""
    await limiter.acquire(timeout, returning=returning)
    try:
        await asyncio.sleep(0)
    finally:
        limiter.release()


@pytest.mark.parametrize("moment", range(8))
async def test_waiter_cancelled_at_any_moment_loses_no_slot(moment: int) -> None:
    """Before its turn, in the moment of it, or while it holds the slot: the slot goes to the next call."""
    limiter = limiter_of(1)
    tasks = [asyncio.create_task(taken(limiter)) for _ in range(4)]
    for _ in range(moment):
        await asyncio.sleep(0)
    tasks[1].cancel()
    async with asyncio.timeout(2):
        await asyncio.gather(*tasks, return_exceptions=True)
    assert limiter.in_use == 0
    assert limiter.acquire_nowait()


async def test_cancellation_in_the_moment_of_the_turn_hands_the_slot_on() -> None:
    """A task that is cancelled after its turn came but before it ran passes the slot on."""
    limiter = limiter_of(1)
    assert limiter.acquire_nowait()
    first, second = (asyncio.create_task(limiter.acquire(None)) for _ in range(2))
    await asyncio.sleep(0)
    limiter.release()
    first.cancel()
    async with asyncio.timeout(2):
        await second
    assert first.cancelled()
    assert limiter.in_use == 1


@pytest.mark.parametrize("release_first", [False, True])
async def test_timeout_in_the_moment_of_the_turn_loses_no_slot(*, release_first: bool) -> None:
    """The first of the timeout and the turn wins, and the slot is not lost."""
    limiter = limiter_of(1)
    assert limiter.acquire_nowait()
    waiter = asyncio.create_task(limiter.acquire(0.01))
    await asyncio.sleep(0)
    if release_first:
        limiter.release()
        await waiter
    else:
        with pytest.raises(RequestTimeoutError, match=r"no turn came within 0\.01 s") as caught:
            await waiter
        assert caught.value.phase == "queue"
        limiter.release()
        assert limiter.acquire_nowait()
    assert limiter.in_use == 1


async def test_cooldown_holds_back_waiters_until_it_has_passed_and_leaves_no_timer() -> None:
    """One timer serves all waiters after the cooldown, and is gone afterwards."""
    limiter, now = limiter_of(8), asyncio.get_running_loop().time
    limiter.throttled(limiter.ticket, 0.05)
    ends = now() + limiter.cooldown()
    assert not limiter.acquire_nowait()
    began: list[float] = []

    async def wait() -> None:
        await taken(limiter)
        began.append(now())

    await asyncio.gather(*(wait() for _ in range(20)))
    assert min(began) >= ends
    assert limiter.cooldown() == 0.0
    assert limiter._timer is None


async def test_timer_of_a_cooldown_whose_waiters_were_cancelled_ends_with_the_limiter() -> None:
    """No call waits any longer, and closing leaves nothing on the loop."""
    limiter = limiter_of(1)
    limiter.throttled(limiter.ticket, 60.0)
    waiter = asyncio.create_task(limiter.acquire(None))
    await asyncio.sleep(0)
    timer = limiter._timer
    assert timer is not None
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    limiter.close()
    assert timer.cancelled()
    assert limiter._timer is None


async def test_closing_ends_every_wait_with_a_reason() -> None:
    """Closing ends the waits of returning and arriving calls; one that was cancelled before stays cancelled."""
    limiter = limiter_of(1)
    assert limiter.acquire_nowait()
    tasks = [asyncio.create_task(limiter.acquire(None, returning=returning)) for returning in (True, False, False)]
    await asyncio.sleep(0)
    tasks[2].cancel()
    limiter.close()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(end) for end in ends] == [ClientStateError, ClientStateError, asyncio.CancelledError]
    limiter.release()
    assert limiter.in_use == 0


async def test_longer_cooldown_that_comes_later_moves_the_end_and_a_shorter_one_does_not() -> None:
    """The longest cooldown that the API asked for applies, whatever comes later."""
    limiter = limiter_of(4)
    limiter.throttled(limiter.ticket, 10.0)
    limiter.throttled(limiter.ticket, 1.0)
    assert 9.0 < limiter.cooldown() <= 10.0
    limiter.throttled(limiter.ticket, 20.0)
    assert 19.0 < limiter.cooldown() <= 20.0
