"""Reads structures of Thrift's compact protocol, as far as Parquet's footer and its pages' headers have them.

pyarrow shows what the footer says of a column, and ends the process if that is damaged: its `RowGroupMetaData.column`
lets C++'s exceptions through. So the footer is read here, too.
"""

import io
import os
from collections.abc import Iterator
from typing import Any, Final

_DEEPEST: Final = 16
_LONGEST: Final = 1 << 16
"""Most bytes of a text that is kept; a longer one, such as the smallest value of a page, is skipped."""
_TAIL: Final = 8
_ROW_GROUPS: Final = 4


class ThriftError(Exception):
    """It is not what the protocol has."""


class Thrift:
    """Reads structures from a place in a file.

    Args:
        file: The file, at the structure.
        end: Where the structure has to have ended.
    """

    def __init__(self, file: io.BufferedReader, end: int) -> None:
        self._file = file
        self._end = end

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Return a structure's values by the numbers of their fields; text as bytes, and None for what is skipped."""
        return {number: self.value(kind, depth) for number, kind in self.fields()}

    def fields(self) -> Iterator[tuple[int, int]]:
        """Yield the number and the kind of each field of a structure; the caller reads its value."""
        number = 0
        while (head := self._byte()) != 0:
            number = number + (head >> 4) if head >> 4 else self._signed()
            yield number, head & 15

    def list(self) -> Iterator[int]:
        """Yield the kind of each of a list's values; the caller reads it."""
        head = self._byte()
        count = head >> 4 if head >> 4 != 15 else self._unsigned()  # noqa: PLR2004 - the size follows
        for _ in range(count):
            yield head & 15

    def value(self, kind: int, depth: int, *, listed: bool = False) -> Any:  # noqa: ANN401, PLR0911 - of any kind
        """Return a value of a kind."""
        match kind:
            case 1 | 2:  # a boolean, which the field's head has, and a list's byte
                return self._byte() if listed else kind
            case 3:
                return self._byte()
            case 4 | 5 | 6:
                return self._signed()
            case 7:
                return self._bytes(8)
            case 8:
                return self._bytes(self._unsigned())
            case 9 | 10 if depth < _DEEPEST:
                return [self.value(each, depth + 1, listed=True) for each in self.list()]
            case 12 if depth < _DEEPEST:
                return self.struct(depth + 1)
            case _:
                raise ThriftError

    def _byte(self) -> int:
        byte = self._file.read(1)
        if not byte:
            raise ThriftError
        return byte[0]

    def _bytes(self, count: int) -> bytes | None:
        if self._file.tell() + count > self._end:
            raise ThriftError
        if count <= _LONGEST:
            return self._file.read(count)
        self._file.seek(count, io.SEEK_CUR)
        return None

    def _unsigned(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:  # noqa: PLR2004 - the last one
                return value
        raise ThriftError

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)


def row_groups(file: io.BufferedReader) -> Iterator[dict[int, Any]]:
    """Yield what the footer says of each row group, one at a time.

    Args:
        file: The file, whose end Arrow has found to be right.

    Yields:
        The structure `RowGroup`.

    Raises:
        ThriftError: The footer is damaged.
    """
    size = file.seek(-_TAIL, os.SEEK_END)
    length = int.from_bytes(file.read(4), "little")
    if length > size:
        raise ThriftError
    place = size - length
    file.seek(place)
    footer = Thrift(file, size)
    for number, kind in footer.fields():
        if number != _ROW_GROUPS:
            footer.value(kind, 0)
            continue
        for each in footer.list():
            found = footer.value(each, 0, listed=True)
            place = file.tell()
            if not isinstance(found, dict):
                raise ThriftError
            yield found
            file.seek(place)  # the caller may have read elsewhere
        return
