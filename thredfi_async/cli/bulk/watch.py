"""Runs work other than a run against the API: shows how far it is, and lets signals end it."""

import asyncio
import contextlib
import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Protocol

from rich.live import Live
from rich.text import Text

from thredfi_async.cli.bulk.display import event
from thredfi_async.cli.bulk.signals import Interruption, listening
from thredfi_async.cli.output import Output, OutputError, PrintableConsole, ReaderGoneError, tell

_LINE_SECONDS: Final = 5.0
_EVENT_SECONDS: Final = 1.0
_TERMINAL_SECONDS: Final = 0.25


class Glance(Protocol):
    """How far the work is, at one moment."""

    def __str__(self) -> str:
        """Return it in one line."""
        ...

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        ...


@dataclass
class Watched:
    """How the work came to its end.

    Attributes:
        interrupted: The signal that ended it, or None.
        at_once: Whether a second one did.
        unheard: Why stdout could no longer be written, or None.
    """

    interrupted: str | None = None
    at_once: bool = False
    unheard: OutputError | ReaderGoneError | None = None


async def watch(  # noqa: PLR0913 - the work, and five things to be said of it by name
    work: Coroutine[Any, Any, object],
    *,
    drain: Callable[[], None],
    glance: Callable[[], Glance],
    draining: str,
    out: Output,
    debug: bool,
) -> Watched:
    """Do the work to its end, or until signals end it.

    Args:
        work: The work.
        drain: Lets it end in order, at the first signal; a second one cancels it.
        glance: Returns how far it is.
        draining: What to say at the first signal, after its name.
        out: Stdout.
        debug: Whether logs go to stderr, too.

    Returns:
        How it ended.

    Raises:
        ThredfiError: The work's own.
    """
    watched = Watched()
    shower = _Shower(glance, out, debug=debug)

    def stop(name: str) -> None:
        watched.interrupted = name
        drain()
        shower.say(name, f"{name}: {draining}; once more ends it at once.")

    def unheard(error: OutputError | ReaderGoneError) -> None:
        watched.unheard = error
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
    if not showing.cancelled():
        showing.result()
    if working.cancelled():
        watched.at_once = True
        # Closing the loop joins the threads of its executor, and one may wait for a pipe that stays empty.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    else:
        working.result()
    return watched


class _Shower:
    """Shows a glance at intervals, in a thread: a halted terminal must not halt the work."""

    def __init__(self, glance: Callable[[], Glance], out: Output, *, debug: bool) -> None:
        self._glance, self._out = glance, out
        self._wake, self._ended = asyncio.Event(), asyncio.Event()
        self._said: list[tuple[str, str]] = []
        terminal = not out.json and not debug and sys.stderr is not None and sys.stderr.isatty()
        self._live = (
            Live(
                console=PrintableConsole(sys.stderr),
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            if terminal
            else None
        )
        self._interval = _EVENT_SECONDS if out.json else _TERMINAL_SECONDS if terminal else _LINE_SECONDS

    def say(self, signal: str, sentence: str) -> None:
        self._said.append((signal, sentence))
        self._wake.set()

    def end(self) -> None:
        self._ended.set()
        self._wake.set()

    async def run(self, unheard: Callable[[OutputError | ReaderGoneError], None]) -> None:
        try:
            while not self._ended.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._interval):
                        await self._wake.wait()
                self._wake.clear()
                said, self._said = self._said, []
                if said or not self._ended.is_set():
                    await asyncio.to_thread(self._show, said)
        except (OutputError, ReaderGoneError) as error:
            unheard(error)
        finally:
            if self._live is not None:
                with contextlib.suppress(OSError, ValueError):
                    self._live.stop()

    def _show(self, said: list[tuple[str, str]]) -> None:
        glance = self._glance()
        if self._out.json:
            for signal, sentence in said:
                event(self._out, "draining", message=sentence, signal=signal)
            event(self._out, "progress", **glance.as_json())
        elif self._live is None:
            for line in [*(sentence for _, sentence in said), str(glance)]:
                tell(line)
        else:
            # The terminal may be gone, as after SIGHUP; the work goes on.
            with contextlib.suppress(OSError, ValueError):
                if not self._live.is_started:
                    self._live.start()
                for _, sentence in said:
                    self._live.console.print(Text(sentence, style="bold yellow"))
                self._live.update(Text(str(glance), style="cyan"), refresh=True)
