"""Reads a sheet of a workbook, row by row: .xlsx with openpyxl, .xls with xlrd.

python-calamine, which reads both, leaves a cell with an error such as `#N/A` empty, which would leave its field out,
and ends the process over a small file that says that it has a cell in the last row and column.
"""

from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Final, Protocol
from uuid import UUID

import attrs

from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.items import ArchiveItem
from thredfi_async.bulk.readers.columns import BUSINESS, CUSTOMER, SAFE, Columns, Rules
from thredfi_async.bulk.readers.invalid_line import InvalidLine, RecordError
from thredfi_async.bulk.readers.raw_table import named
from thredfi_async.bulk.readers.table import Cells, Header, Table, header_of
from thredfi_async.bulk.readers.text import other_format
from thredfi_async.bulk.readers.workbook_lines import as_csv
from thredfi_async.bulk.readers.workbook_row_sets import HiddenRows
from thredfi_async.bulk.reading_options import ReadingOptions

_LOOKED_AT: Final = 64
_NONE: Final = "is no workbook: if it is text that a program has given this name, give --format csv"
_IDS: Final = frozenset({BUSINESS, CUSTOMER})
_HIDDEN: Final = "is hidden in the sheet, as by a filter: show all rows, delete those that are not meant, and save it"
_NOT_CALCULATED: Final = "; if a formula gives it, open the file in a spreadsheet and save it, which calculates it"
_OLD: Final = b"\xd0\xcf\x11\xe0"


class Workbook(Protocol):
    """An open workbook."""

    @property
    def sheets(self) -> dict[str, bool]:
        """The names of its sheets, and whether each can be seen."""
        ...

    @property
    def has_open_formulas(self) -> bool:
        """Whether there may be formulas in it without a result."""
        ...

    def rows(self, sheet: str) -> Iterator[Cells]:
        """Yield the rows of a sheet from its first, empty ones too."""
        ...

    def hidden(self, sheet: str) -> HiddenRows:
        """Return the rows of a sheet that are hidden."""
        ...

    def open_formulas(self, sheet: str) -> Container[int]:
        """Return the rows of a sheet with such formulas."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class WorkbookRecords:
    """The rows of a sheet, its header read.

    Args:
        path: The file.
        name: Its name for messages.
        business_id: The business of every record, or None where each names its own.
        rules: What the caller said about columns.

    Attributes:
        sheet: The sheet.
        columns: What its columns become.
        skipped: Rows that are no records, by what they are.

    Raises:
        SourceError: It is no workbook, is too large, has no such sheet, or its columns do not fit a run.
    """

    def __init__(self, path: Path, name: str, business_id: UUID | None, rules: Rules) -> None:
        self._name = name
        self._workbook = open_workbook(path, name)
        try:
            self.sheet: str = _chosen(self._workbook.sheets, rules.options.sheet, name)
            self._hidden = self._workbook.hidden(self.sheet)
            self._rows = enumerate(self._workbook.rows(self.sheet), 1)
            self._table, names = self._opened(business_id, rules)
        except BaseException:
            self._workbook.close()
            raise
        self.columns: Columns = self._table.columns
        self.skipped: Mapping[str, int] = self._table.skipped
        self.header: bytes = as_csv(names)

    def _opened(self, business_id: UUID | None, rules: Rules) -> tuple[Table, tuple[str, ...]]:
        try:
            header = header_of(self._name, self._headers(), rules)
            table = Table(self._name, header, business_id, rules)
        except SourceError as error:
            if rules.options.sheet is not None:
                raise
            raise self._of_other_sheets(error) from None
        if table.columns.has_bodies and self._workbook.has_open_formulas:
            raise SourceError(
                f"{self._name} has formulas that were never calculated: open it in a spreadsheet and save it, or {SAFE}"
            )
        table.keeps_all, table.keeps = self._workbook.has_open_formulas, self._workbook.open_formulas(self.sheet)
        return table, header.names

    def _of_other_sheets(self, error: SourceError) -> SourceError:
        """Return the error of the first sheet, with the sheet to name instead in front, if that is where ids are."""
        others = [each for each in _seen(self._workbook.sheets) if each != self.sheet]
        with_ids = [each for each in others if named(iter(self._workbook.rows(each))) is not None]
        has_ids = named(iter(self._workbook.rows(self.sheet))) is not None
        if with_ids and not has_ids:
            names = " or ".join(f'--sheet "{each}"' for each in with_ids)
            return SourceError(f"{self._name}: ids are not in the first sheet, {self.sheet}: add {names}")
        other = f"; this is the sheet {self.sheet}, and there are also {', '.join(others)}: --sheet NAME"
        return SourceError(f"{error}{other}") if others else error

    def __iter__(self) -> Iterator[ArchiveItem | InvalidLine]:
        """Yield an item for each valid row, and an `InvalidLine` for each other one, in the sheet's order."""
        wide = len(self.columns.found)
        for line, cells in self._rows:
            # A row ends at its last filled cell.
            padded = [*cells, *[None] * (wide - len(cells))]
            made = self._table.read(padded, line)
            if isinstance(made, ArchiveItem) and line in self._hidden:
                made = RecordError(None, _HIDDEN)
            elif isinstance(made, RecordError) and made.column in _IDS and self._workbook.has_open_formulas:
                made = attrs.evolve(made, reason=f"{made.reason}{_NOT_CALCULATED}")
            if made is not None:
                yield made if isinstance(made, ArchiveItem) else made.at(self._name, line, as_csv(padded))

    def close(self) -> None:
        """Close the file."""
        self._workbook.close()

    def _headers(self) -> Iterator[list[Header]]:
        for line, cells in self._rows:
            names = ["" if each is None else str(each) for each in cells]
            while names and not names[-1].strip():
                names.pop()
            if names:
                yield [Header(line, tuple(names))]


def open_workbook(path: Path, name: str) -> Workbook:
    """Open a workbook.

    Args:
        path: The file.
        name: Its name for messages.

    Returns:
        The workbook, to be closed.

    Raises:
        SourceError: It is none, is locked with a password, or is too large.
    """
    with path.open("rb") as file:
        start = file.read(_LOOKED_AT)
    if start.startswith(_OLD):
        from thredfi_async.bulk.readers.workbook_xls import XlsWorkbook  # noqa: PLC0415 - of the extra `excel`

        return XlsWorkbook(path, name)
    if start[:2] != b"PK":
        raise SourceError(f"{name} {other_format(start) or _NONE}")
    from thredfi_async.bulk.readers.workbook_xlsx import XlsxWorkbook  # noqa: PLC0415 - of the extra `excel`

    return XlsxWorkbook(path, name)


def seen_or(sheets: Mapping[str, bool], wanted: str | None, name: str) -> list[str]:
    """Return the sheet that is wanted, or all that can be seen.

    Raises:
        SourceError: There is none.
    """
    first = _chosen(sheets, wanted, name)
    return [first] if wanted is not None else _seen(sheets)


def _seen(sheets: Mapping[str, bool]) -> list[str]:
    return [each for each, is_visible in sheets.items() if is_visible]


def _chosen(sheets: Mapping[str, bool], wanted: str | None, name: str) -> str:
    """Return the sheet to read: the first that can be seen, or the one that is named, be it hidden."""
    seen = _seen(sheets)
    if not seen:
        raise SourceError(
            f"{name} has no sheet that can be read: open it in a spreadsheet, and save it as .xlsx, not Strict"
        )
    if wanted is None:
        return seen[0]
    found = next((each for each in sheets if each.strip().casefold() == wanted.strip().casefold()), None)
    if found is None:
        raise SourceError(f"{name} has no sheet of that name. There are: {', '.join(seen)}")
    return found


def count_rows(path: Path, name: str, options: ReadingOptions) -> int:
    """Return how many rows a sheet has below its first, empty ones left out.

    Args:
        path: The file.
        name: Its name for messages.
        options: Which sheet it is.

    Raises:
        SourceError: It cannot be read.
    """
    workbook = open_workbook(path, name)
    try:
        sheet = _chosen(workbook.sheets, options.sheet, name)
        return max(0, sum(any(each is not None for each in cells) for cells in workbook.rows(sheet)) - 1)
    finally:
        workbook.close()
