"""Opens .xls with xlrd, which holds the sheet; such a file has 65,536 rows at most."""

import io
from collections.abc import Container, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from thredfi_async._extras import how_to_install
from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.readers.table import Cells
from thredfi_async.bulk.readers.workbook_row_sets import HiddenRows

try:
    xlrd: Any = import_module("xlrd")
except ImportError:
    raise SourceError(
        f"an old workbook needs the package xlrd: {how_to_install('excel')}, or save it as .xlsx"
    ) from None

MOST: Final = 64 << 20
"""Most bytes of a file."""


class XlsWorkbook:
    """An open .xls.

    Args:
        path: The file.
        name: Its name for messages.

    Raises:
        SourceError: It is none, or too large.
    """

    def __init__(self, path: Path, name: str) -> None:
        if path.stat().st_size > MOST:
            raise SourceError(f"{name} is too large for an old workbook: save it as .xlsx or as CSV")
        try:
            # What xlrd would print goes nowhere. Without formatting, it does not tell which rows are hidden.
            self._book = xlrd.open_workbook(path, ragged_rows=True, formatting_info=True, logfile=io.StringIO())
        except Exception:  # noqa: BLE001 - a damaged file raises anything in xlrd
            raise SourceError(
                f"{name} is no workbook that can be read, or is locked with a password: open it in a spreadsheet, and "
                "save it as .xlsx without one"
            ) from None

    has_open_formulas = False
    """Spreadsheets alone write such files, and write results."""

    @property
    def sheets(self) -> dict[str, bool]:
        """The names of its sheets in their order, and whether each can be seen."""
        return {str(sheet.name): sheet.visibility == 0 for sheet in self._book.sheets()}

    def rows(self, sheet: str) -> Iterator[Cells]:
        """Yield the values of a sheet's rows; an error in a cell is its text, such as `#N/A`."""
        found = self._book.sheet_by_name(sheet)
        for row in range(found.nrows):
            yield [self._value(found.cell(row, place)) for place in range(found.row_len(row))]

    def hidden(self, sheet: str) -> HiddenRows:
        """Return the rows of a sheet that are hidden."""
        rows = HiddenRows()
        for place, row in self._book.sheet_by_name(sheet).rowinfo_map.items():
            if row.hidden:
                rows.add(place + 1)
        return rows

    def open_formulas(self, sheet: str) -> Container[int]:
        """Return no rows."""
        del sheet
        return ()

    def close(self) -> None:
        """Close the file."""
        self._book.release_resources()

    def _value(self, cell: Any) -> object:  # noqa: ANN401 - xlrd ships no types
        match cell.ctype:
            case xlrd.XL_CELL_TEXT | xlrd.XL_CELL_NUMBER:
                return cell.value
            case xlrd.XL_CELL_DATE:
                return self._date(cell.value)
            case xlrd.XL_CELL_BOOLEAN:
                return bool(cell.value)
            case xlrd.XL_CELL_ERROR:
                return str(xlrd.error_text_from_code.get(cell.value, "#N/A"))
            case _:
                return None

    def _date(self, value: float) -> object:
        try:
            return xlrd.xldate_as_datetime(value, self._book.datemode)
        except Exception:  # noqa: BLE001 - a number beyond the calendar
            return value
