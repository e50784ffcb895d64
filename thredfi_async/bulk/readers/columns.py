"""Decides what each column of a file becomes, and whether that fits a run."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import attrs

from thredfi_async.bulk.readers.invalid_line import RecordError
from thredfi_async.bulk.reading_options import COLUMNS, ReadingOptions
from thredfi_async.models import CustomerRequest

BUSINESS: Final = "business_id"
CUSTOMER: Final = "customer_id"
INVALID_COLUMNS: Final = ("invalid_line", "invalid_column", "invalid_reason")
"""What the file of invalid lines adds in front of a record; ignored when that is read again."""
REPORT_COLUMNS: Final = frozenset({"line", BUSINESS, CUSTOMER, "state", "code", "attempts", "ended_at"})
"""Those of the CSV that a report writes of who is not archived; its ids are read again."""
NAMES: Final = frozenset({"individual_name", "company_name"})
"""One of the two may be missing."""
FIELDS: Final = frozenset(CustomerRequest.FIELD_NAMES)
_BLANKS: Final = re.compile(r"[\s_\-\u200b\u2060\ufeff]+")
_INDEX: Final = re.compile(r"__index_level_[0-9]+__")
"""What pandas calls a column of its own in Parquet."""
SAFE: Final = "add --ids-only to take the ids alone and send the server's own records"
"""What to type where a body cannot be sent."""
_DATA: Final = re.compile(r"@|[0-9]{6}|[0-9a-f]{8}-[0-9a-f]{4}|[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII | re.IGNORECASE)
"""What stands in data, and in no name of a column."""
_LONGEST: Final = 60
_MOST: Final = 40


def normalised(name: str) -> str:
    """Return a column's name as it is compared: without case, blanks, underscores and hyphens."""
    return _BLANKS.sub("", unicodedata.normalize("NFKC", name)).casefold()


_OURS: Final[Mapping[str, str]] = {normalised(name): name for name in (*COLUMNS, *INVALID_COLUMNS)}


@attrs.frozen
class Rules:
    """What the caller said about the file's columns.

    Args:
        business_id_given: Whether one business id was given for all records.
        allow_missing_fields: Whether columns of the body may be missing.
        options: How the file is read.
        keep_invalid: Whether invalid records are kept whole, however long they are.
    """

    business_id_given: bool = False
    allow_missing_fields: bool = False
    options: ReadingOptions = attrs.field(factory=ReadingOptions)
    keep_invalid: bool = False


class ColumnNames:
    """Finds our name for a column of a file.

    Args:
        options: How the file is read; its columns win over names that look like ours.
        found: The names that are there; one that is named letter by letter is meant, and none that is only like it.
    """

    def __init__(self, options: ReadingOptions, found: Iterable[str] = ()) -> None:
        self._given = {normalised(theirs): ours for ours, theirs in options.columns.items()}
        self._taken = frozenset(options.columns)
        self._exact = {normalised(theirs): theirs for theirs in {*options.columns.values()}.intersection(found)}

    def ours(self, name: str) -> str | None:
        """Return our name for a column; None for one that is not known."""
        key = normalised(name)
        if self._exact.get(key, name) != name:
            return None
        found = self._given.get(key) or _OURS.get(key)
        # Another column of that name was named: this one is something else's id.
        return None if found in self._taken and key not in self._given else found


@attrs.frozen
class Columns:
    """What the columns of a file become.

    Args:
        found: Their names in the file, in its order.
        becomes: Our name for each; None for one that is left out.
        has_bodies: Whether records bring the body.
        listed: Their names for messages, where keys within a value of ours can be named, too.
    """

    found: tuple[str, ...]
    becomes: tuple[str | None, ...]
    has_bodies: bool
    listed: tuple[str, ...] = attrs.field(default=attrs.Factory(lambda columns: columns.found, takes_self=True))

    @property
    def left_out(self) -> tuple[str, ...]:
        """The names of the columns that are left out."""
        return tuple(name for name, ours in zip(self.found, self.becomes, strict=True) if ours is None and name)

    @property
    def is_header(self) -> bool:
        """Whether one of them is the customer's id."""
        return CUSTOMER in self.becomes


def columns_of(names: Sequence[str], rules: Rules) -> Columns:
    """Return what columns become; `problem_of` says whether that is of use."""
    ours = ColumnNames(rules.options, names)
    becomes = [ours.ours(name) for name in names]
    kept = [name if name in {BUSINESS, CUSTOMER} or not rules.options.ids_only else None for name in becomes]
    kept = [None if name in INVALID_COLUMNS else name for name in kept]
    return Columns(tuple(names), tuple(kept), not FIELDS.isdisjoint(name for name in kept if name))


def problem_of(columns: Columns, rules: Rules) -> RecordError | None:
    """Return what keeps columns from being used, if anything.

    Args:
        columns: What they become.
        rules: What the caller said about them.

    Returns:
        The first problem, which makes the whole file unusable; None without any.
    """
    given = frozenset(name for name in columns.becomes if name)
    return (
        _absent(columns, rules)
        or _repeated(columns)
        or _business(columns, rules)
        or _unknown(columns, rules)
        or missing_fields(FIELDS.intersection(given), rules)
    )


def missing_fields(given: frozenset[str], rules: Rules) -> RecordError | None:
    """Return which field of the body is missing, if there is a body at all."""
    if rules.allow_missing_fields or not given:
        return None
    missing = [name for name in CustomerRequest.FIELD_NAMES if name not in given and name not in NAMES]
    if NAMES.isdisjoint(given):
        missing.append("individual_name or company_name")
    if not missing:
        return None
    others = f" (and so are {len(missing) - 1} others: {', '.join(missing[1:])})" if missing[1:] else ""
    return RecordError(
        missing[0],
        f"is missing{others}, and a body needs all of them: {SAFE}; or add it, where an empty value leaves it out",
    )


def unknown_problem(names: Iterable[str]) -> RecordError:
    """Return the error for columns that are not known."""
    return RecordError(None, f"has columns that are not known ({shown(names)}): {SAFE}")


def is_left_out(name: str, rules: Rules) -> bool:
    """Return whether a column that is not known can be left out: it is to be, or it is a writer's own."""
    options = rules.options
    return (
        options.ids_only
        or options.ignore_extra_columns
        or _INDEX.fullmatch(name) is not None
        or (normalised(name) in _OURS and _OURS[normalised(name)] in INVALID_COLUMNS)
    )


def is_business(name: str) -> bool:
    """Return whether a column's name says that it is about the business."""
    return "business" in normalised(name)


def shown(names: Iterable[str]) -> str:
    """Return names of columns for a message, without one that may be data, and no more than fit."""
    named = [each for each in names if each]
    texts = [legible(each.strip()) if _is_name(each) else "one that is not shown" for each in named[:_MOST]]
    more = len(named) - len(texts)
    return ", ".join(texts) + (f" and {more:,} others" if more > 0 else "")


def looks_like_data(names: Iterable[str]) -> bool:
    """Return whether the line that should name the columns is a record."""
    return any(_DATA.search(name) for name in names)


def is_text(name: str) -> bool:
    """Return whether a name has no bytes that are no text."""
    return name == legible(name)


def legible(name: str) -> str:
    """Return a name without the lone surrogates that stand for bytes that are no text."""
    return name if name.isascii() else name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _is_name(name: str) -> bool:
    return len(name) <= _LONGEST and _DATA.search(name) is None


def _absent(columns: Columns, rules: Rules) -> RecordError | None:
    wanted = rules.options.columns
    found = {normalised(name) for name in columns.found}
    for ours, theirs in wanted.items():
        if normalised(theirs) not in found and not (rules.options.ids_only and ours in FIELDS):
            # A name with letters of another encoding cannot be typed.
            other = "" if all(map(is_text, columns.found)) else ". Some letters are no UTF-8: give --encoding too"
            return RecordError(
                None, f"no column has the name that --column {ours}= gives. There are: {shown(columns.listed)}{other}"
            )
    if columns.is_header:
        return None
    if looks_like_data(columns.found):
        return RecordError(
            None,
            "the line that should name the columns is a record, which is not shown: put a line in front "
            "that names them, such as business_id,customer_id",
        )
    business = "" if rules.business_id_given or BUSINESS in columns.becomes else ", and business_id or --business-id ID"
    found_text = shown(columns.listed)
    named = f"The columns are: {found_text}" if found_text else "It names no columns"
    return RecordError(
        None,
        f"no column is customer_id. {named}. Needed are customer_id, the UUID of the customer to archive{business}. "
        f'If one holds that UUID, say which: --column {CUSTOMER}="NAME"',
    )


def _business(columns: Columns, rules: Rules) -> RecordError | None:
    there = BUSINESS in columns.becomes
    if there and rules.business_id_given:
        return RecordError(
            BUSINESS, "is there, and one business id was given for all: leave --business-id out, or drop the column"
        )
    if not there and not rules.business_id_given:
        only, names = "give it: --business-id ID", columns.listed
        likely = next((name for name in names if is_business(name)), "NAME")
        choose = f'if a column has it, say which: --column {BUSINESS}="{shown([likely])}"; only if all customers '
        how = (
            f"{choose}belong to one business, {only}" if len(names) > 1 else "add --business-id ID, the business of all"
        )
        return RecordError(BUSINESS, f"is missing: {how}. The columns are: {shown(names)}")
    return None


def _repeated(columns: Columns) -> RecordError | None:
    places = defaultdict[str, list[str]](list)
    for name, ours in zip(columns.found, columns.becomes, strict=True):
        if ours is not None:
            places[ours].append(name)
    for ours, names in places.items():
        if len(names) > 1:
            # Where both names are the same, none can be chosen.
            choose = f'say which: --column {ours}="NAME"' if len(set(names)) > 1 else "rename one of them"
            choose = choose if ours in {BUSINESS, CUSTOMER} else SAFE
            return RecordError(ours, f"stands there more than once ({shown(names)}): {choose}")
    return None


def _unknown(columns: Columns, rules: Rules) -> RecordError | None:
    unknown = [name for name in columns.left_out if not is_left_out(name, rules)]
    if not unknown:
        return None
    known = [name for name, ours in zip(columns.found, columns.becomes, strict=True) if ours is not None]
    # A body of which columns are missing must not be proposed: it could overwrite the record.
    is_whole = columns.has_bodies and missing_fields(FIELDS.intersection(filter(None, columns.becomes)), rules) is None
    more = "; --ignore-extra-columns leaves them out and sends the bodies of the file" if is_whole else ""
    return RecordError(
        None,
        f"columns that are not known: {shown(unknown)}. Known are: {shown(known)}. Needed are customer_id, and "
        f"business_id or --business-id ID. To go on, {SAFE}{more}",
    )
