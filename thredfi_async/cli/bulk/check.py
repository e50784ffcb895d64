"""`check`: how a file is read, and what in it is wrong; nothing is sent, and no setting is needed."""

import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from thredfi_async import UNSET, CustomerRequest
from thredfi_async.bulk import ArchiveItem
from thredfi_async.bulk.readers import InvalidLine, Source
from thredfi_async.bulk.readers.columns import legible
from thredfi_async.bulk.readers.skipped import MOST_NUMBERS, WITHOUT_IDS, first_numbers
from thredfi_async.cli.bulk.findings import data_sent, line_numbers, refuse_unusable, skipped, warnings_of
from thredfi_async.cli.bulk.looking import looking
from thredfi_async.cli.bulk.preflight_errors import preflight_errors
from thredfi_async.cli.bulk.reading import Reading, repeated
from thredfi_async.cli.bulk.source import Count, InvalidLines
from thredfi_async.cli.exit_codes import ExitCode
from thredfi_async.cli.formatting import command, path_argument, plural, size
from thredfi_async.cli.output import Output
from thredfi_async.cli.session import Session

_ROWS: Final = 3
"""First rows that are shown."""
_LONGEST: Final = 300
_REASONS: Final = 10
_MOST_REASONS: Final = 1000
_SEPARATORS: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "'|'"}


@dataclass(frozen=True)
class Found:
    """What a pass over a file found.

    Args:
        items: Customers that it lists.
        first: The first of them.
        invalid: Invalid lines by column and reason, and the numbers of the first of each.
        skipped: Lines that are no records, by what they are.
        warnings: What to look at.
    """

    items: int
    first: list[ArchiveItem]
    invalid: "Reasons"
    skipped: Mapping[str, int]
    warnings: list[str]


class Reasons:
    """Why lines are invalid.

    Attributes:
        count: Lines by column and reason.
        first: The numbers of the first of them.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self.count: Counter[tuple[str | None, str]] = Counter()
        self.first: dict[tuple[str | None, str], list[int]] = {}

    def take(self, line: InvalidLine) -> None:
        """Take one, as long as there are not too many kinds."""
        key = (line.column, line.reason)
        if key not in self.count and len(self.count) >= _MOST_REASONS:
            return
        self.count[key] += 1
        numbers = self.first.setdefault(key, [])
        if len(numbers) < MOST_NUMBERS:
            numbers.append(line.line)


@dataclass(frozen=True, kw_only=True)
class Check:
    """The job of `thredfi bulk check`.

    Args:
        reading: The file, and how it is read.
    """

    reading: Reading

    def __call__(self, session: Session) -> int:
        """Read the file, and show what was found."""
        out, reasons = session.out, Reasons()
        bad = InvalidLines(reasons.take)
        with contextlib.ExitStack() as stack, preflight_errors():
            with looking(session, self.reading.source):
                source = stack.enter_context(contextlib.closing(self.reading.open(bad, json=out.json)))
                items, first = 0, list[ArchiveItem]()
                for item in source:
                    items += 1
                    if len(first) < _ROWS:
                        first.append(item)
                found = Found(items, first, reasons, source.skipped, warnings_of(source))
            self._show(out, source, found, bad)
        refuse_unusable(source, Count(lines=items, bad=bad.count), bad, self.reading)
        if not out.json:
            out.show(Text.assemble(("Next: ", "bold"), self._next(source)), wrap=False)
        return ExitCode.REFUSED if bad.count else ExitCode.DONE

    def _show(self, out: Output, source: Source, found: Found, bad: InvalidLines) -> None:
        if out.json:
            out.data(self._facts(source, found, bad))
            return
        out.show(_title(source), _columns(source), *_rows(source, found, bad))
        out.show(*(Text.assemble(("warning: ", "bold yellow"), each) for each in found.warnings))
        # They are personal data, which goes to a person who looks at it, and into no file.
        if out.is_terminal:
            out.show(*_first(found.first))

    def _facts(self, source: Source, found: Found, bad: InvalidLines) -> dict[str, Any]:
        layout = source.layout
        becomes = zip(layout.columns.found, layout.columns.becomes, strict=True)
        return {
            "source": source.name,
            "format": source.format,
            "size": source.size,
            "encoding": None if layout.form is None or not source.is_text else layout.form.encoding,
            "separator": layout.separator if source.format == "csv" else None,
            "sheet": layout.sheet,
            "columns": [{"name": legible(name), "becomes": ours} for name, ours in becomes],
            "bodies": "source" if source.has_bodies else "server",
            "customers": found.items,
            "skipped": dict(found.skipped),
            "rows_without_ids": list(first_numbers(found.skipped, WITHOUT_IDS)),
            "invalid_lines": bad.count,
            "reasons": [
                {"column": column, "reason": reason, "lines": count, "first": found.invalid.first[column, reason]}
                for (column, reason), count in found.invalid.count.most_common()
            ],
            "suspicious": [
                {"column": column, "value": what, "lines": count}
                for (column, what), count in bad.suspicious.most_common()
            ],
            "warnings": found.warnings,
            "next": self._next(source),
        }

    def _next(self, source: Source) -> str:
        reading = self.reading
        stem = Path(reading.source).name.split(".")[0] if source.path is not None else "run"
        words = ["--journal", path_argument(f"{stem}.db")]
        words += ["--business-id", reading.business_id] if reading.business_id is not None else []
        words += ["--format", reading.format] if reading.format is not None else []
        words += ["--allow-missing-fields"] if reading.allow_missing_fields else []
        return command("bulk", "archive", path_argument(reading.source), *words, *repeated(source.options))


def _title(source: Source) -> Text:
    layout, parts = source.layout, [str(source.format)]
    if layout.form is not None:
        parts += [
            _encoding(source, layout.form.encoding),
            f"separated by {_SEPARATORS.get(layout.separator, layout.separator)}",
        ]
    if layout.sheet is not None:
        parts.append(f"sheet {layout.sheet}")
    if source.size is not None:
        parts.append(size(source.size))
    rest = "" if source.is_text else "; other columns are not read"
    return Text.assemble((source.name, "bold"), f": {', '.join(parts)}{rest}")


def _encoding(source: Source, name: str) -> str:
    return name if source.is_text else f"not {name.upper()}"


def _columns(source: Source) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("column", overflow="fold")
    table.add_column("becomes", overflow="fold")
    columns = source.layout.columns
    for name, ours in zip(columns.found, columns.becomes, strict=True):
        if name or ours:
            table.add_row(legible(name), ours or "left out")
    return table


def _rows(source: Source, found: Found, bad: InvalidLines) -> Iterable[RenderableType]:
    yield Text.assemble((plural(found.items, "customer"), "bold"), f", {plural(bad.count, 'invalid line')}")
    if found.skipped:
        yield f"  left out: {', '.join(skipped(found.skipped))}"
    reasons = found.invalid.count.most_common()
    for (column, reason), count in reasons[:_REASONS]:
        where = "" if column is None else f"column {column}: "
        yield _indented(f"  {line_numbers(found.invalid.first[column, reason], count)}:", f"{where}{reason}")
    if len(reasons) > _REASONS:
        yield f"  and {plural(len(reasons) - _REASONS, 'other reason')}; --invalid-lines FILE writes all to a file"
    yield f"data sent: {data_sent(source.has_bodies)}"


def _first(items: Iterable[ArchiveItem]) -> Iterable[RenderableType]:
    yield Text("The first rows, as they are read:", style="bold")
    for item in items:
        fields = {"business_id": item.business_id, "customer_id": item.customer_id}
        body = item.customer
        if isinstance(body, CustomerRequest):
            given = {name: getattr(body, name) for name in CustomerRequest.FIELD_NAMES}
            fields |= {name: value for name, value in given.items() if value is not UNSET}
        text = ", ".join(f"{name}={value}" for name, value in fields.items())
        yield _indented(f"  line {item.line}:", text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")


def _indented(head: str, text: str) -> Table:
    """Return a line that goes on below its text, and not below its head."""
    line = Table.grid(padding=(0, 1))
    line.add_column(no_wrap=True)
    line.add_column(overflow="fold")
    line.add_row(head, text)
    return line
