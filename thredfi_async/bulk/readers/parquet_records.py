"""Reads Parquet, a batch of rows at a time, and checks its types against the contract's."""

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
from thredfi_async.bulk.readers.items import ItemMaker
from thredfi_async.bulk.readers.values import READERS
from thredfi_async.models import CustomerRequest

ArrowType = Any
"""pyarrow ships no types."""

try:
    pa: Any = import_module("pyarrow")
    pq: Any = import_module("pyarrow.parquet")
except ImportError:
    raise SourceError(
        "a Parquet file needs the package pyarrow: pip install 'thredfi-async[parquet]', or save the file as CSV"
    ) from None

_ROWS: Final = 1024
_UUID_BYTES: Final = 16


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
        self._file = _open(path, name)
        schema = self._file.schema_arrow
        names = [each for each in schema.names if each not in INVALID_COLUMNS]
        problem = columns_problem(names, rules) or _type_problem(schema, names)
        if problem is not None:
            raise SourceError(f"{location(name, None, problem.column)}: {problem.reason}")
        self.has_bodies: bool = has_body(names)
        self._columns = names
        self._json = [each for each in _JSON if each in names and _is_text(schema.field(each).type)]

    def __iter__(self) -> Iterator[ArchiveItem | InvalidLine]:
        """Yield an item for each valid row, and an `InvalidLine` for each other one, in the file's order."""
        number = 0
        for batch in self._batches():
            columns = [column.to_pylist() for column in batch.columns]
            for values in zip(*columns, strict=True):
                number += 1
                row = dict(zip(self._columns, values, strict=True))
                made = self._item(row, number)
                if isinstance(made, ArchiveItem):
                    yield made
                else:
                    yield InvalidLine(self._name, number, made.column, made.reason, _as_json(row))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _batches(self) -> Iterator[Any]:
        try:
            yield from self._file.iter_batches(_ROWS, columns=self._columns, use_threads=False)
        except (pa.ArrowException, OSError):
            raise SourceError(f"{self._name} is damaged: its rows cannot be read to the end") from None

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


def _open(path: Path, name: str) -> ArrowType:
    try:
        return pq.ParquetFile(path, memory_map=False, pre_buffer=False)
    except pa.ArrowException:
        raise SourceError(f"{name} is not a Parquet file, or is cut short") from None
    except OSError as error:
        raise SourceError(f"cannot read {name}: {error.strerror or 'it is not a Parquet file'}") from None


def _identifier(value: object) -> object:
    return UUID(bytes=value) if isinstance(value, bytes) and len(value) == _UUID_BYTES else value


def _as_json(row: Mapping[str, Any]) -> bytes:
    given = {name: value for name, value in row.items() if value is not None}
    return orjson.dumps(given, default=lambda value: value.hex() if isinstance(value, bytes) else str(value))


def _is_text(kind: ArrowType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_id(kind: ArrowType) -> bool:
    return _is_text(kind) or str(kind) in {"fixed_size_binary[16]", "extension<arrow.uuid>"}


def _is_whole(kind: ArrowType) -> bool:
    return bool(pa.types.is_integer(kind))


def _is_boolean(kind: ArrowType) -> bool:
    return bool(pa.types.is_boolean(kind))


def _is_list(kind: ArrowType) -> bool:
    return bool(_is_text(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _is_json(kind: ArrowType) -> bool:
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


def _type_problem(schema: ArrowType, names: list[str]) -> RecordError | None:
    for name in names:
        kind = schema.field(name).type
        fits, wanted = _TYPES.get(name, (_is_text, "text"))
        # A column of nulls alone fits everywhere: it leaves the field out of every body.
        if not (fits(kind) or pa.types.is_null(kind)):
            return RecordError(name, f"has the type {kind}, and must be {wanted}")
    return None
