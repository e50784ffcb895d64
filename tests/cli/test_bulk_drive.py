"""A bulk run that is driven: what is shown of it, and how it ends."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from thredfi_async.bulk import BulkStoppedError
from thredfi_async.cli.bulk.drive import Drive
from thredfi_async.cli.bulk.moment import Moment
from thredfi_async.cli.output import OutputError


class Run:
    """A run that gives so many results, and then one more thing: its end, an error, or nothing until it is drained."""

    def __init__(self, results: int, last: Exception | None = None, *, goes_on: bool = False) -> None:
        self.results, self.last, self.goes_on = results, last, goes_on
        self.drained = asyncio.Event()

    def drain(self) -> None:
        self.drained.set()

    async def __aiter__(self) -> AsyncIterator[object]:
        for number in range(self.results):
            yield number
        if self.goes_on:
            await self.drained.wait()
        if self.last is not None:
            raise self.last


class Shown:
    """A display that remembers, or that fails."""

    interval = 0.01

    def __init__(self, error: Exception | None = None) -> None:
        self.moments = 0
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.closed = False
        self.error = error
        self.twice = asyncio.Event()
        self.loop = asyncio.get_running_loop()

    def show(self, moment: Moment) -> None:
        if self.error is not None:
            raise self.error
        assert moment.done == 7
        self.moments += 1
        if self.moments == 2:
            self.loop.call_soon_threadsafe(self.twice.set)

    def say(self, name: str, sentence: str, /, **facts: Any) -> None:
        assert sentence
        self.said.append((name, facts))

    def close(self) -> None:
        self.closed = True


def look() -> Moment:
    """How far a run has come."""
    return Moment(elapsed=1.0, done=7)


async def test_to_its_end() -> None:
    """Every result is taken, and the terminal is left as it was."""
    shown = Shown()
    drive = Drive(Run(1000), shown, look)
    await drive()
    assert (drive.interrupted, drive.at_once, drive.unheard, shown.closed) == (None, False, None, True)


async def test_it_is_shown_every_so_often() -> None:
    """Moments are shown for as long as the run goes on."""
    run, shown = Run(0, goes_on=True), Shown()
    driven = asyncio.create_task(Drive(run, shown, look)())
    await shown.twice.wait()
    run.drain()
    await driven
    assert shown.moments >= 2


async def test_it_stops() -> None:
    """Why a run has stopped comes out, after the terminal was cleared."""
    shown = Shown()
    with pytest.raises(BulkStoppedError, match="the API is down"):
        await Drive(Run(3, BulkStoppedError("the API is down", cause="api_unavailable")), shown, look)()
    assert shown.closed


async def test_a_signal_is_told_before_the_end() -> None:
    """However fast a run is drained, the signal is reported."""
    run, shown = Run(0, goes_on=True), Shown()
    drive = Drive(run, shown, look)
    driven = asyncio.create_task(drive())
    await asyncio.sleep(0)
    drive._drain("SIGTERM")
    await driven
    assert drive.interrupted == "SIGTERM"
    assert shown.said == [("draining", {"signal": "SIGTERM"})]


async def test_a_display_that_fails() -> None:
    """When nothing can be shown any more, the run is drained, and the reason is kept."""
    error = OutputError("No space left on device")
    run = Run(0, goes_on=True)
    drive = Drive(run, Shown(error), look)
    await drive()
    assert run.drained.is_set()
    assert drive.unheard is error


async def test_it_is_cancelled() -> None:
    """A cancellation that no signal asked for goes on, and nothing is left running."""
    before = asyncio.all_tasks()
    shown = Shown()
    driven = asyncio.create_task(Drive(Run(0, goes_on=True), shown, look)())
    await shown.twice.wait()
    driven.cancel()
    with pytest.raises(asyncio.CancelledError):
        await driven
    assert shown.closed
    assert asyncio.all_tasks() <= before
