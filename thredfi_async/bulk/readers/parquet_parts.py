"""Reads a Parquet file, or a folder of parts as Spark, Dask and DuckDB write one table."""

import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.items import ArchiveItem
from thredfi_async.bulk.readers.columns import Columns, Rules
from thredfi_async.bulk.readers.invalid_line import InvalidLine
from thredfi_async.bulk.readers.io import is_part
from thredfi_async.bulk.readers.parquet_records import ParquetRecords, column_names, count_rows


def parts_of(path: Path, name: str) -> list[Path]:
    """Return the files of a source, in the order of their names.

    Args:
        path: The file, or the folder.
        name: Its name for messages.

    Returns:
        The files; what begins with `_` or `.` is a writer's own.

    Raises:
        SourceError: The folder has none, or has folders in it.
    """
    if not path.is_dir():
        return [path]
    try:
        within = sorted(each for each in path.iterdir() if not each.name.startswith(("_", ".")))
    except OSError as error:
        raise SourceError(f"cannot read {name}: {error.strerror or type(error).__name__}") from None
    if any(each.is_dir() for each in within):
        raise SourceError(f"{name} has folders in it, whose names may be columns: name one of them, or one file")
    parts = [each for each in within if is_part(each)]
    if not all(each.is_file() for each in parts):
        raise SourceError(f"{name} has a part that is a pipe or a device: name one file")
    if not parts:
        raise SourceError(f"cannot read {name}: it is a directory without files that end in .parquet")
    return parts


def names_of(path: Path, name: str) -> list[str]:
    """Return the names of a source's columns, from the footer of its first file.

    Raises:
        SourceError: It is no Parquet file.
    """
    return column_names(parts_of(path, name)[0], name)


def count_all(path: Path, name: str) -> int:
    """Return how many rows a source has, from the footers of its files.

    Raises:
        SourceError: One of them is no Parquet file.
    """
    return sum(count_rows(part, str(part)) for part in parts_of(path, name))


class PartsRecords:
    """The rows of all parts, counted on from part to part; the schemas of all are read first.

    Args:
        path: The file, or the folder.
        name: Its name for messages.
        business_id: The business of every record, or None where each names its own.
        rules: What the caller said about columns.

    Raises:
        SourceError: One of the parts is no Parquet file, or does not fit the run, or has other columns than the first.
    """

    header = b""

    def __init__(self, path: Path, name: str, business_id: UUID | None, rules: Rules) -> None:
        self._name, self._business_id, self._rules = name, business_id, rules
        self._parts = parts_of(path, name)
        self._open: ParquetRecords | None = None
        self.skipped: Counter[str] = Counter()
        self.columns: Columns = self._columns_of(self._parts[0])
        for part in self._parts[1:]:
            if frozenset(self._columns_of(part).becomes) != frozenset(self.columns.becomes):
                raise SourceError(f"{part} has other columns than {self._parts[0].name} in the same folder")

    def __iter__(self) -> Iterator[ArchiveItem | InvalidLine]:
        """Yield an item for each valid row, and an `InvalidLine` for each other one."""
        first = itertools.count(1)
        for part in self._parts:
            self._open = ParquetRecords(part, self._name, self._business_id, self._rules, first)
            try:
                yield from self._open
            finally:
                self.close()

    def close(self) -> None:
        """Close the part that is open."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _columns_of(self, part: Path) -> Columns:
        name = self._name if len(self._parts) == 1 else str(part)
        records = ParquetRecords(part, name, self._business_id, self._rules)
        records.close()
        return records.columns
