"""Reads CSV, as RFC 4180 and the standard library define it, with any of the separators that spreadsheets write."""

import csv
from collections.abc import Iterator, Mapping
from typing import Final
from uuid import UUID

from thredfi_async._checks.json import text_problem
from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.items import ArchiveItem
from thredfi_async.bulk.readers.columns import Columns, Rules
from thredfi_async.bulk.readers.invalid_line import InvalidLine, RecordError, location
from thredfi_async.bulk.readers.io import CHUNK, Opened
from thredfi_async.bulk.readers.table import Header, Table, header_of
from thredfi_async.bulk.readers.text import TextForm, form_of

LONGEST_RECORD: Final = 1 << 20
"""Most characters of a record, line ends within quotes included. A longer field has lost its quote."""
_SEPARATORS: Final = (",", ";", "\t", "|")
_MARKER: Final = "sep="
"""What Excel writes and reads as a first line, with the separator behind it."""


class CsvRecords:
    """The records of an open CSV file, its header read.

    Args:
        opened: The file; the caller closes it.
        business_id: The business of every record, or None where each names its own.
        rules: What the caller said about columns.

    Attributes:
        columns: What its columns become.
        skipped: Lines that are no records, by what they are.

    Raises:
        SourceError: There is no header, or its columns do not fit a run.
    """

    def __init__(self, opened: Opened, business_id: UUID | None, rules: Rules) -> None:
        self._name = opened.name
        self.form: TextForm = form_of(opened, rules.options.encoding, "csv")
        self._lines = _Lines(opened, self.form, strict=not rules.options.ids_only)
        header = header_of(self._name, self._headers(), rules)
        self.separator: str = header.separator
        self._table = Table(self._name, header, business_id, rules)
        self.columns: Columns = self._table.columns
        self.skipped: Mapping[str, int] = self._table.skipped
        self._reader = csv.reader(self._lines, strict=True, delimiter=header.separator)
        self.header: bytes = self._encoded(header.raw)

    def __iter__(self) -> Iterator[ArchiveItem | InvalidLine]:
        """Yield an item for each valid record, and an `InvalidLine` for each other one, in the file's order."""
        while True:
            before = self._lines.start()
            try:
                row = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                self._lines.skip_to_balance()
                yield self._bad(before, RecordError(None, _csv_reason(error, self.separator)))
                continue
            made = self._table.read(row, before)
            if made is not None:
                yield made if type(made) is ArchiveItem else self._bad(before, made)

    def _headers(self) -> Iterator[list[Header]]:
        """Yield the first lines that are not blank, each split by every separator that it can have."""
        separators: tuple[str, ...] = _SEPARATORS
        while True:
            line = self._lines.start()
            try:
                raw = self._lines.record()
            except csv.Error as error:
                raise self._unreadable(line, error, ",") from None
            if not raw:
                return
            text = raw.strip("\r\n")
            if line == 1 and text.lower().startswith(_MARKER) and len(text) == len(_MARKER) + 1:
                separators = (text[-1],)
            elif text.strip():
                yield self._ways(text, raw, line, separators)

    def _ways(self, text: str, raw: str, line: int, separators: tuple[str, ...]) -> list[Header]:
        ways, problem = list[Header](), None
        for separator in separators:
            try:
                names = next(csv.reader([text], strict=True, delimiter=separator))
            except csv.Error as error:
                problem = problem or self._unreadable(line, error, separator)
            else:
                ways.append(Header(line, tuple(names), 0, separator, raw))
        if problem is not None and not ways:
            raise problem
        return ways

    def _unreadable(self, line: int, error: csv.Error, separator: str) -> SourceError:
        return SourceError(f"{location(self._name, line)}: the header {_csv_reason(error, separator)}")

    def _bad(self, line: int, wrong: RecordError | ArchiveItem) -> InvalidLine:
        assert isinstance(wrong, RecordError)  # noqa: S101 - the only other kind
        return wrong.at(self._name, line, self._encoded(self._lines.take()), self._lines.spool.take())

    def _encoded(self, text: str) -> bytes:
        return text.encode(self.form.encoding, self.form.errors)


class _Lines:
    """Gives the file's lines to the CSV reader, and keeps those of the current record."""

    def __init__(self, opened: Opened, form: TextForm, *, strict: bool) -> None:
        # Bytes that are no text become lone surrogates. The scan of a file has refused them, but where only ids are
        # taken; in a pipe, they are met here.
        # A line ends in \n or \r\n, or all lines do in \r. A \r alone within a cell ends none otherwise: what follows
        # it is no record, and is not sent.
        self._name, self._strict, self._end = opened.name, strict, form.line_end
        self._text = opened.as_text(form.encoding, form.errors, self._end)
        self.spool = opened.spool
        self._form = form
        self._number = 0
        self._taken: list[str] = []
        self._length = 0

    def start(self) -> int:
        """Forget the last record, and return the line on which the next one begins."""
        self._taken.clear()
        self._length = 0
        return self._number + 1

    def take(self) -> str:
        """Return the record as it stands in the file; nothing if it was too long."""
        return "".join(self._taken) if self._length <= LONGEST_RECORD else ""

    def record(self) -> str:
        """Read a record without parsing it: up to the first line end outside of quotes."""
        line = next(self, "")
        if line.count('"') % 2:
            self.skip_to_balance()
            if self._length > LONGEST_RECORD:
                raise csv.Error(_TOO_LONG)
        return self.take()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._text.readline(LONGEST_RECORD + 1)
        if not line:
            raise StopIteration
        self._number += 1
        self._keep(line)
        if self._length > LONGEST_RECORD:
            raise csv.Error(_TOO_LONG)
        if self._strict and not line.isascii() and text_problem(line) is not None:
            raise SourceError(
                f"{location(self._name, self._number)}: is not UTF-8 text, and nothing from there on is read: give "
                "--encoding, or --ids-only to take the ids alone"
            )
        return line

    def skip_to_balance(self) -> None:
        """Go to the end of a record that cannot be read: the first line end with as many quotes opened as closed.

        A line within quoted text is never taken for a record: it would be sent.
        """
        last = self._taken[-1] if self._taken else self._end
        open_quotes = sum(line.count('"') for line in self._taken)
        while open_quotes % 2 or not last.endswith(self._end):
            within_line = not last.endswith(self._end)
            last = self._text.readline(CHUNK)
            if not last:
                return
            self._number += not within_line
            self._keep(last)
            open_quotes += last.count('"')

    def _keep(self, piece: str) -> None:
        was_long = self._length > LONGEST_RECORD
        self._length += len(piece)
        if was_long:
            self.spool.add(self._encoded(piece))
            return
        self._taken.append(piece)
        if self._length > LONGEST_RECORD:
            self.spool.begin(map(self._encoded, self._taken))

    def _encoded(self, text: str) -> bytes:
        return text.encode(self._form.encoding, self._form.errors)


_TOO_LONG: Final = "record too long"
_REASONS: Final[Mapping[str, str]] = {
    "unexpected end of data": "has a quote that is opened and never closed",
    _TOO_LONG: f"is longer than {LONGEST_RECORD:,} characters; is there a quote that is never closed?",
}


def _csv_reason(error: csv.Error, separator: str) -> str:
    message = str(error)
    if message.endswith("expected after '\"'"):
        name = "a tab" if separator == "\t" else f"'{separator}'"
        return f"has a closing quote that is not followed by {name}; within quotes, a quote is written twice"
    if message.startswith("field larger"):
        return (
            f"has a cell of more than {csv.field_size_limit():,} characters; is there a quote that is never closed? "
            "JSON Lines takes longer ones"
        )
    if message.startswith("new-line character"):
        return "has a line end of another kind within it, outside of quotes; all lines have to end alike"
    return _REASONS.get(message, "is not CSV")
