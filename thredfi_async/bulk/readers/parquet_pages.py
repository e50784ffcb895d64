"""Looks at the pages of a Parquet file before they are decoded: a page of some bytes may claim, and become, gigabytes.

What the footer says of sizes binds no one. Arrow decompresses a page to the size in the page's own header, and that is
read here, in Thrift's compact protocol, for every page of a row group.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

MOST_HELD: Final = 1 << 28
"""Most bytes of decompressed pages that Arrow has to hold at a time: of each column a page and a dictionary."""
MOST_VALUES: Final = 1 << 24
"""Most values of a column of lists in a row group: all of them may be one row's."""
MOST_EXPANDED: Final = 1 << 26
"""Most bytes that a batch may have if all its values are as long as the longest may be."""
_LONGEST_LOOK: Final = 1 << 25
"""Most bytes of a dictionary whose values are measured; those of a larger one may be as long as it is."""

_DICTIONARY: Final = 2
_DATA: Final = {0: 5, 3: 8}
"""Kinds of data pages, with the field of the page's header that has the header of the kind."""
_ENCODINGS: Final = {0: 2, 3: 4}
_EXPANDING: Final = 7
"""DELTA_BYTE_ARRAY: a value is said by how much it shares with the one before."""
_DEEPEST: Final = 8

Decompress = Callable[[bytes, int], bytes]
"""Decompresses bytes to so many; raises `ValueError` where it cannot."""


class PagesError(Exception):
    """A row group's pages cannot be read, or not within bounds; the text is what follows the file's name."""


@attrs.frozen
class Column:
    """Where a column's pages are in a row group.

    Args:
        name: The name of the whole column that it is a part of.
        start: The first page's place in the file.
        size: The pages' bytes.
        values: How many values they have.
        repeated: Whether it is in a list, so that it may have more values than there are rows.
        kept: Whether Arrow leaves its values in their dictionary, so that no value is made for each row.
        decompress: Undoes its compression; None where its values have one length.
    """

    name: str
    start: int
    size: int
    values: int
    repeated: bool
    kept: bool
    decompress: Decompress | None


def rows_at_a_time(file: io.BufferedReader, columns: Sequence[Column], most: int) -> int:
    """Look at the pages of a row group, and return how many rows may be decoded at a time.

    Args:
        file: The file.
        columns: The columns that are to be read.
        most: Most rows.

    Returns:
        So many, or fewer.

    Raises:
        PagesError: It is damaged, or takes too much memory.
    """
    held, row = 0, 0
    for column in columns:
        size, longest, values = _measured(file, column)
        held += size
        if column.repeated and (values > MOST_VALUES or values * longest > MOST_EXPANDED):
            # All of them may be one row's, so that fewer rows at a time would not help.
            raise PagesError(f"has a row group with too many or too long values of {column.name}: {_SMALLER}")
        row += 0 if column.repeated else longest
    if held > MOST_HELD:
        raise PagesError(f"has a row group whose pages take {held:,} bytes at a time, over {MOST_HELD:,}: {_SMALLER}")
    return max(1, min(most, MOST_EXPANDED // max(row, 1)))


def _measured(file: io.BufferedReader, column: Column) -> tuple[int, int, int]:
    """Return a column's bytes to be held, the bytes of a value that may recur, and how many values there are."""
    dictionary, data, longest, values = 0, 0, 0, 0
    for page in _pages(file, column):
        values += page.values
        if page.kind == _DICTIONARY:
            dictionary = max(dictionary, page.size)
            longest = max(longest, 0 if column.kept else _longest(file, column, page))
        else:
            data = max(data, page.size)
            longest = max(longest, page.size if page.encoding == _EXPANDING else 0)
    return dictionary + data, longest, values


@attrs.frozen
class _Page:
    """A page's place, its bytes in the file and in memory, and what its header says of its values."""

    kind: int
    start: int
    packed: int
    unpacked: int
    values: int
    encoding: int | None

    @property
    def size(self) -> int:
        return max(self.unpacked, self.packed)


def _pages(file: io.BufferedReader, column: Column) -> Iterator[_Page]:
    place, end, left = column.start, column.start + column.size, column.values
    while place < end and left > 0:
        file.seek(place)
        header = _Thrift(file, end).struct()
        kind, unpacked, packed = (header.get(number) for number in (1, 2, 3))
        if not (isinstance(kind, int) and isinstance(unpacked, int) and isinstance(packed, int)):
            raise PagesError(_DAMAGED)
        if unpacked < 0 or packed < 0:
            raise PagesError(_DAMAGED)
        count, encoding = _content(header, kind) if kind in _DATA else (0, None)
        left -= count
        start = file.tell()
        yield _Page(kind, start, packed, unpacked, count, encoding)
        place = start + packed


def _longest(file: io.BufferedReader, column: Column, page: _Page) -> int:
    """Return how long the longest value of a dictionary is, which any number of rows may have."""
    if column.decompress is None or page.size > _LONGEST_LOOK:
        return page.size
    file.seek(page.start)
    try:
        data = column.decompress(file.read(page.packed), page.unpacked)
    except ValueError:
        return page.size
    place, longest = 0, 0
    while place < len(data):
        length = int.from_bytes(data[place : place + 4], "little")
        longest = max(longest, length)
        place += 4 + length
    return longest


def _content(header: Mapping[int, Any], kind: int) -> tuple[int, int | None]:
    """Return how many values a data page has, and how they are encoded."""
    found = header.get(_DATA[kind])
    fields: Mapping[int, Any] = found if isinstance(found, dict) else {}
    count, encoding = fields.get(1), fields.get(_ENCODINGS[kind])
    if not isinstance(count, int) or count < 0:
        raise PagesError(_DAMAGED)
    return count, encoding


class _Thrift:
    """Reads structures of Thrift's compact protocol, as far as headers of pages have them.

    Args:
        file: The file, at the structure.
        end: Where the structure has to have ended.
    """

    def __init__(self, file: io.BufferedReader, end: int) -> None:
        self._file = file
        self._end = end

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Return a structure's whole numbers and structures, by the numbers of their fields."""
        found: dict[int, Any] = {}
        number = 0
        while (head := self._byte()) != 0:
            number = number + (head >> 4) if head >> 4 else self._signed()
            found[number] = self._value(head & 15, depth)
        return found

    def _value(self, kind: int, depth: int) -> object:
        match kind:
            case 1 | 2:  # a boolean, which the field's head has
                return None
            case 3 | 7:  # a byte, a float
                self._skip(1 if kind == 3 else 8)  # noqa: PLR2004 - the kinds
                return None
            case 4 | 5 | 6:
                return self._signed()
            case 8:  # bytes, such as the smallest value of a page
                self._skip(self._unsigned())
                return None
            case 12 if depth < _DEEPEST:
                return self.struct(depth + 1)
            case _:
                raise PagesError(_DAMAGED)

    def _byte(self) -> int:
        byte = self._file.read(1)
        if not byte:
            raise PagesError(_DAMAGED)
        return byte[0]

    def _skip(self, count: int) -> None:
        if self._file.tell() + count > self._end:
            raise PagesError(_DAMAGED)
        self._file.seek(count, io.SEEK_CUR)

    def _unsigned(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:  # noqa: PLR2004 - the last one
                return value
        raise PagesError(_DAMAGED)

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)


_SMALLER: Final = "write it with smaller pages and row groups, and without the encoding DELTA_BYTE_ARRAY"
_DAMAGED: Final = "is damaged: its pages cannot be read"
