"""Looks at the pages of a Parquet file before they are decoded: a page of some bytes may claim, and become, gigabytes.

What the footer says of sizes binds no one. Arrow decompresses a page to the size in the page's own header, and that is
read here, for every page of a row group.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from thredfi_async.bulk.readers.parquet_thrift import Thrift

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

Decompress = Callable[[int, bytes, int], bytes]
"""Undoes a compression, of bytes that become so many; raises `ValueError` where it cannot."""


class PagesError(Exception):
    """A row group's pages cannot be read, or not within bounds; the text is what follows the file's name."""


_BYTES: Final = 6
"""BYTE_ARRAY among the types of a column."""
_NO_DICTIONARY: Final = frozenset({6, 7})
"""DELTA_LENGTH_BYTE_ARRAY and DELTA_BYTE_ARRAY, which Arrow does not decode into dictionaries."""


@attrs.frozen
class Column:
    """Where a column's pages are in a row group.

    Args:
        path: The names of the whole column and of the part that it is, one in the other.
        type: The number of its type.
        codec: The number of its compression.
        start: The first page's place in the file.
        size: The pages' bytes.
        values: How many values they have.
        can_be_kept: Whether it is text that Arrow can leave in its dictionary.
    """

    path: str
    type: int
    codec: int
    start: int
    size: int
    values: int
    can_be_kept: bool

    @property
    def name(self) -> str:
        """The name of the whole column."""
        return self.path.partition(".")[0]


@attrs.frozen
class Reading:
    """How a column is read.

    Args:
        repeated: Paths of what is in lists, and may so have more values than there are rows.
        kept: Paths of what Arrow leaves in dictionaries, so that no value is made for each row.
        decompress: Undoes a compression, by its number.
    """

    repeated: frozenset[str]
    kept: frozenset[str]
    decompress: Decompress


def columns_of(group: Mapping[int, Any]) -> list[Column]:
    """Return where the columns of a row group are.

    Args:
        group: What the footer says of it.

    Raises:
        PagesError: It says nothing of the kind.
    """
    try:
        return [_column(chunk[3]) for chunk in group[1]]
    except (LookupError, TypeError, ValueError, AttributeError):
        raise PagesError(_DAMAGED) from None


def _column(said: Mapping[int, Any]) -> Column:
    kind, encodings, names, codec = said[1], said[2], said[3], said[4]
    start, dictionary = said[9], said.get(11) or said[9]
    column = Column(
        path=".".join(name.decode() for name in names),
        type=kind,
        codec=codec,
        start=min(start, dictionary),
        size=said[7],
        values=said[5],
        can_be_kept=kind == _BYTES and _NO_DICTIONARY.isdisjoint(encodings),
    )
    if not all(isinstance(each, int) and each >= 0 for each in (codec, column.start, column.size, column.values)):
        raise ValueError
    return column


def rows_at_a_time(file: io.BufferedReader, columns: Sequence[Column], reading: Reading, most: int) -> int:
    """Look at the pages of a row group, and return how many rows may be decoded at a time.

    Args:
        file: The file.
        columns: The columns that are to be read.
        reading: How they are.
        most: Most rows.

    Returns:
        So many, or fewer.

    Raises:
        PagesError: It is damaged, or takes too much memory.
    """
    held, row = 0, 0
    for column in columns:
        size, longest, values = _measured(file, column, reading)
        held += size
        repeated = column.path in reading.repeated
        if repeated and (values > MOST_VALUES or values * longest > MOST_EXPANDED):
            # All of them may be one row's, so that fewer rows at a time would not help.
            raise PagesError(f"has a row group with too many or too long values of {column.name}: {_SMALLER}")
        row += 0 if repeated else longest
    if held > MOST_HELD:
        raise PagesError(f"has a row group whose pages take {held:,} bytes at a time, over {MOST_HELD:,}: {_SMALLER}")
    return max(1, min(most, MOST_EXPANDED // max(row, 1)))


def _measured(file: io.BufferedReader, column: Column, reading: Reading) -> tuple[int, int, int]:
    """Return a column's bytes to be held, the bytes of a value that may recur, and how many values there are."""
    dictionary, data, longest, values = 0, 0, 0, 0
    for page in _pages(file, column):
        values += page.values
        if page.kind == _DICTIONARY:
            dictionary = max(dictionary, page.size)
            longest = max(longest, 0 if column.path in reading.kept else _longest(file, column, page, reading))
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
        header = Thrift(file, end).struct()
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


def _longest(file: io.BufferedReader, column: Column, page: _Page, reading: Reading) -> int:
    """Return how long the longest value of a dictionary is, which any number of rows may have."""
    if column.type != _BYTES or page.size > _LONGEST_LOOK:
        return page.size
    file.seek(page.start)
    try:
        data = reading.decompress(column.codec, file.read(page.packed), page.unpacked)
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
    try:
        count, encoding = header[_DATA[kind]][1], header[_DATA[kind]].get(_ENCODINGS[kind])
    except (LookupError, TypeError, AttributeError):
        raise PagesError(_DAMAGED) from None
    if not isinstance(count, int) or count < 0:
        raise PagesError(_DAMAGED)
    return count, encoding


_SMALLER: Final = "write it with smaller pages and row groups, and without the encoding DELTA_BYTE_ARRAY"
_DAMAGED: Final = "is damaged: its pages cannot be read"
