"""Shows a run while it goes on: a bar on a terminal, lines in a log, events for a machine."""

import contextlib
import sys
from typing import Any, Final, Protocol

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from thredfi_async.cli.bulk.formatting import going, outcomes
from thredfi_async.cli.bulk.moment import Moment, Pace
from thredfi_async.cli.output import Output, PrintableConsole, tell

VERSION: Final = 1
"""The version of the events that `--json` writes; raised when one changes other than by a new field."""


class Display(Protocol):
    """Shows how a run goes; all of it may block, and is called in a thread."""

    interval: float
    """Seconds between two updates."""

    def show(self, moment: Moment) -> None:
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
        self._out, self._pace = out, Pace()

    def show(self, moment: Moment) -> None:
        """Write an event `progress`."""
        self._pace.see(moment)
        left = self._pace.left(moment)
        facts = {"rate": round(self._pace.rate, 1), "seconds_left": None if left is None else round(left, 1)}
        event(self._out, "progress", **moment.as_json(), **facts)

    def say(self, name: str, sentence: str, /, **facts: Any) -> None:  # noqa: ANN401 - what JSON can hold
        """Write an event of this name."""
        event(self._out, name, message=sentence, **facts)

    def close(self) -> None:
        """Do nothing."""


class Lines:
    """A plain line on stderr every few seconds, for logs."""

    interval: float = 5.0

    def __init__(self) -> None:
        """Write nothing yet."""
        self._pace = Pace()

    def show(self, moment: Moment) -> None:
        """Write a line."""
        self._pace.see(moment)
        of = "" if moment.total is None else f" of {moment.total:,}"
        tell(f"{moment.done:,}{of}: {outcomes(moment.states)}; {going(moment, self._pace)}")

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
        self._pace = Pace()
        # No thread of its own, and no redirected streams: it is drawn when there is something to draw.
        self._live = Live(
            console=PrintableConsole(sys.stderr),
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def show(self, moment: Moment) -> None:
        """Draw it."""
        self._pace.see(moment)
        # The terminal may be gone, as after SIGHUP; the run goes on.
        with contextlib.suppress(OSError, ValueError):
            if not self._live.is_started:
                self._live.start()
            self._live.update(_picture(moment, self._pace), refresh=True)

    def say(self, name: str, sentence: str, /, **facts: Any) -> None:  # noqa: ANN401 - as Display
        """Write the sentence above the bar."""
        del name, facts
        with contextlib.suppress(OSError, ValueError):
            self._live.console.print(Text(sentence, style="bold yellow"))

    def close(self) -> None:
        """Remove the bar."""
        with contextlib.suppress(OSError, ValueError):
            self._live.stop()


def display(out: Output, *, debug: bool) -> Display:
    """Choose how a run is shown.

    Args:
        out: Stdout.
        debug: Whether logs go to stderr, too: a bar would garble them.

    Returns:
        The display.
    """
    if out.json:
        return Events(out)
    if debug or sys.stderr is None or not sys.stderr.isatty():
        return Lines()
    return Bar()


def event(out: Output, name: str, **facts: Any) -> None:  # noqa: ANN401 - what JSON can hold
    """Write one event for a machine.

    Args:
        out: Stdout.
        name: Its name.
        **facts: Its fields; docs/cli.md lists all of them.
    """
    out.data({"event": name, "version": VERSION, **facts})


def _picture(moment: Moment, pace: Pace) -> Group:
    total = moment.total
    head = Table.grid(padding=(0, 1, 0, 0), expand=True)
    head.add_column(no_wrap=True)
    head.add_column(ratio=1)
    head.add_column(no_wrap=True, justify="right")
    percent = "" if not total else f"{moment.done / total:.0%}"
    of = f"{moment.done:,}" if total is None else f"{moment.done:,} of {total:,}"
    pulse = total is None
    bar = ProgressBar(total=total or None, completed=moment.done, pulse=pulse, animation_time=moment.elapsed)
    head.add_row(Text("Archiving", style="bold"), bar, Text(" ".join(filter(None, (of, percent)))))
    style = "bold yellow" if moment.paused or moment.cooldown > 0.0 else "cyan"
    return Group(head, Text(outcomes(moment.states)), Text(going(moment, pace), style=style))
