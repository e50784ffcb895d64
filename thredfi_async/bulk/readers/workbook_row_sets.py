"""Sets of rows of a sheet: any, and those that are hidden, as a filter hides what it leaves out."""

import re
from typing import Final

_ROW: Final = re.compile(rb"<(?:\w+:)?row\b([^<>]{0,4096})>")
_NUMBER: Final = re.compile(rb"""\br=["']([0-9]{1,7})["']""")
_HIDDEN: Final = re.compile(rb"""\bhidden=["'](?:1|true)["']""")
MOST_ROWS: Final = 1 << 20
"""Rows of a sheet, by its format."""
_TAG: Final = 8_192
"""Most bytes of a tag that is looked at."""


class Rows:
    """Rows of a sheet, a byte for each at most."""

    def __init__(self) -> None:
        """Begin without any."""
        self._marks = bytearray()
        self._are_all = False

    def add(self, row: int) -> None:
        """Take a row in, from 1."""
        self._marks.extend(bytes(max(0, row + 1 - len(self._marks))))
        self._marks[row] = 1

    def add_all(self) -> None:
        """Take all rows in."""
        self._are_all = True

    def __contains__(self, row: object) -> bool:
        """Return whether a row, from 1, is one of them."""
        return self._are_all or (isinstance(row, int) and row < len(self._marks) and bool(self._marks[row]))


class HiddenRows(Rows):
    """The hidden rows of a sheet."""

    def __init__(self) -> None:
        """Begin at the first row."""
        super().__init__()
        self._row = 0
        self._rest = b""

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the sheet's XML."""
        text = self._rest + piece
        end = text.rfind(b">") + 1
        for tag in _ROW.finditer(text, 0, end):
            number = _NUMBER.search(tag[1])
            self._row = self._row + 1 if number is None else int(number[1])
            if _HIDDEN.search(tag[1]) and self._row <= MOST_ROWS:
                self.add(self._row)
        self._rest = text[end:][-_TAG:]
