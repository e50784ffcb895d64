"""Counts every line of a run's source once."""

from collections.abc import Mapping
from typing import Final

import attrs

from thredfi_async._jobs.states import ItemState

PENDING: Final = "pending"
"""A customer that was started, or published to a queue, and has no outcome yet."""
STATES: Final[tuple[str, ...]] = (*(state.value for state in ItemState), PENDING)
"""Every state of a customer, in the order in which they are shown."""


@attrs.frozen(kw_only=True)
class Counts:
    """Every line of a source, each counted once.

    Args:
        archived: Customers that a request of this run can have archived.
        already_archived: Customers that were archived before.
        rejected: Customers that the API, or the check before sending, refused.
        failed: Customers that are certainly not archived by this run, and that may work later.
        unknown: Customers that may be archived or not.
        pending: Customers that were started, or published, and have no outcome yet.
        not_started: Lines that were never started; None if how many is not known.
        invalid_lines: Lines that are no customers.
        duplicates: Lines that list a customer again.
    """

    archived: int = 0
    already_archived: int = 0
    rejected: int = 0
    failed: int = 0
    unknown: int = 0
    pending: int = 0
    not_started: int | None = 0
    invalid_lines: int = 0
    duplicates: int = 0

    @classmethod
    def of(  # noqa: PLR0913 - the counts of a source, each by name
        cls,
        states: Mapping[str, int],
        *,
        read: bool,
        lines: int | None,
        items: int = 0,
        invalid_lines: int = 0,
        duplicates: int = 0,
    ) -> "Counts":
        """Count the lines of a source.

        Args:
            states: Its customers by outcome.
            read: Whether it was read to its end.
            lines: Its lines, as far as known.
            items: Its distinct customers, as far as known, if it was read: those without an outcome are not started.
            invalid_lines: Lines that are no customers, of those that were read.
            duplicates: Lines that list a customer again, of those that were read.

        Returns:
            The counts.
        """
        started = sum(states.values())
        not_started: int | None = max(items - started, 0)
        if not read:
            not_started = None if lines is None else max(lines - started - invalid_lines - duplicates, 0)
        known = {name: states.get(name, 0) for name in STATES}
        return cls(**known, not_started=not_started, invalid_lines=invalid_lines, duplicates=duplicates)

    @property
    def states(self) -> dict[str, int]:
        """Customers by outcome, `pending` among them; those that no customer has are left out."""
        found = {name: int(getattr(self, name)) for name in STATES}
        return {name: count for name, count in found.items() if count}

    @property
    def started(self) -> int:
        """Distinct customers that were started."""
        return sum(self.states.values())

    @property
    def successes(self) -> int:
        """Customers that are archived, by this run or before it."""
        return self.archived + self.already_archived

    @property
    def left(self) -> str:
        """What is not archived, in words; empty if there is nothing."""
        found = {
            "rejected": self.rejected,
            "failed": self.failed,
            "unknown": self.unknown,
            "without an outcome yet": self.pending,
        }
        parts = [f"{count:,} {words}" for words, count in found.items() if count]
        if self.not_started is None:
            parts.append("the rest of the source not started")
        elif self.not_started:
            parts.append(f"{_lines(self.not_started, 'line')} not started")
        if self.invalid_lines:
            parts.append(_lines(self.invalid_lines, "invalid line"))
        return ", ".join(parts)


def _lines(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
