"""A caller's clock that steps, jumps or fails: its time never goes back, and reading it never raises."""

import asyncio
from typing import TYPE_CHECKING

import pytest
from clocks import FakeClock
from hypothesis import given, settings
from hypothesis import strategies as st

from thredfi_async._engine.steady_clock import SteadyClock

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR, DAY, YEAR = 3600.0, 86_400.0, 31_557_600.0


class Readings:
    """A clock with these readings; an exception among them is raised."""

    def __init__(self, *readings: float | Exception) -> None:
        self._readings: Iterator[float | Exception] = iter(readings)

    def monotonic(self) -> float:
        reading = next(self._readings)
        if isinstance(reading, Exception):
            raise reading
        return reading

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


def told(*readings: float | Exception) -> list[float]:
    """Return what a steady clock tells when the clock below it has these readings."""
    clock = SteadyClock(Readings(readings[0], *readings))  # it is read once at its start
    return [clock.monotonic() for _ in readings]


def test_a_good_clock_is_believed() -> None:
    """A clock that never goes back is passed on, however it starts and however far it jumps."""
    assert told(-5.0, -5.0, 0.0, 1.5, YEAR) == [-5.0, -5.0, 0.0, 1.5, YEAR]


@pytest.mark.parametrize("step", [0.001, HOUR, DAY, 100 * YEAR])
def test_a_step_back_is_not_believed(step: float) -> None:
    """After a step back, time goes on from where it was: what was due in a second is due in a second."""
    first, second, third, fourth = told(1e9, 1e9 - step, 1e9 - step, 1e9 - step + 1.0)
    assert first == second == third == 1e9
    assert fourth == pytest.approx(1e9 + 1.0)


def test_steps_back_are_summed() -> None:
    """Every step back is made good."""
    assert told(100.0, 90.0, 91.0, 50.0, 52.0, 100.0) == [100.0, 100.0, 101.0, 101.0, 103.0, 151.0]


def test_time_stands_still_while_the_clock_fails() -> None:
    """An exception of the clock is no one's business: timers read it, where no one would hear of it."""
    assert told(10.0, OSError(), ValueError(), 11.0, 5.0, OSError(), 6.0) == [10.0, 10.0, 10.0, 11.0, 11.0, 11.0, 12.0]


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.lists(st.floats(-1e9, 1e9) | st.just(OSError()), min_size=1))
def test_time_never_goes_back(readings: list[float | Exception]) -> None:
    """Whatever a clock does after its first reading, its time only grows."""
    times = told(0.0, *readings)
    assert times == sorted(times)


async def test_it_sleeps_as_the_clock_below_does() -> None:
    """A sleep is the caller's clock's own."""
    below = FakeClock()
    clock = SteadyClock(below)
    before = clock.monotonic()
    await clock.sleep(2.5)
    assert (below.sleeps, clock.monotonic() - before) == ([2.5], 2.5)


async def test_a_sleep_that_returns_at_once_lets_the_loop_go_on() -> None:
    """A clock of a test may not wait at all: what else is to run runs all the same."""

    class Hasty(Readings):
        async def sleep(self, seconds: float) -> None:
            del seconds

    clock, ran = SteadyClock(Hasty(0.0)), asyncio.Event()
    asyncio.get_running_loop().call_soon(ran.set)
    while not ran.is_set():
        await clock.sleep(1.0)
