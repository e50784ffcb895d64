"""Background parts have names, are started again when they fail, and show when they come to a halt."""

import asyncio

import pytest
from clocks import FakeClock
from helpers import until

from thredfi_async.worker.conditions import Conditions
from thredfi_async.worker.supervision import Part, Supervisor


async def test_a_part_that_fails_is_started_again(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """A part that raises is named in the log without the exception's text, and runs again after growing waits."""
    failed: list[str] = []
    supervisor, runs = Supervisor(clock, on_failure=failed.append), 0

    async def work(_: Part) -> None:
        nonlocal runs
        runs += 1
        if runs < 4:
            raise ValueError("jane.roe@example.com")

    await supervisor.run("probes", work)
    assert (runs, failed, clock.sleeps) == (4, ["probes"] * 3, [1.0, 2.0, 4.0])
    assert "the part 'probes' failed with ValueError" in caplog.text
    assert "jane" not in caplog.text


async def test_a_part_that_cannot_come_back(clock: FakeClock) -> None:
    """After five failures in a row, a restart may help; when the part has run for a minute, no more."""
    supervisor, is_back, goes_on = Supervisor(clock), asyncio.Event(), asyncio.Event()

    async def work(part: Part) -> None:
        if part.failures < 5:
            raise ValueError
        part.rests()
        is_back.set()
        await goes_on.wait()

    running = asyncio.create_task(supervisor.run("probes", work))
    await is_back.wait()
    assert supervisor.troubles() == ["the part 'probes' has failed 5 times in a row"]
    clock.now += 61
    assert supervisor.troubles() == []
    goes_on.set()
    await running


async def test_a_part_that_rests_is_alive(clock: FakeClock) -> None:
    """A part that waits for something is alive, however long that takes; in a step, it has a minute."""
    supervisor, ends = Supervisor(clock), asyncio.Event()
    parts: list[Part] = []

    async def work(part: Part) -> None:
        parts.append(part)
        part.rests()
        await ends.wait()

    running = asyncio.create_task(supervisor.run("fetcher", work))
    await until(lambda: bool(parts))
    clock.now += 10_000
    assert supervisor.troubles() == []
    parts[0].beat()
    clock.now += 60
    assert supervisor.troubles() == []
    clock.now += 1
    assert supervisor.troubles() == ["the part 'fetcher' has not gone on for 61 s"]
    ends.set()
    await running
    assert supervisor.troubles() == []


async def test_cancelling_ends_a_part_that_fails_at_its_end(clock: FakeClock) -> None:
    """A part that raises while it is cancelled is not started again."""
    supervisor, runs = Supervisor(clock), 0

    async def work(_: Part) -> None:
        nonlocal runs
        runs += 1
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError

    running = asyncio.create_task(supervisor.run("connection", work))
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])
    assert isinstance(running.exception(), ValueError)
    assert runs == 1


def test_conditions(clock: FakeClock) -> None:
    """A condition keeps its beginning while its reason changes, ends or passes, and there is a bound on them."""
    conditions = Conditions(clock.monotonic)
    conditions.begin("nats", "refused")
    clock.now += 5
    conditions.begin("api", "down")
    conditions.begin("nats", "expired")
    assert conditions.lines() == ["expired (for 5 s)", "down (for 0 s)"]
    assert conditions.reason("nats") == "expired"
    conditions.end("nats")
    conditions.end("never begun")
    conditions.begin("denied", "no", lasts=60)
    clock.now += 61
    assert conditions.lines() == ["down (for 61 s)"]
    for number in range(1000):
        conditions.begin(str(number), "x")
    assert len(conditions.lines()) == 50
