"""Follows work to its end: shows how far it is, and passes signals on; the one way for everything that runs long."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from thredfi_async.cli.output import OutputError, ReaderGoneError
from thredfi_async.cli.progress.display import Display
from thredfi_async.cli.progress.rate import Progress, Rate
from thredfi_async.cli.progress.signals import Interruption, listening


@dataclass
class Followed:
    """How the work came to its end.

    Attributes:
        interrupted: The signal that ended it, or None.
        at_once: Whether a second one did.
        unheard: Why stdout could no longer be written, or None; the work was drained then.
    """

    interrupted: str | None = None
    at_once: bool = False
    unheard: OutputError | ReaderGoneError | None = None


async def follow(
    work: Coroutine[Any, Any, object],
    *,
    look: Callable[[], Progress],
    drain: Callable[[], object],
    draining: str,
    display: Display,
) -> Followed:
    """Do the work to its end, or until signals end it.

    Args:
        work: The work.
        look: Returns how far it is; called in a thread.
        drain: Lets it end in order, at the first signal, or when stdout fails; a second signal cancels it.
        draining: What happens then, after the signal's name.
        display: Where it is shown.

    Returns:
        How it ended.

    Raises:
        Exception: The work's own.
    """
    followed = Followed()
    shower = _Shower(look, display)

    def stop(name: str) -> None:
        followed.interrupted = name
        shower.ends = True
        drain()
        shower.say("draining", f"{name}: {draining}; once more ends it at once.", signal=name)

    def unheard(error: OutputError | ReaderGoneError) -> None:
        followed.unheard = error
        drain()

    working = asyncio.ensure_future(work)
    with listening(Interruption(stop, working.cancel)):
        showing = asyncio.create_task(shower.run(unheard))
        try:
            await asyncio.wait([working])
        except asyncio.CancelledError:
            working.cancel()
            await asyncio.wait([working])
            raise
        finally:
            shower.end()
            if working.cancelled():
                showing.cancel()
            await asyncio.wait([showing])
            display.close()
    if not showing.cancelled():
        showing.result()
    if working.cancelled():
        followed.at_once = True
        # Closing the loop joins the threads of its executor, and one may wait for a terminal that is halted.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    else:
        working.result()
    return followed


class _Shower:
    """Shows a moment at intervals, in a thread: a halted terminal must not halt the work."""

    def __init__(self, look: Callable[[], Progress], display: Display) -> None:
        self.ends = False
        self._rate = Rate()
        self._look, self._display = look, display
        self._wake, self._ended = asyncio.Event(), asyncio.Event()
        self._said: list[tuple[str, str, dict[str, str]]] = []

    def say(self, name: str, sentence: str, /, **facts: str) -> None:
        self._said.append((name, sentence, facts))
        self._wake.set()

    def end(self) -> None:
        self._ended.set()
        self._wake.set()

    async def run(self, unheard: Callable[[OutputError | ReaderGoneError], None]) -> None:
        try:
            # What was done before the work began is no part of its rate.
            await asyncio.to_thread(self._see, self._look)
            # What was said while a moment was shown is shown too, though the work has ended meanwhile.
            while self._said or not self._ended.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._display.interval):
                        await self._wake.wait()
                self._wake.clear()
                said, self._said = self._said, []
                if said or not self._ended.is_set():
                    await asyncio.to_thread(self._show, said, last=self._ended.is_set())
        except (OutputError, ReaderGoneError) as error:
            unheard(error)

    def _show(self, said: list[tuple[str, str, dict[str, str]]], *, last: bool) -> None:
        for name, sentence, facts in said:
            self._display.say(name, sentence, **facts)
        if not last:
            self._display.show(replace(self._see(self._look), ends=self.ends), self._rate)

    def _see(self, look: Callable[[], Progress]) -> Progress:
        progress = look()
        self._rate.see(progress.elapsed, progress.done)
        return progress
