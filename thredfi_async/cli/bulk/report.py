"""`report`: the outcome of a run, for people, for spreadsheets and for a browser."""

import contextlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, TextIO, cast

from rich import box
from rich.table import Table
from rich.text import Text

from thredfi_async.bulk import JournalView
from thredfi_async.bulk.journal import InvalidLineRow
from thredfi_async.bulk.report import Summary, summary, write_html, write_not_archived_csv
from thredfi_async.bulk.report.summary import MEANINGS
from thredfi_async.bulk.verdict import Step
from thredfi_async.cli.bulk.commands import Commands, Next
from thredfi_async.cli.bulk.journal_files import reading
from thredfi_async.cli.bulk.journal_metadata import STDIN, JournalMetadata, title
from thredfi_async.cli.bulk.preflight_errors import preflight_error, preflight_errors
from thredfi_async.cli.bulk.summary import headline, steps
from thredfi_async.cli.error_report import in_options
from thredfi_async.cli.exit_codes import ExitCode
from thredfi_async.cli.formatting import plural
from thredfi_async.cli.output import Output, reason, tell
from thredfi_async.cli.session import Session

_SHOWN: Final = 20
"""Reasons that people are shown."""
_LINES: Final = 10
"""Invalid lines that people are shown."""
_LABELS: Final = {"already_archived": "archived already", "pending": "no outcome yet"}


@dataclass(frozen=True, kw_only=True)
class Report:
    """The job of `thredfi bulk report`.

    Args:
        journal: The journal.
        not_archived: Where to write who is not archived, as CSV; `-` for stdout.
        html: Where to write a page.
    """

    journal: Path
    not_archived: str | None = None
    html: Path | None = None

    def __call__(self, session: Session) -> int:
        """Count, and write the files that are wanted."""
        if self.not_archived == STDIN and session.out.json:
            raise preflight_error(
                "Stdout cannot have both --not-archived - and --json.", advice="give --not-archived a file"
            )
        for path in (self.html, None if self.not_archived in {None, STDIN} else Path(str(self.not_archived))):
            if path is not None and path.exists() and self.journal.exists() and path.samefile(self.journal):
                raise preflight_error(f"{path} is the journal itself, which a report must not replace.")
        with preflight_errors(), reading(self.journal) as view:
            whole = summary(view)
            written = self._write(view, session.out)
            lines = list(islice(view.invalid_lines(), _LINES))
        next_ = self._next(whole)
        if session.out.json:
            found = {
                **_as_json(whole),
                "next": [each.as_json() for each in next_ if not each.is_offer],
                "written": [path for path, _ in written],
            }
            session.out.data({"journal": str(self.journal), **found})
        elif self.not_archived == STDIN:
            tell(headline(whole.verdict))
        else:
            heads = title(self.journal, JournalMetadata(whole.run))
            session.out.show(*(Text(line, style="" if number else "bold") for number, line in enumerate(heads)))
            session.out.show(headline(whole.verdict), _counts(whole), wrap=False)
            if whole.reasons:
                session.out.show(_reasons(whole))
            session.out.show(*_invalid_lines(lines, whole.invalid_lines), wrap=False)
            session.out.show(*map(_written, written), *steps(next_), wrap=False)
        return ExitCode.DONE

    def _next(self, whole: Summary) -> list[Next]:
        """Return what to do next, without what this command has just done."""
        shown = {Step.SEE_LINES, *([Step.REPORT] if self.not_archived is not None else [])}
        shown |= {Step.PAGE} if self.html is not None else set()
        return Commands(self.journal, JournalMetadata(whole.run)).lead_on(whole.verdict, shown=shown)

    def _write(self, view: JournalView, out: Output) -> list[tuple[str, int | None]]:
        """Write the files; return each with the customers that it lists, if it is a list."""
        written: list[tuple[str, int | None]] = []
        if self.html is not None:
            _replace(self.html, lambda file: write_html(view, file))
            written.append((str(self.html), None))
        if self.not_archived == STDIN:
            write_not_archived_csv(view, cast("TextIO", _Stdout(out)))
        elif self.not_archived is not None:
            count = 0

            def write(file: TextIO) -> None:
                nonlocal count
                count = write_not_archived_csv(view, file)

            _replace(Path(self.not_archived), write)
            written.append((self.not_archived, count))
        return written


class _Stdout(io.TextIOBase):
    """Stdout as a file that reports its errors as all output does."""

    def __init__(self, out: Output) -> None:
        self._out = out

    def write(self, text: str, /) -> int:
        self._out.write(text)
        return len(text)


def _replace(path: Path, write: Callable[[TextIO], object]) -> None:
    """Write a file whole, or leave what was there."""
    beside: str | None = None
    try:
        if path.exists() and not path.is_file():  # a device or a pipe, which cannot be replaced
            with path.open("w", encoding="utf-8", newline="") as file:
                write(file)
            return
        made, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with open(made, "w", encoding="utf-8", newline="") as file:  # noqa: PTH123 - a descriptor
            write(file)
        Path(beside).chmod(0o666 & ~_umask())
        Path(beside).replace(path)
        beside = None
    except OSError as error:
        raise preflight_error(
            f"{path} cannot be written: {reason(error)}.", kind="OutputError", code=ExitCode.OUTPUT
        ) from None
    finally:
        if beside is not None:
            with contextlib.suppress(OSError):
                Path(beside).unlink()


def _umask() -> int:
    # There is no way to read it without setting it.
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _as_json(whole: Summary) -> dict[str, Any]:
    return {
        "run": JournalMetadata(whole.run).as_json(),
        **whole.verdict.as_json(),
        "states": dict(whole.totals),
        "reasons": [
            {"state": each.state, "code": each.code, "count": each.count, "advice": each.advice}
            for each in whole.reasons
        ],
    }


def _counts(whole: Summary) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", style="cyan", no_wrap=True)
    table.add_column(style="dim")
    for state, count in whole.totals.items():
        if count or state == "archived":
            table.add_row(f"  {_label(state)}", f"{count:,}", MEANINGS[state])
    not_started = whole.verdict.counts.not_started
    if not_started != 0:
        figure = "?" if not_started is None else f"{not_started:,}"
        table.add_row("  lines not started", figure, "nothing was sent for them; resume the run")
    if whole.verdict.counts.duplicates:
        table.add_row("  repeated lines", f"{whole.verdict.counts.duplicates:,}", "each customer was sent once")
    if whole.invalid_lines:
        table.add_row("  invalid lines", f"{whole.invalid_lines:,}", "left out; nothing was sent for them")
    return table


def _reasons(whole: Summary) -> Table:
    more = len(whole.reasons) - _SHOWN
    caption = f"and {plural(more, 'other reason')}; --json and --html have them" if more > 0 else None
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", caption=caption, caption_justify="left")
    table.add_column("outcome", no_wrap=True)
    table.add_column("reason", overflow="fold")
    table.add_column("customers", justify="right", style="cyan", no_wrap=True)
    table.add_column("what to do")
    for each in whole.reasons[:_SHOWN]:
        table.add_row(_label(each.state), each.code or "", f"{each.count:,}", in_options(each.advice))
    return table


def _invalid_lines(lines: Sequence[InvalidLineRow], count: int) -> Iterator[str]:
    for each in lines:
        column = "" if each.column is None else f", column {each.column}"
        yield f"  invalid line {each.line}{column}: {each.reason}"
    if count > len(lines):
        yield f"  and {plural(count - len(lines), 'other')}"


def _written(file: tuple[str, int | None]) -> str:
    path, customers = file
    return f"Written: {path}" + ("" if customers is None else f" ({plural(customers, 'customer')})")


def _label(state: str) -> str:
    return _LABELS.get(state, state)
