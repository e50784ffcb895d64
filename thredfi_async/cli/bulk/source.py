"""Counts and checks the source's lines before the run, and takes the invalid ones."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from thredfi_async.bulk.journal import Journal
from thredfi_async.bulk.readers import InvalidLine, Source
from thredfi_async.cli.formatting import size
from thredfi_async.cli.output import tell

SHOWN: Final = 10
"""Invalid lines that people are shown one by one."""
_CHECKED: Final = 100_000
"""Most records of a file that is checked before the run, in a few seconds; a longer one is only counted."""
_LARGE: Final = 100_000_000


class InvalidLines:
    """Takes the invalid lines of a source, pass by pass.

    Args:
        each: Called with every one of the first pass.
    """

    def __init__(self, each: Callable[[InvalidLine], None] | None = None) -> None:
        """Begin with none."""
        self.count: int = 0
        self.first: list[str] = []
        self._each = each
        self._journal: Journal | None = None

    def __call__(self, bad: InvalidLine) -> None:
        """Take one; the thread that reads the source calls it."""
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append(str(bad))
        if self._each is not None:
            self._each(bad)
        if self._journal is not None:
            self._journal.reject_line(bad.line, bad.column, bad.reason)

    def begin_again(self, journal: Journal | None) -> None:
        """Begin another pass, whose invalid lines go to a journal if there is one."""
        self.count, self._each, self._journal = 0, None, journal


@dataclass(frozen=True, kw_only=True)
class Count:
    """What is known of a source before it is sent.

    Args:
        lines: Lines that list a customer, or None; invalid ones too if they were not checked.
        bad: Invalid lines, or None if they were not checked.
        repeated: Lines that list a customer again, or None if that was not looked at.
    """

    lines: int | None
    bad: int | None
    repeated: int | None = None

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
    if not whole and records is not None and records > _CHECKED:
        return Count(lines=records, bad=None)
    return _checked(source, bad)


def _checked(source: Source, bad: InvalidLines) -> Count:
    seen, lines = set[bytes](), 0
    for item in source:
        lines += 1
        if lines <= _CHECKED:  # some ten megabytes
            seen.add(item.customer_id.bytes + item.business_id.bytes)
    return Count(lines=lines, bad=bad.count, repeated=lines - len(seen) if lines <= _CHECKED else None)


def invalid_line(bad: InvalidLine) -> dict[str, Any]:
    """Return an invalid line for machines, without what stands on it."""
    return {"file": bad.file, "line": bad.line, "column": bad.column, "reason": bad.reason}
