"""How a file is written, and what its columns become: for people, and for the file of its invalid lines."""

from typing import Any

import attrs

from thredfi_async.bulk.readers.columns import Columns
from thredfi_async.bulk.readers.csv_records import CsvRecords
from thredfi_async.bulk.readers.text import TextForm


@attrs.frozen
class Layout:
    """How a file is written.

    Args:
        columns: What its columns become.
        form: How its text is written; None for what is no CSV.
        separator: What separates the columns in CSV, or in the lines that are written of a workbook.
        sheet: The sheet of a workbook.
        is_table: Whether its records are lines of cells.
    """

    columns: Columns
    form: TextForm | None = None
    separator: str = ","
    sheet: str | None = None
    is_table: bool = False


def layout_of(records: Any) -> Layout:  # noqa: ANN401 - one of several, some of extras
    """Return how the records of a file are written."""
    if isinstance(records, CsvRecords):
        return Layout(records.columns, records.form, records.separator, is_table=True)
    sheet = getattr(records, "sheet", None)
    return Layout(records.columns, sheet=sheet, is_table=sheet is not None)
