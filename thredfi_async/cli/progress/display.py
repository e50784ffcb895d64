"""Shows how far work has come: a bar on a terminal, plain lines elsewhere, events for a machine."""

import contextlib
import sys
from typing import Any, Final, Protocol

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from thredfi_async.cli.output import Output, PrintableConsole, tell
from thredfi_async.cli.progress.rate import Progress, Rate

VERSION: Final = 1
"""The version of the events that `--json` writes; raised when one changes other than by a new field."""


class Display(Protocol):
    """Shows how work goes; all of it may block, and is called in a thread."""

    interval: float
    """Seconds between two updates."""

    def show(self, progress: Progress, rate: Rate) -> None:
        """Show how far it has come."""
        ...

    def say(self, name: str, sentence: str, /, **facts: Any) -> None:  # noqa: ANN401 - what JSON can hold
        """Show that something has happened."""
        ...

    def close(self) -> None:
        """Restore the terminal."""
        ...


class Events:
    """One JSON object a line on stdout.

    Args:
        out: Stdout.
    """

    interval: float = 1.0

    def __init__(self, out: Output) -> None:
        """Write nothing yet."""
        self._out = out

    def show(self, progress: Progress, rate: Rate) -> None:
        """Write an event `progress`."""
        event(self._out, "progress", **progress.facts, **rate.as_json(progress))

    def say(self, name: str, sentence: str, /, **facts: Any) -> None:  # noqa: ANN401 - what JSON can hold
        """Write an event of this name."""
        event(self._out, name, message=sentence, **facts)

    def close(self) -> None:
        """Do nothing."""


class Lines:
    """A plain line on stderr every few seconds, for logs and for terminals that cannot be drawn on."""

    interval: float = 5.0

    def show(self, progress: Progress, rate: Rate) -> None:
        """Write a line."""
        parts = filter(None, (progress.outcomes, rate.as_text(progress)))
        tell(f"{progress.position}: {'; '.join(parts)}")

    def say(self, name: str, sentence: str, /, **facts: Any) -> None:  # noqa: ANN401 - as Display
        """Write the sentence."""
        del name, facts
        tell(sentence)

    def close(self) -> None:
        """Do nothing."""


class Bar:
    """A bar on stderr, with two lines of figures below."""

    interval: float = 0.25

    def __init__(self) -> None:
        """Draw nothing yet."""
        # No thread of its own, and no redirected streams: it is drawn when there is something to draw.
        self._live = Live(
            console=PrintableConsole(sys.stderr),
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def show(self, progress: Progress, rate: Rate) -> None:
        """Draw it."""
        # The terminal may be gone, as after SIGHUP; the work goes on.
        with contextlib.suppress(OSError, ValueError):
            if not self._live.is_started:
                self._live.start()
            self._live.update(_picture(progress, rate), refresh=True)

    def say(self, name: str, sentence: str, /, **facts: Any) -> None:  # noqa: ANN401 - as Display
        """Write the sentence above the bar."""
        del name, facts
        with contextlib.suppress(OSError, ValueError):
            self._live.console.print(Text(sentence, style="bold yellow"))

    def close(self) -> None:
        """Remove the bar."""
        with contextlib.suppress(OSError, ValueError):
            self._live.stop()


class Silence:
    """Nothing: for work of some seconds, whose output is its result."""

    interval: float = 3600.0

    def show(self, progress: Progress, rate: Rate) -> None:
        """Do nothing."""

    def say(self, name: str, sentence: str, /, **facts: Any) -> None:  # noqa: ANN401 - as Display
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def display(out: Output, *, logs: bool, only_bar: bool = False) -> Display:
    """Choose how work is shown.

    Args:
        out: Stdout; if it is to be quiet, nothing is shown.
        logs: Whether logs go to stderr, too: a bar would garble them.
        only_bar: Whether nothing is shown where no person looks on; false by default.

    Returns:
        The display.
    """
    if out.quiet and not out.json:
        return Silence()
    terminal = not out.json and not logs and sys.stderr is not None and sys.stderr.isatty()
    if terminal and not PrintableConsole(sys.stderr).is_dumb_terminal:
        return Bar()
    if only_bar and not terminal:
        return Silence()
    return Events(out) if out.json else Lines()


def event(out: Output, name: str, **facts: Any) -> None:  # noqa: ANN401 - what JSON can hold
    """Write one event for a machine.

    Args:
        out: Stdout.
        name: Its name.
        **facts: Its fields; docs/cli.md lists all of them.
    """
    out.data({"event": name, "version": VERSION, **facts})


def _picture(progress: Progress, rate: Rate) -> Group:
    total = progress.total
    head = Table.grid(padding=(0, 1, 0, 0), expand=True)
    head.add_column(no_wrap=True)
    head.add_column(ratio=1)
    head.add_column(no_wrap=True, justify="right")
    bar = ProgressBar(
        total=total or None, completed=progress.done, pulse=total is None, animation_time=progress.elapsed
    )
    figures = " ".join(filter(None, (progress.position, progress.percent)))
    head.add_row(Text(progress.title, style="bold"), bar, Text(figures))
    style = "bold yellow" if progress.warning else "cyan"
    lines = [Text(progress.outcomes), Text(rate.as_text(progress), style=style)]
    return Group(head, *(line for line in lines if line.plain))
