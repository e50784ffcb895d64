"""Opens .xlsx with openpyxl, after a look at the sizes in its directory."""

import re
import zipfile
import zlib
from collections.abc import Container, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import ParseError

from thredfi_async._extras import how_to_install
from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.readers.table import Cells
from thredfi_async.bulk.readers.workbook_row_sets import MOST_ROWS, HiddenRows, Rows

try:
    openpyxl: Any = import_module("openpyxl")
except ImportError:
    raise SourceError(
        f"a workbook needs the package openpyxl: {how_to_install('excel')}, or save the sheet as CSV"
    ) from None

MOST_SHEET: Final = 1 << 30
"""Most bytes of a sheet: a million rows with a body each have fewer."""
MOST_HELD: Final = 128 << 20
"""Most bytes of any other part, such as the texts that cells share, which are held in memory."""
MOST_ROW: Final = 8 << 20
"""Most bytes of a row."""
_CHUNK: Final = 1 << 20
_ROW_END: Final = re.compile(rb"</(?:\w+:)?row>|<(?:\w+:)?row\b[^>]*/>")
_OPEN: Final = re.compile(
    rb"<P?c\b(?![^>]{0,200}\bt=.str)([^>]{0,200})>\s*"
    rb"<P?f\b[^>]{0,500}(?:/>|>[^<]{0,8192}</P?f>)\s*(?:<P?v\s*/>|<P?v>\s*</P?v>)?\s*</P?c>".replace(
        b"P?", rb"(?:\w+:)?"
    )
)
"""A formula without a result; one whose result is an empty text says that it is text."""
_IN_ROW: Final = re.compile(rb"""\br=["'][A-Z]{1,3}([0-9]{1,7})["']""")
_FORMULA: Final = 10_000
"""Most bytes of a formula and of what is around it."""
_UNREADABLE: Final = "is no workbook that can be read: open it in a spreadsheet, and save it again"
_DAMAGED: Final = (
    *(zipfile.BadZipFile, zlib.error, ParseError, EOFError, KeyError, IndexError),
    *(ValueError, TypeError, AttributeError),
)
"""What openpyxl raises for a workbook that is damaged, or is none."""


class XlsxWorkbook:
    """An open .xlsx.

    Args:
        path: The file.
        name: Its name for messages.

    Raises:
        SourceError: It is none, or too large.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._name = name
        self._hidden, self._open = dict[str, HiddenRows](), dict[str, Rows]()
        self.has_open_formulas: bool = _look_through(path, name, self._hidden, self._open)
        try:
            self._book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
        except (*_DAMAGED, OSError):
            raise SourceError(f"{name} {_UNREADABLE}") from None

    @property
    def sheets(self) -> dict[str, bool]:
        """The names of its sheets in their order, and whether each can be seen."""
        return {str(sheet.title): sheet.sheet_state == "visible" for sheet in self._book.worksheets}

    def rows(self, sheet: str) -> Iterator[Cells]:
        """Yield the values of a sheet's rows; an error in a cell is its text, such as `#N/A`.

        Raises:
            SourceError: The sheet is damaged.
        """
        found = self._book[sheet]
        # Some writers say that a sheet has one cell.
        found.reset_dimensions()
        try:
            yield from found.iter_rows(values_only=True)
        except (*_DAMAGED, OSError):
            raise SourceError(f"{self._name} is damaged: its rows cannot be read to the end") from None

    def hidden(self, sheet: str) -> HiddenRows:
        """Return the rows of a sheet that are hidden."""
        # openpyxl tells them only to those who have it hold the whole sheet.
        return self._hidden.get(self._book[sheet]._worksheet_path, HiddenRows())  # noqa: SLF001 - told nowhere else

    def open_formulas(self, sheet: str) -> Container[int]:
        """Return the rows of a sheet with formulas that were never calculated."""
        return self._open.get(self._book[sheet]._worksheet_path, Rows())  # noqa: SLF001 - as above

    def close(self) -> None:
        """Close the file."""
        self._book.close()


def _look_through(path: Path, name: str, hidden: dict[str, HiddenRows], formulas: dict[str, Rows]) -> bool:
    """Refuse a workbook that would take too much memory, before it is opened, and look at the rows of each sheet.

    Returns:
        Whether there are formulas in it that no one has calculated, whose cells would be read as empty.

    Raises:
        SourceError: It is too large, or no workbook.
    """
    found = False
    try:
        with zipfile.ZipFile(path) as archive:
            for part in archive.infolist():
                is_sheet = "worksheets/" in part.filename
                if part.file_size > (MOST_SHEET if is_sheet else MOST_HELD):
                    raise SourceError(f"{name} is too large for a workbook: save the sheet as CSV")
                if is_sheet:
                    hidden[part.filename], formulas[part.filename] = HiddenRows(), Rows()
                    rows = hidden[part.filename], formulas[part.filename]
                    found = _check_rows(archive, part, name, *rows) or found
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError):
        raise SourceError(f"{name} {_UNREADABLE}") from None
    return found


def _check_rows(archive: zipfile.ZipFile, part: zipfile.ZipInfo, name: str, hidden: HiddenRows, formulas: Rows) -> bool:
    length, found, tail = 0, False, b""
    with archive.open(part) as sheet:
        while piece := sheet.read(_CHUNK):
            ends = [found.end() for found in _ROW_END.finditer(piece)]
            hidden.feed(piece)
            length = len(piece) - ends[-1] if ends else length + len(piece)
            if length > MOST_ROW:
                raise SourceError(f"{name} has a row of more than {MOST_ROW:,} bytes: save the sheet as CSV")
            for formula in _OPEN.finditer(tail + piece):
                found = True
                row = _IN_ROW.search(formula[1])
                if row is None:
                    formulas.add_all()  # the cell does not say where it stands
                elif int(row[1]) <= MOST_ROWS:
                    formulas.add(int(row[1]))
            tail = piece[-_FORMULA:]
    return found
