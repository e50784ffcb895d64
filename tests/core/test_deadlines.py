"""Deadlines on one timer: each scope is cut off at its own time, as `asyncio.timeout_at` would do it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from thredfi_async._engine.deadlines import Deadlines


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
