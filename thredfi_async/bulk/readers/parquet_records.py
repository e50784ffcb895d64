"""Reads Parquet, a bounded piece of its rows at a time, and checks its types against the contract's."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import orjson

from thredfi_async import UNSET
from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.items import ArchiveItem
from thredfi_async.bulk.readers.columns import BUSINESS, CUSTOMER, INVALID_COLUMNS, Rules, columns_problem, has_body
from thredfi_async.bulk.readers.invalid_line import InvalidLine, RecordError, location
from thredfi_async.bulk.readers.io import CHUNK
from thredfi_async.bulk.readers.items import ItemMaker
from thredfi_async.bulk.readers.parquet_pages import Column, Decompress, PagesError, rows_at_a_time
from thredfi_async.bulk.readers.values import READERS
from thredfi_async.models import CustomerRequest

try:
    pa: Any = import_module("pyarrow")
    pq: Any = import_module("pyarrow.parquet")
    from thredfi_async.bulk.readers.parquet_rows import Arrow, Row, rows_of
except ImportError:
    raise SourceError(
        "a Parquet file needs the package pyarrow: pip install 'thredfi-async[parquet]', or save the file as CSV"
    ) from None

_ROWS: Final = 1024
_UUID_BYTES: Final = 16
_WITHOUT: Final = frozenset({"DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"})
"""Encodings that Arrow does not decode into dictionaries."""


class ParquetRecords:
    """The rows of a Parquet file, its schema read.

    Args:
        path: The file.
        name: Its name for messages.
        business_id: The business of every record, or None where each names its own.
        rules: What the caller said about columns.

    Raises:
        SourceError: It is no Parquet file, or its columns or their types do not fit a run.
    """

    header = b""

    def __init__(self, path: Path, name: str, business_id: UUID | None, rules: Rules) -> None:
        self._name = name
        self._maker = ItemMaker(business_id)
        with contextlib.closing(_open(path, name)) as file:
            self._check(file.schema_arrow, rules)
            self._kept = _kept(file)
            # One row may have any number of a list's values, so that these stay in their dictionaries.
            self._file = _open(path, name, metadata=file.metadata, read_dictionary=sorted(self._kept))
        self._bytes = path.open("rb")

    def _check(self, schema: Arrow, rules: Rules) -> None:
        """Check the columns and their types.

        Raises:
            SourceError: They do not fit a run.
        """
        names = [each for each in schema.names if each not in INVALID_COLUMNS]
        problem = columns_problem(names, rules) or _type_problem(schema, names)
        if problem is not None:
            raise SourceError(f"{location(self._name, None, problem.column)}: {problem.reason}")
        self.has_bodies: bool = has_body(names)
        self._columns = names
        self._json = [each for each in _JSON if each in names and _is_text(schema.field(each).type)]

    def __iter__(self) -> Iterator[ArchiveItem | InvalidLine]:
        """Yield an item for each valid row, and an `InvalidLine` for each other one, in the file's order."""
        for number, row in enumerate(self._rows(), 1):
            made = row if isinstance(row, RecordError) else self._item(row, number)
            if isinstance(made, ArchiveItem):
                yield made
            else:
                raw = b"" if isinstance(row, RecordError) else _as_json(row)
                yield InvalidLine(self._name, number, made.column, made.reason, raw)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._bytes.close()

    def _rows(self) -> Iterator[Row | RecordError]:
        for batch in self._batches():
            yield from rows_of(batch)

    def _batches(self) -> Iterator[Any]:
        """Yield batches, of each row group as many rows at a time as its pages allow."""
        metadata = self._file.metadata
        try:
            for number in range(metadata.num_row_groups):
                count = rows_at_a_time(self._bytes, self._leaves(metadata.row_group(number)), _ROWS)
                yield from self._file.iter_batches(count, [number], self._columns, use_threads=False)
        except PagesError as error:
            raise SourceError(f"{self._name} {error}") from None
        except (pa.ArrowException, OSError):
            raise SourceError(f"{self._name} is damaged: its rows cannot be read to the end") from None

    def _leaves(self, group: Arrow) -> list[Column]:
        leaves: list[Column] = []
        for index in range(group.num_columns):
            column, schema = group.column(index), self._file.schema.column(index)
            name = str(column.path_in_schema).partition(".")[0]
            if name in self._columns:
                starts = [column.data_page_offset, column.dictionary_page_offset or column.data_page_offset]
                leaves.append(
                    Column(
                        name,
                        start=min(starts),
                        size=column.total_compressed_size,
                        values=column.num_values,
                        repeated=schema.max_repetition_level > 0,
                        kept=column.path_in_schema in self._kept,
                        decompress=_decompressor(column.compression) if schema.physical_type == "BYTE_ARRAY" else None,
                    )
                )
        return leaves

    def _item(self, row: Mapping[str, Any], line: int) -> ArchiveItem | RecordError:
        business, customer = _identifier(row.get(BUSINESS)), _identifier(row[CUSTOMER])
        if not self.has_bodies:
            return self._maker.make(business, customer, None, line)
        fields: dict[str, Any] = {
            name: UNSET if row[name] is None else row[name] for name in CustomerRequest.FIELD_NAMES if name in row
        }
        if all(value is UNSET for value in fields.values()):
            return RecordError(None, "has no value in any column of the body")
        for name in self._json:
            if fields[name] is not UNSET:
                try:
                    fields[name] = READERS[name](fields[name])
                except ValueError as error:
                    return RecordError(name, str(error))
        return self._maker.make(business, customer, fields, line)


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


_CODECS: Final = {"LZ4": "lz4_raw"}


def _decompressor(codec: str) -> Decompress:
    """Return what undoes a column's compression, as far as Arrow's own functions do."""

    def decompress(data: bytes, size: int) -> bytes:
        if codec == "UNCOMPRESSED":
            return data
        try:
            return bytes(pa.decompress(data, size, _CODECS.get(codec, codec.lower())))
        except (pa.ArrowException, OSError):
            raise ValueError(codec) from None

    return decompress


def _kept(file: Arrow) -> frozenset[str]:
    """Return the paths of what is text in lists, where Arrow can leave it in dictionaries."""
    metadata = file.metadata
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    columns = ((index, file.schema.column(index)) for index in range(len(file.schema)))
    return frozenset(
        column.path
        for index, column in columns
        if column.physical_type == "BYTE_ARRAY"
        and column.max_repetition_level > 0
        and not any(_WITHOUT.intersection(group.column(index).encodings) for group in groups)
    )


def _open(path: Path, name: str, **how: Any) -> Arrow:  # noqa: ANN401 - passed on
    try:
        return pq.ParquetFile(path, memory_map=False, pre_buffer=False, buffer_size=CHUNK, **how)
    except (pa.ArrowException, ValueError, OverflowError):  # names that are not UTF-8, for one
        raise SourceError(f"{name} is not a Parquet file, or is cut short") from None
    except OSError as error:
        raise SourceError(f"cannot read {name}: {error.strerror or 'it is not a Parquet file'}") from None


def _identifier(value: object) -> object:
    return UUID(bytes=value) if isinstance(value, bytes) and len(value) == _UUID_BYTES else value


def _as_json(row: Row) -> bytes:
    given = {name: value for name, value in row.items() if value is not None}
    try:
        return orjson.dumps(given, default=lambda value: value.hex() if isinstance(value, bytes) else str(value))
    except orjson.JSONEncodeError:  # nested too deeply, or a number that JSON has not
        return b""


def _is_text(kind: Arrow) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_id(kind: Arrow) -> bool:
    return _is_text(kind) or str(kind) in {"fixed_size_binary[16]", "extension<arrow.uuid>"}


def _is_whole(kind: Arrow) -> bool:
    return bool(pa.types.is_integer(kind))


def _is_boolean(kind: Arrow) -> bool:
    return bool(pa.types.is_boolean(kind))


def _is_list(kind: Arrow) -> bool:
    return bool(_is_text(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _is_json(kind: Arrow) -> bool:
    return bool(_is_list(kind) or pa.types.is_struct(kind) or _is_whole(kind) or _is_boolean(kind))


_JSON: Final = ("transaction_tags", "metadata")
_TYPES: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    BUSINESS: (_is_id, "text or a UUID"),
    CUSTOMER: (_is_id, "text or a UUID"),
    "tax_exempt": (_is_boolean, "boolean"),
    "payment_terms_days": (_is_whole, "integers"),
    "credit_limit_cents": (_is_whole, "integers"),
    "transaction_tags": (_is_list, "a list, or JSON as text"),
    "metadata": (_is_json, "a struct, a list, or JSON as text"),
}


def _type_problem(schema: Arrow, names: list[str]) -> RecordError | None:
    for name in names:
        kind = schema.field(name).type
        fits, wanted = _TYPES.get(name, (_is_text, "text"))
        # A column of nulls alone fits everywhere: it leaves the field out of every body.
        if not (fits(kind) or pa.types.is_null(kind)):
            # What is within a type names fields of the file's own.
            return RecordError(name, f"has the type {str(kind).partition('<')[0]}, and must be {wanted}")
    return None
