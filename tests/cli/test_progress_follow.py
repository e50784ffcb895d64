"""Work that is followed: what is shown of it, and how signals and a stdout that fails end it."""

import asyncio
import os
import signal
from typing import Any

import pytest

from thredfi_async.bulk import BulkStoppedError
from thredfi_async.cli.output import OutputError
from thredfi_async.cli.progress.follow import Followed, follow
from thredfi_async.cli.progress.rate import Progress, Rate


class Shown:
    """A display that remembers, or that fails."""

    interval = 0.01

    def __init__(self, error: Exception | None = None) -> None:
        self.moments: list[Progress] = []
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.closed = False
        self.error = error
        self.twice, self.ending = asyncio.Event(), asyncio.Event()
        self.loop = asyncio.get_running_loop()

    def show(self, progress: Progress, rate: Rate) -> None:
        if self.error is not None:
            raise self.error
        assert progress.done == 7
        self.moments.append(progress)
        if len(self.moments) == 2:
            self.loop.call_soon_threadsafe(self.twice.set)
        if progress.ends:
            self.loop.call_soon_threadsafe(self.ending.set)

    def say(self, name: str, sentence: str, /, **facts: Any) -> None:
        assert sentence == "SIGTERM: it ends; once more ends it at once."
        self.said.append((name, facts))

    def close(self) -> None:
        self.closed = True


class Work:
    """Work that ends when it is drained, or with an error."""

    def __init__(self, error: Exception | None = None, *, endless: bool = False) -> None:
        self.drained = asyncio.Event()
        self.error, self.endless = error, endless

    async def __call__(self) -> None:
        if self.error is not None:
            raise self.error
        await self.drained.wait()
        if self.endless:
            await asyncio.get_running_loop().create_future()


async def followed(work: Work, shown: Shown) -> Followed:
    """Follow it."""
    return await follow(
        work(),
        look=lambda: Progress(title="Working", elapsed=1.0, done=7),
        drain=work.drained.set,
        draining="it ends",
        display=shown,
    )


async def test_to_its_end() -> None:
    """Work that ends at once is waited for, and the terminal is left as it was."""
    work, shown = Work(), Shown()
    work.drained.set()
    assert await followed(work, shown) == Followed()
    assert shown.closed


async def test_it_is_shown_every_so_often() -> None:
    """Moments are shown for as long as the work goes on."""
    work, shown = Work(), Shown()
    following = asyncio.create_task(followed(work, shown))
    await shown.twice.wait()
    work.drained.set()
    await following
    assert len(shown.moments) >= 2
    assert not any(each.ends for each in shown.moments)


async def test_it_stops() -> None:
    """The work's own error comes out, after the terminal was cleared."""
    shown = Shown()
    with pytest.raises(BulkStoppedError, match="the API is down"):
        await followed(Work(BulkStoppedError("the API is down", cause="api_unavailable")), shown)
    assert shown.closed


@pytest.mark.skipif(os.name == "nt", reason="loops take no signals on Windows")
async def test_a_signal_is_told_before_the_end() -> None:
    """However fast the work is drained, the signal is reported."""
    shown = Shown()
    following = asyncio.create_task(followed(Work(), shown))
    await shown.twice.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    assert (await following).interrupted == "SIGTERM"
    assert shown.said == [("draining", {"signal": "SIGTERM"})]


@pytest.mark.skipif(os.name == "nt", reason="loops take no signals on Windows")
async def test_what_ends_has_no_time_left_and_a_second_signal_ends_it_at_once() -> None:
    """After the first signal every moment says that it ends; the second one cuts the work off."""
    work, shown = Work(endless=True), Shown()
    following = asyncio.create_task(followed(work, shown))
    await shown.twice.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    await shown.ending.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    found = await following
    assert (found.interrupted, found.at_once, shown.closed) == ("SIGTERM", True, True)


async def test_a_display_that_fails() -> None:
    """When nothing can be shown any more, the work is drained, and the reason is kept."""
    error = OutputError("No space left on device")
    work = Work()
    found = await followed(work, Shown(error))
    assert work.drained.is_set()
    assert found.unheard is error


async def test_it_is_cancelled() -> None:
    """A cancellation that no signal asked for goes on, and nothing is left running."""
    before = asyncio.all_tasks()
    shown = Shown()
    following = asyncio.create_task(followed(Work(), shown))
    await shown.twice.wait()
    following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await following
    assert shown.closed
    assert asyncio.all_tasks() <= before
