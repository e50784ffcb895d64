"""Reads the rows of a table whose first lines name its columns: of CSV and of workbooks."""

import re
from collections.abc import Container, Iterable, Sequence
from typing import Final
from uuid import UUID

import attrs

from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.items import ArchiveItem
from thredfi_async.bulk.readers.columns import (
    BUSINESS,
    CUSTOMER,
    FIELDS,
    REPORT_COLUMNS,
    Columns,
    Rules,
    columns_of,
    problem_of,
)
from thredfi_async.bulk.readers.invalid_line import RecordError, location
from thredfi_async.bulk.readers.items import ItemMaker, identifier
from thredfi_async.bulk.readers.skipped import WITHOUT_IDS, Skipped
from thredfi_async.bulk.readers.values import Values

LOOKED_AT: Final = 20
"""Lines in which the names of the columns are searched for: titles and comments may stand in front."""
_TOTAL: Final = re.compile(
    r"(?:(?:grand|report)\s+|sub-?)?(?:totals?|sum|summe|(?:ins)?gesamt(?:summe)?|somme|totale|totaal|suma|soma)"
    r"(?:\s+g[eé]n[eé]ral)?\s*:?\s*(?:\(.*\)|[\d.,\s]*)",
    re.IGNORECASE,
)
"""What stands in the first cell of a row of totals; not the name of a company that begins so."""
Cells = Sequence[object]


@attrs.frozen
class Header:
    """The line that names the columns.

    Args:
        line: Its line.
        names: The names.
        titles: How many lines with text stand in front of it.
        separator: What separates the columns, in CSV.
        raw: The line as it stands in the file.
    """

    line: int
    names: tuple[str, ...]
    titles: int = 0
    separator: str = ","
    raw: str = ""


def header_of(name: str, lines: Iterable[Sequence[Header]], rules: Rules) -> Header:
    """Find the line that names the columns.

    Args:
        name: The file's name, for messages.
        lines: The first lines that are not blank, each in the ways in which it can be read.
        rules: What the caller said about columns.

    Returns:
        The first of them that has the customer's id.

    Raises:
        SourceError: None has; the message is about the line that looks most like one.
    """
    tried = list[Header]()
    for ways in lines:
        # Names that are ours count before their number: a comma in a title makes no columns.
        best = max(ways, key=lambda way: (_known(way, rules), len(way.names)))
        if columns_of(best.names, rules).is_header:
            return attrs.evolve(best, titles=len(tried))
        if any(map(identifier, best.names)):
            # A record: what stands in front of it should name the columns.
            tried = tried or [best]
            break
        tried.append(best)
        if len(tried) == LOOKED_AT:
            break
    if not tried:
        raise SourceError(f"{name} is empty: there is not even a header")
    # A title has one column, and a header has several.
    most = max(tried, key=lambda each: sum(map(bool, each.names)))
    problem = problem_of(columns_of(most.names, rules), rules)
    assert problem is not None  # noqa: S101 - it has no customer_id
    raise SourceError(f"{location(name, most.line, problem.column)}: {problem.reason}")


def _known(header: Header, rules: Rules) -> int:
    return sum(ours is not None for ours in columns_of(header.names, rules).becomes)


class Table:
    """Makes items of a table's rows.

    Args:
        name: The file's name, for messages.
        header: The line that names its columns.
        business_id: The business of every record, or None where each names its own.
        rules: What the caller said about columns.

    Attributes:
        columns: What they become.
        skipped: Rows that are no records, by what they are.
        keeps_all: Whether a row without ids is invalid, since a formula that was not calculated may give them.
        keeps: Rows that are no blank ones, since they hold such formulas.

    Raises:
        SourceError: The columns do not fit a run.
    """

    def __init__(self, name: str, header: Header, business_id: UUID | None, rules: Rules) -> None:
        if frozenset(header.names) == REPORT_COLUMNS:
            rules = attrs.evolve(rules, options=attrs.evolve(rules.options, ids_only=True))
        self.columns: Columns = columns_of(header.names, rules)
        self.skipped: Skipped = Skipped()
        if header.titles:
            self.skipped["titles"] = header.titles
        self.keeps_all: bool = False
        self.keeps: Container[int] = ()
        problem = problem_of(self.columns, rules)
        if problem is not None:
            raise SourceError(f"{location(name, header.line, problem.column)}: {problem.reason}")
        self._name, self._rules = name, rules
        self._maker = ItemMaker(business_id)
        self._values = Values(rules.options)
        self._header = list(header.names)
        becomes = self.columns.becomes
        self._customer = becomes.index(CUSTOMER)
        self._business = becomes.index(BUSINESS) if BUSINESS in becomes else None
        self._fields = [(place, ours) for place, ours in enumerate(becomes) if ours is not None and ours in FIELDS]
        is_strict = not (rules.options.ids_only or rules.options.ignore_extra_columns)
        self._unnamed = [place for place, each in enumerate(header.names) if not each.strip()] if is_strict else []

    def read(self, cells: Cells, line: int) -> ArchiveItem | RecordError | None:
        """Make an item of a row.

        Args:
            cells: Its cells.
            line: The line on which it begins, from 1.

        Returns:
            The item; what is wrong with the row; None for one that is no record.

        Raises:
            SourceError: Other columns begin here.
        """
        wide = len(self._header)
        fits = len(cells) == wide or (len(cells) > wide and not any(map(_is_filled, cells[wide:])))
        found = identifier(cells[self._customer]) if fits else None
        if found is None and (self._is_no_record(cells, line) or (fits and self._has_no_id(cells, line))):
            return None
        if not fits:
            return RecordError(None, f"has {_columns(len(cells))}, and the header has {wide}")
        customer = cells[self._customer] if found is None else found
        business = None if self._business is None else cells[self._business]
        for place in self._unnamed:
            if _is_filled(cells[place]) and not str(cells[place]).isdecimal():
                return RecordError(None, f"has a value in column {place + 1}, which has no name")
        if not self._fields:
            return self._maker.make(business, customer, None, line)
        body = self._values.body((ours, cells[place]) for place, ours in self._fields)
        return body if isinstance(body, RecordError) else self._maker.make(business, customer, body, line)

    def _is_no_record(self, cells: Cells, line: int) -> bool:
        """Count a blank row, the header where it comes again, and a comment."""
        if all(map(_is_blank, cells)) and line not in self.keeps:
            self.skipped.add("blank", line)
            return True
        texts = [each if isinstance(each, str) else "" for each in cells]
        if texts == self._header:
            self.skipped.add("headers", line)
            return True
        if columns_of(texts, self._rules).is_header:
            raise SourceError(
                f"{location(self._name, line)}: names columns again, and others than before: make two files of it"
            )
        is_comment = texts[0].lstrip().startswith("#") and not any(map(_is_filled, cells[1:]))
        if is_comment:
            self.skipped.add("comments", line)
        return is_comment

    def _has_no_id(self, cells: Cells, line: int) -> bool:
        """Count a row in which no id stands, such as totals below the last customer; one id makes it a customer's."""
        ids = [cells[place] for place in (self._customer, self._business) if place is not None]
        if self.keeps_all or not all(_is_blank(each) or _is_total(each) for each in ids):
            return False
        # Where one column alone has ids, an empty cell may be a customer's whose id is missing.
        has_none = len(ids) > 1 or _is_total(next(each for each in cells if not _is_blank(each)))
        if has_none:
            self.skipped.add(WITHOUT_IDS, line)
        return has_none


def _is_blank(cell: object) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _is_total(cell: object) -> bool:
    return isinstance(cell, str) and _TOTAL.fullmatch(cell.strip()) is not None


def _is_filled(cell: object) -> bool:
    return cell is not None and cell != ""


def _columns(count: int) -> str:
    return f"{count} column{'' if count == 1 else 's'}"
