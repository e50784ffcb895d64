"""Finds the rows of a sheet that are hidden, as those are that a filter leaves out."""

import re
from typing import Final

_ROW: Final = re.compile(rb"<(?:\w+:)?row\b([^<>]{0,4096})>")
_NUMBER: Final = re.compile(rb"""\br=["']([0-9]{1,7})["']""")
_HIDDEN: Final = re.compile(rb"""\bhidden=["'](?:1|true)["']""")
_MOST: Final = 1 << 20
"""Rows of a sheet, by its format."""
_TAG: Final = 8_192
"""Most bytes of a tag that is looked at."""


class HiddenRows:
    """The hidden rows of a sheet, a byte for each of its rows at most."""

    def __init__(self) -> None:
        """Begin at the first row."""
        self._hidden = bytearray()
        self._row = 0
        self._rest = b""

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the sheet's XML."""
        text = self._rest + piece
        end = text.rfind(b">") + 1
        for tag in _ROW.finditer(text, 0, end):
            number = _NUMBER.search(tag[1])
            self._row = self._row + 1 if number is None else int(number[1])
            if _HIDDEN.search(tag[1]) and self._row <= _MOST:
                self.add(self._row)
        self._rest = text[end:][-_TAG:]

    def add(self, row: int) -> None:
        """Take a row, from 1, as hidden."""
        self._hidden.extend(bytes(max(0, row + 1 - len(self._hidden))))
        self._hidden[row] = 1

    def __contains__(self, row: int) -> bool:
        """Return whether a row, from 1, is hidden."""
        return row < len(self._hidden) and bool(self._hidden[row])
