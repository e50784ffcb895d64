"""One pass over a source."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from uuid import UUID

from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.items import ArchiveItem
from thredfi_async.bulk.readers.columns import Rules
from thredfi_async.bulk.readers.csv_records import CsvRecords
from thredfi_async.bulk.readers.format_detection import DetectedFormat
from thredfi_async.bulk.readers.invalid_line import InvalidLine
from thredfi_async.bulk.readers.io import Opened, is_regular, open_stream, reading
from thredfi_async.bulk.readers.jsonl_records import JsonlRecords


class Records(Protocol):
    """The records of one pass over a source."""

    @property
    def has_bodies(self) -> bool:
        """Whether the records bring the body."""
        ...

    @property
    def header(self) -> bytes:
        """The header as it stands in the file, where the format has one."""
        ...

    def __iter__(self) -> Iterator[ArchiveItem | InvalidLine]:
        """Yield items and invalid lines in the source's order."""
        ...


class Closes(Protocol):
    """An object that holds a file open."""

    def close(self) -> None:
        """Close the file."""
        ...


class ReadSession:
    """One pass over a source; reads the first record at once, to refuse a file without records."""

    def __init__(self, name: str, records: Records, closes: Closes, opened: Opened | None) -> None:
        self.records = records
        self._closes = closes
        self._opened = opened
        self._rest = iter(records)
        first = next(self._rest, None)
        if first is None:
            raise SourceError(f"{name} has a header and no records")
        self._first = first

    def __iter__(self) -> Iterator[ArchiveItem | InvalidLine]:
        """Yield items and invalid lines in the source's order."""
        yield self._first
        yield from self._rest

    def sha256(self) -> str | None:
        """Return the hash of what was read; None for Parquet, which is not read from end to end."""
        return None if self._opened is None else self._opened.sha256()

    def close(self) -> None:
        """Close the file."""
        self._closes.close()


def open_session(
    path: Path | None, name: str, detected: DetectedFormat, business_id: UUID | None, rules: Rules
) -> ReadSession:
    """Open a source, and check its columns.

    Args:
        path: The file, or None for stdin.
        name: Its name for messages.
        detected: How it is read.
        business_id: The business of every record, or None where each names its own.
        rules: What the caller said about columns.

    Returns:
        The pass, to be closed.

    Raises:
        SourceError: The source cannot be read, or does not fit a run.
    """
    if detected.format == "parquet":
        if path is None or not is_regular(path, name):
            raise SourceError(f"{name}: Parquet cannot be read from a pipe; save it to a file")
        # Imported on use: the extra `parquet` brings it.
        from thredfi_async.bulk.readers.parquet_records import ParquetRecords  # noqa: PLC0415 - of the extra `parquet`

        rows = ParquetRecords(path, name, business_id, rules)
        try:
            return ReadSession(name, rows, rows, None)
        except BaseException:
            rows.close()
            raise
    opened = open_stream(path, name, detected.compression)
    try:
        with reading(name):
            kind = CsvRecords if detected.format == "csv" else JsonlRecords
            return ReadSession(name, kind(opened, business_id, rules), opened, opened)
    except BaseException:
        opened.close()
        raise
