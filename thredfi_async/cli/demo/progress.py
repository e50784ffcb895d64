"""A progress bar on a terminal, and nothing anywhere else."""

import sys
from types import TracebackType
from typing import Self

from rich import progress

from thredfi_async.cli.output import PrintableConsole


class Progress:
    """Shows on stderr how many calls have ended.

    Args:
        total: How many there are.
        shown: Whether to show it; it needs a terminal, too.
    """

    def __init__(self, total: int, *, shown: bool) -> None:
        """Draw nothing yet."""
        self._bar: progress.Progress | None = None
        if not shown or sys.stderr is None or not sys.stderr.isatty():
            return
        self._bar = progress.Progress(
            progress.TextColumn("Archiving"),
            progress.BarColumn(bar_width=None),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            console=PrintableConsole(sys.stderr),
            transient=True,
        )
        self._task = self._bar.add_task("Archiving", total=total)

    def advance(self) -> None:
        """Count one more."""
        if self._bar is not None:
            self._bar.advance(self._task)

    def __enter__(self) -> Self:
        """Begin to draw."""
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()
