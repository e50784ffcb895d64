"""Reads the rows of a file whatever its columns are called, to find out which of them hold ids."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

from thredfi_async._checks.json import as_object
from thredfi_async._codec.json import loads
from thredfi_async.bulk.readers.columns import Rules
from thredfi_async.bulk.readers.format_detection import DetectedFormat
from thredfi_async.bulk.readers.io import open_stream, reading
from thredfi_async.bulk.readers.items import identifier
from thredfi_async.bulk.readers.json_text import lines_of, objects_of
from thredfi_async.bulk.readers.object_records import flat
from thredfi_async.bulk.readers.raw_table import RawTable, Row, named
from thredfi_async.bulk.readers.table import LOOKED_AT
from thredfi_async.bulk.readers.text import form_of
from thredfi_async.bulk.reading_options import ReadingOptions

_SEPARATORS: Final = (",", ";", "\t", "|")
_LONGEST: Final = 1 << 16
"""Most characters of a line; what is longer is cut."""


def tables_of(path: Path, name: str, detected: DetectedFormat, options: ReadingOptions) -> Iterator[RawTable]:
    """Yield the tables of a file that hold ids, each to be read before the next: one, but for workbooks.

    Args:
        path: The file, or a folder of Parquet files.
        name: Its name for messages.
        detected: Its format.
        options: Its encoding, and its sheet.

    Yields:
        The tables; of Parquet the names alone.

    Raises:
        SourceError: The file cannot be read.
    """
    match detected.format:
        case "excel":
            yield from _sheets(path, name, options)
        case "parquet":
            # Imported on use: the extra `parquet` brings it.
            from thredfi_async.bulk.readers.parquet_parts import names_of  # noqa: PLC0415 - as it says

            yield RawTable(tuple(names_of(path, name)), iter(()))
        case _:
            with reading(name), closing(open_stream(path, name, detected.compression)) as opened:
                if detected.format == "csv":
                    form = form_of(opened, options.encoding, "csv")
                    text = opened.as_text(form.encoding, form.errors, form.line_end)
                    found = named(_split(iter(lambda: text.readline(_LONGEST), "")))
                else:
                    found = _of_objects(
                        lines_of(opened, _ALL) if detected.format == "jsonl" else objects_of(opened, _ALL)
                    )
                yield from [found] if found is not None else []


_ALL: Final = Rules(business_id_given=True, options=ReadingOptions(ids_only=True))


def _split(lines: Iterator[str]) -> Iterator[Sequence[object]]:
    head = list(islice(lines, LOOKED_AT + 1))

    def ids(separator: str) -> int:
        return sum(identifier(cell) is not None for row in _rows(head, separator) for cell in row)

    return _rows(chain(head, lines), max(_SEPARATORS, key=ids))


def _rows(lines: Iterable[str], separator: str) -> Iterator[Sequence[object]]:
    try:
        for row in csv.reader(lines, delimiter=separator):
            if row:
                yield row
    except csv.Error:  # what is behind it is another command's to report
        return


def _of_objects(objects: Iterable[tuple[int, bytes]]) -> RawTable | None:
    rows = _objects(objects)
    first = next(rows, None)
    return None if first is None else RawTable(tuple(first), chain([first], rows))


def _objects(objects: Iterable[tuple[int, bytes]]) -> Iterator[Row]:
    for _, raw in objects:
        try:
            value: Any = loads(raw.decode("utf-8", "replace"))
        except ValueError:
            continue
        fields = as_object(value)
        if fields is not None:
            yield dict(flat(fields, _ALL))


def _sheets(path: Path, name: str, options: ReadingOptions) -> Iterator[RawTable]:
    from thredfi_async.bulk.readers.workbook_records import open_workbook, seen_or  # noqa: PLC0415 - extra `excel`

    workbook = open_workbook(path, name)
    try:
        for sheet in seen_or(workbook.sheets, options.sheet, name):
            found = named((cells for cells in workbook.rows(sheet) if cells), sheet)
            if found is not None:
                yield found
    finally:
        workbook.close()
