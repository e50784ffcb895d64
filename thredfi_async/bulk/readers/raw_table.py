"""Finds the line that names the columns of a table by what stands below it: ids."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice

import attrs

from thredfi_async.bulk.readers.items import identifier
from thredfi_async.bulk.readers.table import LOOKED_AT

Row = Mapping[str, object]


@attrs.frozen
class RawTable:
    """A table of a file.

    Args:
        names: The names of its columns; one that two columns have is left out.
        rows: Its rows from the first with an id on.
        sheet: The sheet of a workbook.
    """

    names: tuple[str, ...]
    rows: Iterator[Row]
    sheet: str | None = None


def named(rows: Iterator[Sequence[object]], sheet: str | None = None) -> RawTable | None:
    """Return a table of rows: its names stand in the fullest line above the first id. None if there are none."""
    head = list(islice(rows, LOOKED_AT + 1))
    first = next((place for place, cells in enumerate(head) if any(map(identifier, cells))), 0)
    if first == 0:
        return None
    header = max(head[:first], key=lambda cells: sum(bool(_text(cell).strip()) for cell in cells))
    names = [_text(cell) for cell in header]
    places = {place: name for place, name in enumerate(names) if name.strip() and names.count(name) == 1}

    def mapped() -> Iterator[Row]:
        for cells in chain(head[first:], rows):
            yield {name: cells[place] for place, name in places.items() if place < len(cells)}

    return RawTable(tuple(places.values()), mapped(), sheet)


def _text(cell: object) -> str:
    return "" if cell is None else str(cell)
