"""Opens .xlsx with openpyxl, after a look at the sizes in its directory."""

import re
import zipfile
import zlib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import ParseError

from thredfi_async._extras import how_to_install
from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.readers.table import Cells

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
    rb"<c\b(?![^>]{0,200}\bt=.str)[^>]{0,200}>\s*<f\b[^>]{0,500}(?:/>|>[^<]{0,8192}</f>)\s*(?:<v\s*/>|<v>\s*</v>)?\s*</c>"
)
"""A formula without a result; one whose result is an empty text says that it is text."""
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
        self.has_open_formulas: bool = _look_through(path, name)
        try:
            self._book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
        except (*_DAMAGED, OSError):
            raise SourceError(f"{name} {_UNREADABLE}") from None

    @property
    def sheets(self) -> list[str]:
        """The names of its sheets that can be seen, in their order."""
        return [str(sheet.title) for sheet in self._book.worksheets if sheet.sheet_state == "visible"]

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

    def close(self) -> None:
        """Close the file."""
        self._book.close()


def _look_through(path: Path, name: str) -> bool:
    """Refuse a workbook that would take too much memory, before it is opened.

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
                    found = _check_rows(archive, part, name) or found
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError):
        raise SourceError(f"{name} {_UNREADABLE}") from None
    return found


def _check_rows(archive: zipfile.ZipFile, part: zipfile.ZipInfo, name: str) -> bool:
    length, found, tail = 0, False, b""
    with archive.open(part) as sheet:
        while piece := sheet.read(_CHUNK):
            ends = [found.end() for found in _ROW_END.finditer(piece)]
            length = len(piece) - ends[-1] if ends else length + len(piece)
            if length > MOST_ROW:
                raise SourceError(f"{name} has a row of more than {MOST_ROW:,} bytes: save the sheet as CSV")
            found = found or _OPEN.search(tail + piece) is not None
            tail = piece[-_FORMULA:]
    return found
