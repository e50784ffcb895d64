"""The gate: open while the API is available, and one real message at a time while it is not."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from clocks import FakeClock
from helpers import until

from thredfi_async import APIError, ThredfiError
from thredfi_async.bulk import ItemState
from thredfi_async.worker import Decision, Done, Rejected, RetryLater
from thredfi_async.worker.gate import Gate, Permit

DONE = Done(state=ItemState.ARCHIVED, attempts=1)


def failure(cause: Any = "api", retry_after: float | None = None) -> RetryLater:
    """A call that failed."""
    error = APIError("503", status=503, retry_after=retry_after)
    return RetryLater(
        backoff=1.0, retry_after=retry_after or 0.0, code="http_503", reason="503", cause=cause, error=error
    )


class StepClock(FakeClock):
    """A clock whose sleeps last until the test ends them."""

    def __init__(self) -> None:
        super().__init__()
        self._wake = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self._wake.clear()
        await self._wake.wait()

    async def over(self) -> None:
        """End the current sleep."""
        count = len(self.sleeps)
        self._wake.set()
        for _ in range(20):
            if len(self.sleeps) > count:
                return
            await asyncio.sleep(0)


class Calls:
    """Calls through a gate that last until the test ends them."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.tasks: list[asyncio.Task[Decision]] = []
        self.running: list[tuple[int, bool, asyncio.Future[Decision]]] = []
        self.permits: dict[int, Permit] = {}

    def begin(self, number: int) -> None:
        """Start a call."""

        async def call(probe: bool) -> Decision:
            future: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
            self.running.append((number, probe, future))
            return await future

        permit = self.permits.setdefault(number, Permit())
        self.tasks.append(asyncio.create_task(self.gate.through(permit, call)))

    async def end(self, decision: Decision) -> int:
        """End the oldest call, and return its number."""
        await until(lambda: bool(self.running))
        number, _, future = self.running.pop(0)
        future.set_result(decision)
        await settle()
        return number


async def settle() -> None:
    """Let every task run as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def gate_of(**settings: Any) -> AsyncGenerator[tuple[Gate, Calls, StepClock]]:
    """A gate without jitter, with `tend` running."""
    clock = StepClock()
    gate = Gate(jitter=lambda: 1.0, clock=clock, **settings)
    calls = Calls(gate)
    tender = asyncio.create_task(gate.tend())
    try:
        yield gate, calls, clock
    finally:
        for task in (tender, *calls.tasks):
            task.cancel()
        await asyncio.gather(tender, *calls.tasks, return_exceptions=True)


async def fail(calls: Calls, times: int, decision: RetryLater | None = None) -> None:
    """Let this many calls fail, one after the other."""
    for number in range(times):
        calls.begin(number)
        await calls.end(decision or failure())


async def test_open() -> None:
    """While the API is available, calls go through at once, and in parallel."""
    async with gate_of() as (gate, calls, _):
        for number in range(3):
            calls.begin(number)
        await settle()
        assert [number for number, _, _ in calls.running] == [0, 1, 2]
        assert gate.is_open


async def test_it_closes_after_failures_in_a_row() -> None:
    """Five failures without a success in between close it; a success in between resets the count."""
    async with gate_of() as (gate, calls, _):
        await fail(calls, 4)
        calls.begin(9)
        await calls.end(DONE)
        await fail(calls, 4)
        assert calls.gate.is_open
        await fail(calls, 1)
        assert not gate.is_open
        assert (gate.cause, gate.reason) == ("api", "http_503")


async def test_refused_credentials_close_it_at_once() -> None:
    """One 401 is enough: it affects every message."""
    async with gate_of() as (gate, calls, _):
        await fail(calls, 1, failure("settings"))
        assert gate.cause == "settings"


async def test_a_closed_client_says_nothing_about_the_api() -> None:
    """Calls that end because this worker ends do not close it."""
    async with gate_of() as (gate, calls, _):
        await fail(calls, 9, failure("client"))
        assert gate.is_open


async def test_a_rejection_without_a_request_says_nothing_either() -> None:
    """A command refused before sending does not show that the API is available."""
    async with gate_of() as (gate, calls, clock):
        await fail(calls, 5)
        calls.begin(10)
        await settle()
        await clock.over()
        await calls.end(Rejected(code="invalid_request", reason="x", error=ThredfiError("x")))
        assert not gate.is_open


async def test_one_probe_at_a_time_at_growing_waits() -> None:
    """While it is closed, one message after another is tried, each after a longer wait, up to a limit."""
    async with gate_of(wait_initial=0.5, wait_max=3.0) as (gate, calls, clock):
        await fail(calls, 5)
        for number in (10, 11, 12):
            calls.begin(number)
        await settle()
        assert (calls.running, gate.waiting) == ([], 3)
        for number in (10, 11, 12):
            await clock.over()
            await settle()
            assert [(one, probe) for one, probe, _ in calls.running] == [(number, True)]
            await calls.end(failure())
            calls.begin(number)
            await settle()
        assert clock.sleeps == [0.5, 1.0, 2.0, 3.0]


async def test_a_probe_that_succeeds_opens_it_for_all() -> None:
    """When one message succeeds, all waiting messages go on, and none of them as a probe."""
    async with gate_of() as (gate, calls, clock):
        await fail(calls, 5)
        for number in (10, 11, 12):
            calls.begin(number)
        await settle()
        await clock.over()
        assert await calls.end(DONE) == 10
        assert gate.is_open
        assert [(number, probe) for number, probe, _ in calls.running] == [(11, False), (12, False)]
        assert (gate.cause, gate.waiting, gate.extra) == (None, 0, 0)


async def test_a_late_success_opens_it_too() -> None:
    """A call that started before it closed and succeeds shows that the API is available."""
    async with gate_of() as (gate, calls, clock):
        calls.begin(1)
        await settle()
        late = calls.running.pop()
        await fail(calls, 5)
        calls.begin(10)
        await settle()
        late[2].set_result(DONE)
        await settle()
        assert gate.is_open
        assert [number for number, _, _ in calls.running] == [10]
        await clock.over()  # `tend` finds nothing to do
        await fail(calls, 5)
        assert not gate.is_open


async def test_the_api_may_ask_for_more() -> None:
    """A Retry-After that is longer than the wait is respected."""
    async with gate_of() as (_, calls, clock):
        await fail(calls, 5, failure(retry_after=30.0))
        await settle()
        assert clock.sleeps == [30.0]


async def test_what_the_api_asked_for_ends_when_it_serves_another() -> None:
    """A message waits its backoff in any case, and the rest of a Retry-After only while the API serves no one."""
    async with gate_of() as (gate, calls, clock):
        resting = asyncio.create_task(gate.rest(failure(retry_after=300.0)))
        await settle()
        calls.begin(1)
        await calls.end(DONE)
        assert clock.sleeps == [1.0]
        await clock.over()
        assert clock.sleeps == [1.0, 299.0]
        assert not resting.done()
        calls.begin(2)
        await calls.end(DONE)
        await resting


async def test_what_rests_goes_to_the_gate_when_it_closes() -> None:
    """While the API is unavailable, probes are paced by the gate: a message that sleeps could not be one."""
    async with gate_of() as (gate, calls, clock):
        resting = asyncio.create_task(gate.rest(failure(retry_after=300.0)))
        await settle()
        await clock.over()
        await fail(calls, 5)
        await settle()
        assert resting.done()
        late = asyncio.create_task(gate.rest(failure(retry_after=300.0)))
        await settle()
        await clock.over()
        await settle()
        assert late.done()


async def test_an_old_wait_does_not_delay_a_new_outage() -> None:
    """A gate that opens and closes again forgets the long wait that the API had asked for before."""
    async with gate_of(wait_initial=0.5) as (gate, calls, clock):
        calls.begin(99)
        await settle()
        late = calls.running.pop()
        await fail(calls, 5, failure(retry_after=300.0))
        late[2].set_result(DONE)
        await settle()
        assert gate.is_open
        await fail(calls, 5)
        await settle()
        assert clock.sleeps == [300.0, 0.5]


async def test_refused_credentials_are_tried_less_often() -> None:
    """Refused credentials are probed more slowly."""
    async with gate_of(wait_initial=16.0, wait_max=5.0) as (_, calls, clock):
        await fail(calls, 1, failure("settings"))
        calls.begin(1)
        await settle()
        await clock.over()
        await calls.end(failure("settings"))
        assert clock.sleeps == [16.0, 30.0]


async def test_a_probe_that_is_cancelled() -> None:
    """When a probe's message is returned, the next one is still tried."""
    async with gate_of() as (_, calls, clock):
        await fail(calls, 5)
        calls.begin(10)
        first = calls.tasks[-1]
        calls.begin(11)
        await settle()
        await clock.over()
        await settle()
        assert [number for number, _, _ in calls.running] == [10]
        first.cancel()
        calls.running.clear()
        await settle()
        await clock.over()
        await settle()
        assert [number for number, _, _ in calls.running] == [11]


async def test_a_waiting_message_that_is_cancelled() -> None:
    """A message that is returned while it waits is not tried."""
    async with gate_of() as (gate, calls, clock):
        await fail(calls, 5)
        calls.begin(10)
        calls.tasks[-1].cancel()
        calls.begin(11)
        waiting = calls.tasks[-1]
        await settle()
        assert gate.waiting == 1
        waiting.cancel()
        calls.begin(12)
        await settle()
        await clock.over()
        await settle()
        assert [number for number, _, _ in calls.running] == [12]


async def test_it_takes_more_once_all_were_tried() -> None:
    """A few customers that the API cannot serve do not block the others: up to eight more messages are tried."""
    changes: list[int] = []
    async with gate_of() as (gate, calls, clock):
        gate.on_change = lambda: changes.append(gate.extra)
        await fail(calls, 5)
        calls.begin(10)
        await settle()
        for _ in range(12):
            await clock.over()
            await calls.end(failure())
            calls.begin(10)
            await settle()
        assert gate.extra == 8
        assert changes[:4] == [0, 1, 2, 3]  # closed, and then allowed more
        calls.begin(11)
        await settle()
        await clock.over()
        await settle()
        assert [number for number, _, _ in calls.running] == [11]


@pytest.mark.parametrize("decision", [DONE, Rejected(code="x", reason="x", attempts=1, error=ThredfiError("x"))])
async def test_a_proper_no_is_a_sign_of_life(decision: Decision) -> None:
    """An API that properly rejects a customer is available."""
    async with gate_of() as (gate, calls, clock):
        await fail(calls, 5)
        calls.begin(10)
        await settle()
        await clock.over()
        await calls.end(decision)
        assert gate.is_open
