"""Deadlines on one timer: each scope is cut off at its own time, as `asyncio.timeout_at` would do it."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator

import pytest
from growth import assert_linear

from thredfi_async._engine.deadlines import Deadline, Deadlines


@pytest.fixture
async def deadlines() -> AsyncIterator[Deadlines]:
    """Yield deadlines whose timer is stopped at the end."""
    deadlines = Deadlines()
    yield deadlines
    deadlines.close()


async def never(deadlines: Deadlines, seconds: float) -> None:
    """Wait for ever, under a deadline that is so many seconds away."""
    loop = asyncio.get_running_loop()
    with deadlines.scope() as deadline:
        deadline.reschedule(loop.time() + seconds)
        await loop.create_future()


async def ended_after(deadlines: Deadlines, seconds: float) -> float:
    """Return after how many seconds a scope with this deadline is cut off."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(TimeoutError):
        await never(deadlines, seconds)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    return loop.time() - began


async def test_each_scope_has_its_own_deadline(deadlines: Deadlines) -> None:
    """In whatever order deadlines are set, no scope waits for another and none is cut off early."""
    wanted = [0.04, 0.02, 0.06, 0.03]
    took = await asyncio.gather(*(ended_after(deadlines, seconds) for seconds in wanted))
    # uvloop's timers count in whole milliseconds.
    assert all(seconds - 0.002 <= spent < seconds + 0.1 for seconds, spent in zip(wanted, took, strict=True))
    assert sorted(range(4), key=wanted.__getitem__) == sorted(range(4), key=took.__getitem__)


async def test_a_deadline_that_has_passed_cuts_at_once(deadlines: Deadlines) -> None:
    """A deadline in the past expires at once."""
    assert await ended_after(deadlines, -1.0) < 0.1


async def test_a_deadline_can_be_moved_and_lifted(deadlines: Deadlines) -> None:
    """The last call to `reschedule` wins, and a scope that ended before its deadline is not cut off."""
    loop = asyncio.get_running_loop()
    with deadlines.scope() as deadline:
        deadline.reschedule(loop.time() + 0.001)
        deadline.reschedule(None)
        await asyncio.sleep(0.01)
    with deadlines.scope() as deadline:
        deadline.reschedule(loop.time() + 0.01)
        deadline.reschedule(loop.time() + 60)
        await asyncio.sleep(0.02)
    assert not deadline.expired()


async def test_a_timer_that_nobody_needs_any_more_does_no_harm(deadlines: Deadlines) -> None:
    """The timer of a scope that has ended expires without effect, and is set for the next deadline."""
    with deadlines.scope() as deadline:
        deadline.reschedule(asyncio.get_running_loop().time() + 0.005)
    assert await ended_after(deadlines, 0.03) >= 0.028


async def test_a_cancellation_from_outside_stays_one(deadlines: Deadlines) -> None:
    """Only the scope's own cancellation becomes a TimeoutError, even if both come in the same moment."""
    for deadline in (60.0, -1.0):
        task = asyncio.create_task(never(deadlines, deadline))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_very_many_deadlines_cost_little(deadlines: Deadlines) -> None:
    """Each of many deadlines costs the logarithm of their number, in whatever order they are set and lifted."""
    now = asyncio.get_running_loop().time()

    def set_and_lift(scopes: list[Deadline]) -> None:
        many = len(scopes)
        for number, scope in enumerate(scopes):
            scope.reschedule(now + 60.0 + number * 7919 % many)
            scope.reschedule(now + 50.0 - number / many)
            scope.reschedule(now + 60.0 + number)
        assert many <= len(deadlines._heap) <= 2 * many + 64 + 1
        for scope in scopes[::2]:
            scope.reschedule(None)
        assert many / 2 <= len(deadlines._heap) <= many + 64 + 1
        for scope in scopes:
            scope.reschedule(None)

    # A list that is searched for each is quadratic.
    assert_linear(set_and_lift, lambda many: [deadlines.scope() for _ in range(many)], 500)
    await ended_after(deadlines, 0.005)
    assert len(deadlines._heap) <= 64 + 1


async def test_what_has_ended_is_let_go(deadlines: Deadlines) -> None:
    """Nothing of a call is kept until its deadline: neither its task nor the record that it returned."""

    class Record:
        pass

    async def call() -> Record:
        with deadlines.scope() as deadline:
            deadline.reschedule(asyncio.get_running_loop().time() + 60.0)
            await asyncio.sleep(0)
        return Record()

    records = [weakref.ref(record) for record in await asyncio.gather(*(call() for _ in range(1000)))]
    await asyncio.sleep(0)
    gc.collect()
    assert sum(record() is not None for record in records) == 0


async def test_what_has_ended_does_not_pile_up(deadlines: Deadlines) -> None:
    """A client that makes calls for ever, each over long before its deadline, keeps few of them."""
    loop = asyncio.get_running_loop()
    for _ in range(10_000):
        with deadlines.scope() as deadline:
            deadline.reschedule(loop.time() + 60.0)
            deadline.reschedule(loop.time() + 30.0)
    assert len(deadlines._heap) <= 64 + 2
    assert deadlines._waiting == 0


async def test_all_that_are_due_ring_together(deadlines: Deadlines) -> None:
    """A thousand deadlines at one time ring in one turn of the timer, and each scope once."""
    moment = asyncio.get_running_loop().time() + 0.01

    async def wait() -> None:
        with deadlines.scope() as deadline:
            deadline.reschedule(moment)
            deadline.reschedule(moment)
            await asyncio.get_running_loop().create_future()

    ends = await asyncio.gather(*(wait() for _ in range(1000)), return_exceptions=True)
    assert {type(end) for end in ends} == {TimeoutError}
    assert (deadlines._waiting, deadlines._heap) == (0, [])


async def test_another_error_goes_through(deadlines: Deadlines) -> None:
    """A scope that fails at its deadline raises its own error."""

    async def fail_late() -> None:
        try:
            await never(deadlines, 60.0)
        except asyncio.CancelledError:
            raise KeyError from None

    async def work() -> None:
        with deadlines.scope() as deadline:
            deadline.reschedule(asyncio.get_running_loop().time() - 1.0)
            await fail_late()

    with pytest.raises(KeyError):
        await work()
