"""Runs a bulk run to its end: shows how it goes, and passes signals on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from thredfi_async.cli.bulk.display import Display
from thredfi_async.cli.bulk.moment import Moment
from thredfi_async.cli.bulk.signals import Interruption, listening
from thredfi_async.cli.output import OutputError, ReaderGoneError


class Driven(Protocol):
    """The interface of a run that is driven."""

    def __aiter__(self) -> AsyncIterator[object]:
        """Yield a result for each item."""
        ...

    def drain(self) -> None:
        """Take no new items, and let those in flight end."""
        ...


class Drive:
    """Drives one run.

    Args:
        run: The run.
        display: Where it is shown.
        moment: Returns how far it has come.

    Attributes:
        interrupted: The signal that ended it, or None.
        at_once: Whether a second signal did.
        unheard: Why stdout could no longer be written, or None; the run was drained then.
    """

    def __init__(self, run: Driven, display: Display, moment: Callable[[], Moment]) -> None:
        """Do nothing yet."""
        self.run = run
        self._display, self._moment = display, moment
        self._ended = False
        self._said: list[tuple[str, str, dict[str, Any]]] = []
        self._heard = asyncio.Event()
        self.interrupted: str | None = None
        self.at_once: bool = False
        self.unheard: OutputError | ReaderGoneError | None = None

    async def __call__(self) -> None:
        """Take every result, until the run is at its end, stops or is interrupted.

        Raises:
            BulkError: The run stopped.
        """
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine that runs has one
        interruption = Interruption(self._drain, task.cancel)
        with listening(interruption):
            shows = asyncio.create_task(self._show())
            try:
                async for _ in self.run:
                    pass
            except asyncio.CancelledError:
                if not interruption.at_once:
                    raise
                self.at_once = True
                task.uncancel()
            finally:
                self._ended = True
                self._heard.set()
                await self._close(shows)

    async def _show(self) -> None:
        """Show a moment at intervals, in threads, since a halted terminal must not halt the run."""
        while self.unheard is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._display.interval):
                    await self._heard.wait()
            self._heard.clear()
            try:
                while self._said:
                    name, sentence, facts = self._said.pop(0)
                    await asyncio.to_thread(self._display.say, name, sentence, **facts)
                if self._ended:
                    return
                await asyncio.to_thread(self._display.show, self._moment())
            except (OutputError, ReaderGoneError) as error:
                self.unheard = error
                self.run.drain()

    async def _close(self, shows: "asyncio.Task[None]") -> None:
        if self.at_once:
            shows.cancel()
            # Closing the loop joins the threads of its executor, and one may wait for a terminal that is halted.
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        await asyncio.wait([shows])
        self._display.close()
        if not shows.cancelled():
            shows.result()

    def _drain(self, name: str) -> None:
        self.interrupted = name
        self.run.drain()
        sentence = f"{name}: no new customers are started, and what is in flight ends; once more ends it at once."
        self._said.append(("draining", sentence, {"signal": name}))
        self._heard.set()
