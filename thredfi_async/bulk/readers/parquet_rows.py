"""Makes Python's values of Arrow's columns, a bounded piece at a time, since a value that is held once may recur."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Final

from thredfi_async.bulk.readers.invalid_line import RecordError

Arrow = Any
"""pyarrow ships no types."""

pa: Arrow = import_module("pyarrow")
pc: Arrow = import_module("pyarrow.compute")

LONGEST_ROW: Final = 1 << 20
"""Most bytes of a row's values, as of a line of the other formats; and of all the rows that are made at a time."""
_EACH: Final = 16
"""Bytes that a value takes at least, even one that is null."""
_UNREADABLE: Final = (ValueError, TypeError, OverflowError, RecursionError, NotImplementedError)
"""What pyarrow raises for text that is not UTF-8, for times beyond Python's, and for names that come twice."""

Row = Mapping[str, Any]


def rows_of(batch: Arrow) -> Iterator[Row | RecordError]:
    """Yield the rows of a record batch.

    Args:
        batch: The batch; text may be in dictionaries.

    Yields:
        Each row by its columns' names, or what is wrong with it.
    """
    weights = {name: _weight(column) for name, column in zip(batch.schema.names, batch.columns, strict=True)}
    if sum(weights.values()) > LONGEST_ROW:
        heaviest = max(weights, key=lambda name: weights[name])
        yield from _halves(batch, RecordError(heaviest, f"makes the row longer than {LONGEST_ROW:,} bytes"))
    else:
        try:
            columns = [column.to_pylist() for column in batch.columns]
        except _UNREADABLE:
            yield from _halves(batch, RecordError(None, "holds a value that cannot be read, such as text not in UTF-8"))
        else:
            for values in zip(*columns, strict=True):
                yield dict(zip(weights, values, strict=True))


def _halves(batch: Arrow, problem: RecordError) -> Iterator[Row | RecordError]:
    """Yield the rows half by half, and the problem where it is that of a row alone."""
    half = batch.num_rows // 2
    if half == 0:
        yield problem
    else:
        yield from rows_of(batch.slice(0, half))
        yield from rows_of(batch.slice(half))


def _weight(array: Arrow) -> int:
    """Return about how many bytes an array's values take, without making them."""
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return _weight(array.storage)
    if pa.types.is_dictionary(kind):
        lengths = pc.take(_lengths(array.dictionary), array.indices)
        return len(array) * _EACH + (pc.sum(lengths).as_py() or 0)
    if _is_bytes(kind):
        return len(array) * _EACH + (pc.sum(_lengths(array)).as_py() or 0)
    if pa.types.is_struct(kind):
        return len(array) * _EACH + sum(map(_weight, array.flatten()))
    if pa.types.is_nested(kind):  # lists and maps
        return len(array) * _EACH + _weight(array.flatten())
    return len(array) * _EACH


def _lengths(array: Arrow) -> Arrow:
    if pa.types.is_string_view(array.type) or pa.types.is_binary_view(array.type):
        array = array.cast(pa.large_string() if pa.types.is_string_view(array.type) else pa.large_binary())
    if _is_bytes(array.type):
        return pc.binary_length(array)
    return pa.array([_EACH] * len(array), pa.int64())


def _is_bytes(kind: Arrow) -> bool:
    names = ("string", "large_string", "string_view", "binary", "large_binary", "binary_view")
    return any(getattr(pa.types, f"is_{name}")(kind) for name in names)
