"""Totals, the verdict on the run, and failures grouped by reason."""

from collections.abc import Mapping
from typing import Final

import attrs

from thredfi_async._jobs.states import ItemState
from thredfi_async.bulk.journal import JournalView
from thredfi_async.bulk.journal_verdict import verdict_in
from thredfi_async.bulk.line_counts import PENDING, STATES
from thredfi_async.bulk.report.advice import advice_on
from thredfi_async.bulk.verdict import Verdict

MEANINGS: Final[Mapping[str, str]] = {
    ItemState.ARCHIVED: "by this run",
    ItemState.ALREADY_ARCHIVED: "before this run did anything",
    ItemState.REJECTED: "the API said no, and would again",
    ItemState.FAILED: "certainly not archived by this run; may work later",
    ItemState.UNKNOWN: "may be archived or not",
    PENDING: "started, and without an outcome yet",
}
"""What each state says about the customer."""


@attrs.frozen
class Reason:
    """Items that are not archived for the same reason.

    Args:
        state: Their state, or `pending`.
        code: The machine-readable reason, if there is one.
        count: How many there are.
    """

    state: str
    code: str | None
    count: int

    @property
    def advice(self) -> str:
        """What to do about it, as a sentence."""
        return advice_on(self.state, self.code)


@attrs.frozen
class Summary:
    """The outcome of a run.

    Args:
        run: What the journal knows of the run.
        totals: Distinct items by state, every state of `STATES` among them.
        reasons: Those that are not archived, grouped; the most frequent first.
        verdict: How the run stands, over all lines of its source.
    """

    run: Mapping[str, str]
    totals: Mapping[str, int]
    reasons: tuple[Reason, ...]
    verdict: Verdict

    @property
    def invalid_lines(self) -> int:
        """Lines of the source that could not become items."""
        return self.verdict.counts.invalid_lines

    @property
    def items(self) -> int:
        """Customers that the run has started, each counted once."""
        return sum(self.totals.values())

    @property
    def archived(self) -> int:
        """Items whose customers are archived, by this run or before it."""
        return self.totals[ItemState.ARCHIVED] + self.totals[ItemState.ALREADY_ARCHIVED]

    @property
    def failures(self) -> int:
        """Items with an outcome whose customers are not known to be archived."""
        return self.items - self.archived - self.totals[PENDING]


def summary(view: JournalView) -> Summary:
    """Sum up a run.

    Args:
        view: The run's journal.

    Returns:
        Totals, the verdict, and failures grouped by reason.

    Raises:
        JournalError: The journal cannot be read.
    """
    return Summary(
        run=view.finished_run(),
        totals={**dict.fromkeys(STATES, 0), **view.totals()},
        reasons=tuple(Reason(state, code, count) for (state, code), count in view.by_reason().items()),
        verdict=verdict_in(view),
    )
