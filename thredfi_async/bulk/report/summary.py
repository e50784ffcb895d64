"""Totals, and failures grouped by reason."""

from collections.abc import Mapping
from typing import Final

import attrs

from thredfi_async._jobs.states import ItemState
from thredfi_async.bulk.journal import JournalView

PENDING: Final = "pending"
STATES: Final[tuple[str, ...]] = (*(state.value for state in ItemState), PENDING)
"""Every state of a row, in the order in which they are shown."""

MEANINGS: Final[Mapping[str, str]] = {
    ItemState.ARCHIVED: "archived by this run",
    ItemState.ALREADY_ARCHIVED: "archived before this run did anything",
    ItemState.REJECTED: "the API said no, and would again",
    ItemState.FAILED: "certainly not archived by this run; may work later",
    ItemState.UNKNOWN: "may be archived or not",
    PENDING: "begun, and without an outcome yet",
}
"""What each state says about the customer."""

_ADVICE: Final[Mapping[str, str]] = {
    "authentication_required": "Check the credentials, then resume the run.",
    "business_skipped": "The API refused the business before, and nothing was sent; fix the access, then resume.",
    "client_closed": "The run ended before its turn; resume it.",
    "connect_error": "The API could not be reached and nothing was sent; resume the run.",
    "connection_lost": "The answer was lost; settle the run to ask the API.",
    "decode_error": "The answer said nothing of this customer; settle the run to ask the API.",
    "http_400": "The API refuses the data; correct the input.",
    "http_403": "The credentials have no access to the business; check its id.",
    "http_404": "The business has no such customer; check both ids.",
    "http_409": "The record is in a state that conflicts; look at the customer.",
    "http_429": "The API asked to slow down; resume the run, with a lower rate.",
    "invalid_request": "The body breaks the contract and was not sent; correct the input.",
    "invalid_token": "Check the credentials, then resume the run.",
    "not_found": "The business has no such customer; check both ids.",
    "permission_denied": "The credentials have no access to the business; check its id.",
    "timeout_connect": "The API could not be reached in time and nothing was sent; resume the run.",
    "timeout_deadline": "No answer in time; settle the run to ask the API.",
    "timeout_read": "No answer in time; settle the run to ask the API.",
    "validation_error": "The API refuses the data; correct the input.",
}
_BY_STATE: Final[Mapping[str, str]] = {
    ItemState.REJECTED: "The API refused this item; correct the input.",
    ItemState.FAILED: "Resume the run.",
    ItemState.UNKNOWN: "Settle the run to ask the API.",
    PENDING: "Resume the run; it asks the API about these first.",
}


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
        by_state = _BY_STATE.get(self.state, "")
        if self.state in {ItemState.UNKNOWN, PENDING}:
            return by_state  # whatever the reason, only the API can tell
        return _ADVICE.get(self.code or "", by_state)


@attrs.frozen
class Summary:
    """The outcome of a run.

    Args:
        run: What the journal knows of the run.
        totals: Distinct items by state, every state of `STATES` among them.
        reasons: Those that are not archived, grouped; the most frequent first.
        invalid_lines: Lines of the source that could not become items.
    """

    run: Mapping[str, str]
    totals: Mapping[str, int]
    reasons: tuple[Reason, ...]
    invalid_lines: int

    @property
    def items(self) -> int:
        """Distinct items that the run has started."""
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
        Totals, and failures grouped by reason.

    Raises:
        JournalError: The journal cannot be read.
    """
    return Summary(
        run=view.run,
        totals={**dict.fromkeys(STATES, 0), **view.totals()},
        reasons=tuple(Reason(state, code, count) for (state, code), count in view.by_reason().items()),
        invalid_lines=sum(1 for _ in view.invalid_lines()),
    )
