"""One pass over a source."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol
from uuid import UUID

from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.items import ArchiveItem
from thredfi_async.bulk.readers.columns import Columns, Rules
from thredfi_async.bulk.readers.csv_records import CsvRecords
from thredfi_async.bulk.readers.format_detection import DetectedFormat
from thredfi_async.bulk.readers.invalid_line import InvalidLine
from thredfi_async.bulk.readers.io import Opened, is_regular, open_stream, reading
from thredfi_async.bulk.readers.json_text import lines_of, objects_of
from thredfi_async.bulk.readers.object_records import ObjectRecords
from thredfi_async.bulk.readers.skipped import WITHOUT_IDS


class Records(Protocol):
    """The records of one pass over a source."""

    @property
    def columns(self) -> Columns:
        """What its columns become."""
        ...

    @property
    def skipped(self) -> Mapping[str, int]:
        """Lines so far that are no records, by what they are."""
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
            without = records.skipped.get(WITHOUT_IDS, 0)
            rows = f"; rows without ids: {without:,}" if without else ""
            raise SourceError(f"{name} has a header and no records{rows}")
        self._first = first

    def __iter__(self) -> Iterator[ArchiveItem | InvalidLine]:
        """Yield items and invalid lines in the source's order."""
        yield self._first
        yield from self._rest

    def sha256(self) -> str | None:
        """Return the hash of what was read; None for what is not read from end to end."""
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
    if not detected.is_text:
        return _with_directory(path, name, detected, business_id, rules)
    opened = open_stream(path, name, detected.compression, keep=rules.keep_invalid)
    try:
        with reading(name):
            match detected.format:
                case "csv":
                    records: Records = CsvRecords(opened, business_id, rules)
                case "jsonl":
                    records = ObjectRecords(name, lines_of(opened, rules), business_id, rules, opened.spool)
                case _:
                    records = ObjectRecords(name, objects_of(opened, rules), business_id, rules, opened.spool)
            return ReadSession(name, records, opened, opened)
    except BaseException:
        opened.close()
        raise


def _with_directory(
    path: Path | None, name: str, detected: DetectedFormat, business_id: UUID | None, rules: Rules
) -> ReadSession:
    """Open a file that is read by its directory, at its end; what reads it comes with an extra."""
    is_parquet = detected.format == "parquet"
    if path is None or (not (is_parquet and path.is_dir()) and not is_regular(path, name)):
        what = "Parquet" if is_parquet else "a workbook"
        raise SourceError(f"{name}: {what} cannot be read from a pipe; save it to a file")
    rows = _rows(path, name, business_id, rules) if is_parquet else _sheet(path, name, business_id, rules)
    try:
        return ReadSession(name, rows, rows, None)
    except BaseException:
        rows.close()
        raise


class _ClosingRecords(Records, Closes, Protocol):
    """Records that hold their file open."""


def _rows(path: Path, name: str, business_id: UUID | None, rules: Rules) -> _ClosingRecords:
    from thredfi_async.bulk.readers.parquet_parts import PartsRecords  # noqa: PLC0415 - of the extra `parquet`

    return PartsRecords(path, name, business_id, rules)


def _sheet(path: Path, name: str, business_id: UUID | None, rules: Rules) -> _ClosingRecords:
    from thredfi_async.bulk.readers.workbook_records import WorkbookRecords  # noqa: PLC0415 - of the extra `excel`

    return WorkbookRecords(path, name, business_id, rules)
