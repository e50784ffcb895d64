"""Counts and checks the source's lines before the run, and takes the invalid ones."""

import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from thredfi_async.bulk.journal import Journal
from thredfi_async.bulk.readers import InvalidLine, Source
from thredfi_async.cli.formatting import size
from thredfi_async.cli.output import tell

_SHOWN: Final = 10
"""Invalid lines that people are shown one by one; fewer where the screen is small, on which a plan stands, too."""
_OF_PLAN: Final = 12
_LINES_EACH: Final = 2
_CHECKED: Final = 100_000
"""Most records of a file that is checked before the run, in a few seconds; a longer one without bodies, in which
nothing but ids can be wrong, is only counted."""
_LARGE: Final = 100_000_000


class InvalidLines:
    """Takes the invalid lines of a source, pass by pass.

    Args:
        each: Called with every one of the first pass.

    Attributes:
        count: How many there were.
        first: The first of them, each with its place and reason; no more than fit the screen.
        suspicious: Values in them that may have been spoiled, by column and by what they hold.
    """

    def __init__(self, each: Callable[[InvalidLine], None] | None = None) -> None:
        """Begin with none."""
        self._shown = max(_LINES_EACH, min(_SHOWN, (shutil.get_terminal_size().lines - _OF_PLAN) // _LINES_EACH))
        self.count: int = 0
        self.first: list[str] = []
        self.suspicious: Counter[tuple[str, str]] = Counter()
        self._each = each
        self._journal: Journal | None = None

    def __call__(self, bad: InvalidLine) -> None:
        """Take one; the thread that reads the source calls it."""
        self.count += 1
        if len(self.first) < self._shown:
            self.first.append(str(bad))
        self.suspicious.update(bad.suspicious)
        if self._each is not None:
            self._each(bad)
        if self._journal is not None:
            self._journal.reject_line(bad.line, bad.column, bad.reason)

    def begin_again(self, journal: Journal | None) -> None:
        """Begin another pass, whose invalid lines go to a journal if there is one."""
        self.count, self._each, self._journal = 0, None, journal
        self.suspicious.clear()


@dataclass(frozen=True, kw_only=True)
class Count:
    """What is known of a source before it is sent.

    Args:
        lines: Lines that list a customer, or None; invalid ones too if they were not checked.
        bad: Invalid lines, or None if they were not checked.
        repeated: Lines that list a customer again, or None if that was not looked at.
        skipped: Lines that are no records, by what they are, as far as they were checked.
    """

    lines: int | None
    bad: int | None
    repeated: int | None = None
    skipped: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def customers(self) -> int | None:
        """Customers that it lists, as far as known; at most so many if it is not `exact`."""
        return None if self.lines is None else self.lines - (self.repeated or 0)

    @property
    def exact(self) -> bool:
        """Whether each line was parsed, and each customer counted once."""
        return self.bad is not None and self.repeated is not None

    @property
    def records(self) -> int | None:
        """All lines, the invalid ones among them."""
        return None if self.lines is None else self.lines + (self.bad or 0)


def count(source: Source, bad: InvalidLines, *, whole: bool, quiet: bool) -> Count:
    """Count the lines of a source, and check each if that is wanted or quick.

    Args:
        source: The source.
        bad: Takes its invalid lines.
        whole: Whether to check every line, however many there are; stdin is then used up.
        quiet: Whether to leave out the message that this takes a while.

    Returns:
        What was found.

    Raises:
        SourceError: The source cannot be read.
    """
    if not source.repeatable:
        return _checked(source, bad) if whole else Count(lines=None, bad=None)
    if not quiet and (source.size or 0) >= _LARGE:
        tell(f"Looking through {source.name} ({size(source.size or 0)}) first.")
    records = source.count_lines()
    if not whole and not source.has_bodies and records is not None and records > _CHECKED:
        return Count(lines=records, bad=None)
    return _checked(source, bad)


def _checked(source: Source, bad: InvalidLines) -> Count:
    seen, lines = set[bytes](), 0
    for item in source:
        lines += 1
        if lines <= _CHECKED:  # some ten megabytes
            seen.add(item.customer_id.bytes + item.business_id.bytes)
    repeated = lines - len(seen) if lines <= _CHECKED else None
    return Count(lines=lines, bad=bad.count, repeated=repeated, skipped=source.skipped)


def invalid_line(bad: InvalidLine) -> dict[str, Any]:
    """Return an invalid line for machines, without what stands on it."""
    return {"file": bad.file, "line": bad.line, "column": bad.column, "reason": bad.reason}
