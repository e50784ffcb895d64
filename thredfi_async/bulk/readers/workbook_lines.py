"""Writes rows of a workbook as lines of CSV, for the file of invalid lines."""

import csv
import io
from collections.abc import Iterable


def as_csv(cells: Iterable[object]) -> bytes:
    """Return a row as a line of CSV.

    Args:
        cells: Its cells.

    Returns:
        The line; whole numbers have no fraction.
    """
    text = io.StringIO()
    csv.writer(text).writerow("" if each is None else _written(each) for each in cells)
    return text.getvalue().encode("utf-8", "replace")


def _written(cell: object) -> object:
    return int(cell) if isinstance(cell, float) and cell.is_integer() else cell
