"""Reads Parquet, a bounded piece of its rows at a time, and checks its types against the contract's."""

import contextlib
import datetime as dt
import itertools
from collections.abc import Callable, Generator, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import NoneType
from typing import Any, Final
from uuid import UUID

from thredfi_async._checks.json import as_array, as_object
from thredfi_async._codec.json import dumps
from thredfi_async._extras import how_to_install
from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.items import ArchiveItem
from thredfi_async.bulk.readers.columns import BUSINESS, CUSTOMER, FIELDS, Columns, Rules, columns_of, problem_of
from thredfi_async.bulk.readers.invalid_line import InvalidLine, RecordError, location
from thredfi_async.bulk.readers.io import CHUNK
from thredfi_async.bulk.readers.items import ItemMaker
from thredfi_async.bulk.readers.parquet_pages import PagesError, Reading, rows_at_a_time
from thredfi_async.bulk.readers.parquet_pages import columns_of as pages_of
from thredfi_async.bulk.readers.parquet_thrift import ThriftError, row_groups
from thredfi_async.bulk.readers.values import Values

try:
    pa: Any = import_module("pyarrow")
    pq: Any = import_module("pyarrow.parquet")
    from thredfi_async.bulk.readers.parquet_rows import Arrow, Row, rows_of
except ImportError:
    raise SourceError(
        f"a Parquet file needs the package pyarrow: {how_to_install('parquet')}, or save the file as CSV"
    ) from None

_ROWS: Final = 1024
_PLAIN: Final = frozenset({str, int, float, bool, NoneType, dt.datetime, dt.date, dt.time})


class ParquetRecords:
    """The rows of a Parquet file, its schema read.

    Args:
        path: The file.
        name: Its name for messages.
        business_id: The business of every record, or None where each names its own.
        rules: What the caller said about columns.
        numbers: Numbers the rows; from 1 by default.

    Raises:
        SourceError: It is no Parquet file, or its columns or their types do not fit a run.
    """

    def __init__(
        self, path: Path, name: str, business_id: UUID | None, rules: Rules, numbers: Iterator[int] | None = None
    ) -> None:
        self._name = name
        self._numbers = numbers or itertools.count(1)
        self._maker = ItemMaker(business_id)
        self._values = Values(rules.options)
        self._bytes = path.open("rb")
        try:
            with _readable(name), contextlib.closing(_open(path, name)) as file:
                self._check(file.schema_arrow, rules)
                self._reading = self._how(file)
                # One row may have any number of a list's values, so that these stay in their dictionaries.
                kept = sorted(self._reading.kept)
                self._file = _open(path, name, metadata=file.metadata, read_dictionary=kept)
        except BaseException:
            self._bytes.close()
            raise

    def _check(self, schema: Arrow, rules: Rules) -> None:
        """Check the columns and their types.

        Raises:
            SourceError: They do not fit a run.
        """
        self.columns: Columns = columns_of(schema.names, rules)
        kept = {name: ours for name, ours in zip(schema.names, self.columns.becomes, strict=True) if ours is not None}
        problem = problem_of(self.columns, rules) or _type_problem(schema, kept, as_is=rules.options.as_is)
        if problem is not None:
            raise SourceError(f"{location(self._name, None, problem.column)}: {problem.reason}")
        self._ours, self._kept = kept, list(kept)

    def __iter__(self) -> Iterator[ArchiveItem | InvalidLine]:
        """Yield an item for each valid row, and an `InvalidLine` for each other one, in the file's order."""
        for row in self._rows():
            number = next(self._numbers)
            made = row if isinstance(row, RecordError) else self._item(row, number)
            if isinstance(made, ArchiveItem):
                yield made
            else:
                yield made.at(self._name, number, b"" if isinstance(row, RecordError) else _as_json(row))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._bytes.close()

    def _rows(self) -> Iterator[Row | RecordError]:
        with _readable(self._name):
            for batch in self._batches():
                yield from rows_of(batch)

    def _batches(self) -> Iterator[Any]:
        """Yield batches, of each row group as many rows at a time as its pages allow."""
        for number, group in enumerate(row_groups(self._bytes)):
            columns = [column for column in pages_of(group) if column.name in self._ours]
            count = rows_at_a_time(self._bytes, columns, self._reading, _ROWS)
            yield from self._file.iter_batches(count, [number], self._kept, use_threads=False)

    def _how(self, file: Arrow) -> Reading:
        """Decide how columns are read: text in lists is kept in dictionaries, where that can be in all row groups."""
        leaves = (file.schema.column(index) for index in range(len(file.schema)))
        repeated = frozenset(str(leaf.path) for leaf in leaves if leaf.max_repetition_level > 0)
        kept = set(repeated)
        for group in row_groups(self._bytes):
            kept &= {column.path for column in pages_of(group) if column.can_be_kept}
        return Reading(repeated, frozenset(kept), _decompress)

    def _item(self, row: Mapping[str, Any], line: int) -> ArchiveItem | RecordError:
        named = {self._ours[name]: value for name, value in row.items()}
        business, customer = named.get(BUSINESS), named[CUSTOMER]
        if not self.columns.has_bodies:
            return self._maker.make(business, customer, None, line)
        empty = next((name for name, value in named.items() if isinstance(value, str) and not value), None)
        if empty in FIELDS:
            return RecordError(empty, "must not be empty: a null leaves the field out")
        body = self._values.body((name, value) for name, value in named.items() if name in FIELDS)
        return body if isinstance(body, RecordError) else self._maker.make(business, customer, body, line)


@contextlib.contextmanager
def _readable(name: str) -> Generator[None]:
    """Turn what a damaged file raises into a sentence: names that are not UTF-8 and sizes beyond an integer, too."""
    try:
        yield
    except PagesError as error:
        raise SourceError(f"{name} {error}") from None
    except (pa.ArrowException, ThriftError, OSError, ValueError, OverflowError):
        raise SourceError(f"{name} is damaged: its rows cannot be read to the end") from None


def count_rows(path: Path, name: str) -> int:
    """Return how many rows a file has, from its footer.

    Raises:
        SourceError: It is no Parquet file.
    """
    file = _open(path, name)
    try:
        return int(file.metadata.num_rows)
    finally:
        file.close()


def column_names(path: Path, name: str) -> list[str]:
    """Return the names of a file's columns, from its footer.

    Raises:
        SourceError: It is no Parquet file.
    """
    with _readable(name), contextlib.closing(_open(path, name)) as file:
        return [str(each) for each in file.schema_arrow.names]


_CODECS: Final = {1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", 7: "lz4_raw"}
"""Compressions by their numbers, as far as Arrow has a function for them."""


def _decompress(codec: int, data: bytes, size: int) -> bytes:
    if codec == 0:
        return data
    if codec not in _CODECS:
        raise ValueError(codec)
    try:
        return bytes(pa.decompress(data, size, _CODECS[codec]))
    except (pa.ArrowException, OSError):
        raise ValueError(codec) from None


def _open(path: Path, name: str, **how: Any) -> Arrow:  # noqa: ANN401 - passed on
    try:
        return pq.ParquetFile(path, memory_map=False, pre_buffer=False, buffer_size=CHUNK, **how)
    except (pa.ArrowException, ValueError, OverflowError):  # names that are not UTF-8, for one
        raise SourceError(
            f"{name} is not a Parquet file, or is cut short; if it is text, give --format csv or jsonl"
        ) from None
    except OSError as error:
        raise SourceError(f"cannot read {name}: {error.strerror or 'it is not a Parquet file'}") from None


def _as_json(row: Row) -> bytes:
    given = {name: value for name, value in row.items() if value is not None}
    try:
        return dumps(_written(given))
    except (ValueError, RecursionError):  # nested too deeply, or a value that JSON has not
        return b""


def _written(value: Any) -> Any:  # noqa: ANN401 - whatever a column holds
    if (fields := as_object(value)) is not None:
        return {name: _written(each) for name, each in fields.items()}
    if (items := as_array(value)) is not None:
        return [_written(each) for each in items]
    if isinstance(value, bytes):
        return value.hex()
    return value if type(value) in _PLAIN else str(value)


def _is_text(kind: Arrow) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_id(kind: Arrow) -> bool:
    """Return whether a column can hold ids: text, or UUIDs, whose 16 bytes some writers keep as plain binary."""
    return _is_text(kind) or str(kind) in {"fixed_size_binary[16]", "extension<arrow.uuid>", "binary", "large_binary"}


def _is_whole(kind: Arrow) -> bool:
    """Return whether a column can hold integers: pandas keeps those with a null among them as floats."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_boolean(kind: Arrow) -> bool:
    return bool(pa.types.is_boolean(kind))


def _is_list(kind: Arrow) -> bool:
    return bool(_is_text(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _is_json(kind: Arrow) -> bool:
    return bool(_is_list(kind) or pa.types.is_struct(kind) or pa.types.is_integer(kind) or _is_boolean(kind))


_TYPES: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    BUSINESS: (_is_id, "text or a UUID"),
    CUSTOMER: (_is_id, "text or a UUID"),
    "tax_exempt": (_is_boolean, "boolean"),
    "payment_terms_days": (_is_whole, "integers"),
    "credit_limit_cents": (_is_whole, "integers"),
    "transaction_tags": (_is_list, "a list, or JSON as text"),
    "metadata": (_is_json, "a struct, a list, or JSON as text"),
}


def _type_problem(schema: Arrow, names: Mapping[str, str], *, as_is: bool) -> RecordError | None:
    for name, ours in names.items():
        kind = schema.field(name).type
        fits, wanted = _TYPES.get(ours, (_is_text, "text"))
        as_text = as_is and ours not in _TYPES and _is_whole(kind)
        # A column of nulls alone fits everywhere: it leaves the field out of every body.
        if not (fits(kind) or as_text or pa.types.is_null(kind)):
            # What is within a type names fields of the file's own.
            return RecordError(ours, f"has the type {str(kind).partition('<')[0]}, and must be {wanted}")
    return None
