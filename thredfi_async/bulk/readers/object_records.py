"""Reads JSON objects with exact types, however they stand in their file: one a line, in an array, or in an object."""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any, Final
from uuid import UUID

import attrs

from thredfi_async._checks.json import as_object
from thredfi_async._codec.json import loads, refusal
from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.items import ArchiveItem
from thredfi_async.bulk.readers.columns import (
    BUSINESS,
    CUSTOMER,
    FIELDS,
    INVALID_COLUMNS,
    ColumnNames,
    Columns,
    Rules,
    columns_of,
    is_left_out,
    missing_fields,
    problem_of,
    unknown_problem,
)
from thredfi_async.bulk.readers.invalid_line import InvalidLine, RecordError, location
from thredfi_async.bulk.readers.items import ItemMaker, kind
from thredfi_async.bulk.readers.spool import Spool
from thredfi_async.bulk.readers.values import Values

LONGEST: Final = 1 << 20
"""Most bytes of an object. A file without line ends must not be read into memory whole."""
_LOOKED_AT: Final = 20
"""Records in which the first object is searched for."""
_DEEPEST: Final = 4
"""Levels of objects whose keys have names of their own, such as `properties.customer.id`."""
_MOST_NAMES: Final = 10_000
"""Names that are remembered."""
_IGNORED: Final = frozenset(INVALID_COLUMNS)
_OWN: Final = "CustomerData"
"""The `type` of each customer that this API answers."""


class ObjectRecords:
    """The records of a file of JSON objects, its first ones read.

    Args:
        name: The file's name, for messages.
        objects: Its objects, each with its number; those that are none as they stand.
        business_id: The business of every record, or None where each names its own.
        rules: What the caller said about keys.
        spool: Keeps the last of the objects, if that is too long.

    Attributes:
        columns: What the keys of the first object become.
        skipped: Records that are none; there are none of these in JSON.

    Raises:
        SourceError: There is no object, or their keys do not fit a run.
    """

    header = b""

    def __init__(
        self, name: str, objects: Iterable[tuple[int, bytes]], business_id: UUID | None, rules: Rules, spool: Spool
    ) -> None:
        self._name, self._rules, self._spool = name, rules, spool
        self._maker = ItemMaker(business_id)
        self._rest = iter(objects)
        # Of those that are too long, one can be kept, which is then the last.
        self._head = list(islice(_up_to_long(self._rest), _LOOKED_AT))
        if not self._head:
            raise SourceError(f"{name} is empty: there is no line to read")
        self.skipped: Mapping[str, int] = {}
        self.columns: Columns = self._look_at_head()
        self._values = Values(rules.options)
        self._names = ColumnNames(self._rules.options, self.columns.found)
        self._remembered = dict[str, str | None]()

    def __iter__(self) -> Iterator[ArchiveItem | InvalidLine]:
        """Yield an item for each valid object, and an `InvalidLine` for each other one, in the file's order."""
        for number, raw in chain(self._head, self._rest):
            yield self._read(number, raw)

    def _look_at_head(self) -> Columns:
        """Check the file by its first record that is an object; any other one is just an invalid line."""
        parsed = [(number, self._parsed(raw)) for number, raw in self._head]
        number, fields = next((each for each in parsed if not isinstance(each[1], RecordError)), parsed[0])
        if isinstance(fields, RecordError):
            raise SourceError(f"{self._name} is not JSON objects, such as one a line: {fields.at(self._name, number)}")
        self._rules = for_own(fields, self._rules)
        columns = columns_of([name for name, _ in flat(fields, self._rules)], self._rules)
        # An id may stand within the metadata of a customer, too.
        every = attrs.evolve(self._rules, options=attrs.evolve(self._rules.options, ids_only=True))
        columns = attrs.evolve(columns, listed=tuple(name for name, _ in flat(fields, every)))
        problem = problem_of(columns, self._rules)
        if problem is not None:
            raise SourceError(f"{location(self._name, number, problem.column)}: {problem.reason}")
        return columns

    def _read(self, number: int, raw: bytes) -> ArchiveItem | InvalidLine:
        fields = self._parsed(raw)
        made = fields if isinstance(fields, RecordError) else self._item(fields, number)
        if isinstance(made, ArchiveItem):
            return made
        if len(raw) <= LONGEST:
            return made.at(self._name, number, raw)
        return made.at(self._name, number, b"", self._spool.take())

    def _parsed(self, raw: bytes) -> dict[str, Any] | RecordError:
        if self._rules.options.ids_only:
            # Letters in another encoding are of no account: ids have none.
            raw = raw.decode("utf-8", "replace").encode()
        return _parsed(raw)

    def _item(self, fields: dict[str, Any], line: int) -> ArchiveItem | RecordError:
        named = self._named(fields)
        if isinstance(named, RecordError):
            return named
        ids_only, has_bodies = self._rules.options.ids_only, self.columns.has_bodies
        body = {} if ids_only else {name: value for name, value in named.items() if name in FIELDS}
        if bool(body) != has_bodies:
            return RecordError(None, "has no body, and the lines before have one" if has_bodies else _UNEXPECTED)
        if body and (missing := missing_fields(frozenset(body), self._rules)) is not None:
            return missing
        read = self._values.json_body(body.items()) if body else None
        if isinstance(read, RecordError):
            return read
        return self._maker.make(named.get(BUSINESS), named.get(CUSTOMER), read, line)

    def _named(self, fields: dict[str, Any]) -> dict[str, Any] | RecordError:
        """Return the values by our names."""
        if not self._rules.options.columns and fields.keys() <= _KNOWN:
            return fields
        named, unknown = dict[str, Any](), list[str]()
        for name, value in flat(fields, self._rules):
            ours = self._ours(name)
            if ours in named:
                return RecordError(ours, "stands there more than once")
            if ours is not None:
                named[ours] = value
            elif not is_left_out(name, self._rules):
                unknown.append(name)
        return unknown_problem(unknown) if unknown else named

    def _ours(self, name: str) -> str | None:
        if name not in self._remembered and len(self._remembered) < _MOST_NAMES:
            self._remembered[name] = self._names.ours(name)
        return self._remembered[name] if name in self._remembered else self._names.ours(name)


_KNOWN: Final = FIELDS | {BUSINESS, CUSTOMER} | _IGNORED
_UNEXPECTED: Final = "has a body, and the first line has none"


def _up_to_long(objects: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    for number, raw in objects:
        yield number, raw
        if len(raw) > LONGEST:
            return


def for_own(fields: dict[str, Any], rules: Rules) -> Rules:
    """Return the rules for a file by its first object: of a customer as the API answers it, only the ids are taken."""
    if fields.get("type") != _OWN or "id" not in fields or CUSTOMER in {*fields, *rules.options.columns}:
        return rules
    columns = {**rules.options.columns, CUSTOMER: "id"}
    return attrs.evolve(rules, options=attrs.evolve(rules.options, ids_only=True, columns=columns))


def flat(fields: dict[str, Any], rules: Rules, prefix: str = "", depth: int = 1) -> Iterator[tuple[str, Any]]:
    """Yield the values of an object, those within objects by the path of their keys.

    Metadata is one value, unless only ids are taken, or a column within it is named.
    """
    options = rules.options
    for key, value in fields.items():
        inner = as_object(value) if depth < _DEEPEST else None
        is_named = options.ids_only or any(each.startswith(f"{key}.") for each in options.columns.values())
        if inner is None or (not prefix and not is_named and ColumnNames(options).ours(key) is not None):
            yield prefix + key, value
        else:
            yield from flat(inner, rules, f"{prefix}{key}.", depth + 1)


def _parsed(raw: bytes) -> dict[str, Any] | RecordError:
    if len(raw) > LONGEST:
        return RecordError(None, f"is longer than {LONGEST:,} bytes")
    try:
        value: object = loads(raw)
    except ValueError:
        return RecordError(None, refusal(raw))
    fields = as_object(value)
    if fields is None:
        return RecordError(None, f"must be an object, not {kind(value)}")
    return _repeated_id(raw) or fields


def _repeated_id(raw: bytes) -> RecordError | None:
    """Refuse an id that is there twice: a parser silently takes the last."""
    for name in (CUSTOMER, BUSINESS):
        if raw.count(b'"%b"' % name.encode()) > 1:
            pairs: list[tuple[str, object]] = json.loads(raw, object_pairs_hook=list)
            if [key for key, _ in pairs].count(name) > 1:
                return RecordError(name, "stands there more than once")
    return None
