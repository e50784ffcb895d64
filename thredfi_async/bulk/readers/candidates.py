"""Finds the columns of a file that hold the ids of customers and businesses, whatever they are called."""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final
from uuid import UUID

import attrs

from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.readers.columns import BUSINESS, CUSTOMER, Rules, columns_of, is_business, is_text, normalised
from thredfi_async.bulk.readers.format_detection import DetectedFormat
from thredfi_async.bulk.readers.items import identifier
from thredfi_async.bulk.readers.raw_rows import tables_of
from thredfi_async.bulk.readers.raw_table import RawTable, Row
from thredfi_async.bulk.reading_options import ReadingOptions

_FIRST: Final = 50
"""Rows in which ids are searched for."""
_MOST: Final = 100_000
"""Rows in which another business is searched for."""
_REMEMBERED: Final = 1000
_RATIO: Final = 10
"""In a column of ids there are so many of them for each value that is none, such as a total."""
_LIKELY: Final = "windows-1252"
_OURS: Final = "thredfi"
_CUSTOMERS: Final = ("customer", "client", "kunde", "cliente", "contact")


@attrs.frozen
class Proposal:
    """How a file can be read.

    Args:
        options: The options.
        business: Whether its business is in a column; if not, an id has to be given for all.
    """

    options: ReadingOptions
    business: bool


@attrs.define
class Look:
    """What a column holds, as far as it was looked at.

    Args:
        ids: Values that are UUIDs.
        others: Values that are none.
        repeats: Whether one of the UUIDs stands there again.
    """

    ids: int = 0
    others: int = 0
    repeats: bool = False
    seen: set[UUID] = attrs.field(factory=set[UUID])

    def take(self, value: object) -> None:
        """Look at a value; an empty one says nothing."""
        if value is None or (isinstance(value, str) and not value.strip()):
            return
        found = identifier(value)
        if found is None:
            self.others += 1
            return
        self.ids += 1
        self.repeats = self.repeats or found in self.seen
        if len(self.seen) < _REMEMBERED:
            self.seen.add(found)

    @property
    def is_of_ids(self) -> bool:
        """Whether it is a column of ids."""
        return self.ids > 0 and self.others * _RATIO <= self.ids


def propose(path: Path, name: str, detected: DetectedFormat, rules: Rules) -> Proposal | None:
    """Return how a file can be read, its ids alone taken; None if that cannot be told.

    Args:
        path: The file, or a folder of Parquet files.
        name: Its name for messages.
        detected: Its format.
        rules: What the caller said about it.
    """
    with contextlib.suppress(SourceError):
        for table in tables_of(path, name, detected, rules.options):
            found = _of_table(table, rules)
            if found is not None:
                return found
    return None


def other_business(  # noqa: PLR0913 - the file, and how it is read
    path: Path,
    name: str,
    detected: DetectedFormat,
    *,
    options: ReadingOptions,
    left_out: Sequence[str],
    given: UUID,
) -> str | None:
    """Return a column that is left out and looks like the business of each customer, other than the one given.

    Args:
        path: The file.
        name: Its name for messages.
        detected: Its format.
        options: How it is read.
        left_out: The names of the columns that are left out.
        given: The business that was given for all.

    Returns:
        The column's name; None if there is none.
    """
    with contextlib.suppress(SourceError):
        for table in tables_of(path, name, detected, options):
            names = [each for each in table.names if each in left_out]
            first = list(islice(table.rows, _FIRST))
            names = [each for each, look in _looked_at(first, names).items() if look.is_of_ids]
            if not names:
                return None
            looks = _looked_at((row for rows in (first, islice(table.rows, _MOST)) for row in rows), names)
            return next((each for each in sorted(names, key=_order) if _is_other(each, looks[each], given)), None)
    return None


def _is_other(name: str, look: Look, given: UUID) -> bool:
    if is_business(name):
        return bool(look.seen - {given})
    return look.repeats and len(look.seen) > 1


def _order(name: str) -> tuple[bool, bool]:
    return not is_business(name), not _is_ours(name)


def _is_ours(name: str) -> bool:
    return _OURS in normalised(name)


def _is_customer(name: str) -> bool:
    return any(word in normalised(name) for word in _CUSTOMERS)


def _looked_at(rows: Iterable[Row], names: Sequence[str]) -> Mapping[str, Look]:
    looks = {name: Look() for name in names}
    for row in rows:
        for name, look in looks.items():
            look.take(row.get(name))
    return looks


def _of_table(table: RawTable, rules: Rules) -> Proposal | None:
    options = attrs.evolve(rules.options, ids_only=True, columns={})
    looks = _looked_at(islice(table.rows, _FIRST), table.names)
    ids = [name for name, look in looks.items() if look.is_of_ids]
    # Of Parquet, there are only names.
    is_blind = not any(look.ids or look.others for look in looks.values())
    columns = columns_of(table.names, attrs.evolve(rules, options=attrs.evolve(rules.options, ids_only=True)))
    known = {
        ours: name
        for name, ours in zip(table.names, columns.becomes, strict=True)
        if ours is not None and (is_blind or name in ids)
    }
    customer = known.get(CUSTOMER) or _customer_among([name for name in ids if name != known.get(BUSINESS)])
    if customer is None:
        return None
    business = known.get(BUSINESS)
    if business is None and not rules.business_id_given:
        business = _business_among({name: looks[name] for name in ids if name != customer})
    chosen = {CUSTOMER: customer, **({BUSINESS: business} if business is not None else {})}
    if options.encoding is None and not all(map(is_text, chosen.values())):
        # A name with letters that are none in UTF-8 cannot be typed.
        options, chosen = options.in_encoding(_LIKELY), {ours: _as_likely(name) for ours, name in chosen.items()}
    plain = columns_of(table.names, Rules(options=ReadingOptions(ids_only=True)))
    found = list(zip(plain.becomes, table.names, strict=True))
    named = {ours: name for ours, name in chosen.items() if [each for mine, each in found if mine == ours] != [name]}
    sheet = rules.options.sheet or table.sheet
    return Proposal(attrs.evolve(options, columns=named, sheet=sheet), business is not None)


def _as_likely(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode(_LIKELY, "replace")


def _customer_among(names: Sequence[str]) -> str | None:
    """Return which column of ids is the customer's, by its name; None if that cannot be told."""
    found = [name for name in names if not is_business(name)]
    for fits in (_is_ours, _is_customer):
        found = list(filter(fits, found)) or found
    return found[0] if len(found) == 1 else None


def _business_among(looks: Mapping[str, Look]) -> str | None:
    """Return which column of ids is the business's: by its name, or since the same ids come again in it."""
    found = [name for name in looks if is_business(name)]
    found = list(filter(_is_ours, found)) or found
    found = found or [name for name, look in looks.items() if look.repeats and not _is_customer(name)]
    return found[0] if len(found) == 1 else None
