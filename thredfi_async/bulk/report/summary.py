"""Totals, the verdict on the run, and failures grouped by reason."""

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

from thredfi_async._jobs.states import ItemState
from thredfi_async.bulk.journal import JournalView
from thredfi_async.bulk.line_counts import PENDING, STATES, Counts
from thredfi_async.bulk.verdict import Origin, Verdict, verdict

RUNNING_WITHIN: Final = 5.0
"""Seconds: a run that goes on writes a sample each second."""
_INTERRUPTED: Final = re.compile(r"drained|interrupted( by [A-Z]+)?")
"""Reasons in a journal that mean that a signal, or the program, ended the run."""

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
    "business_skipped": "Many customers of its business in a row were refused or failed; see why, then resume.",
    "client_closed": "The run ended before its turn; resume it.",
    "connect_error": "The API could not be reached and nothing was sent; resume the run.",
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
    "validation_error": "The API refuses the data; correct the input.",
}
_BY_STATE: Final[Mapping[str, str]] = {
    ItemState.REJECTED: "The API refused this item; correct the input.",
    ItemState.FAILED: "Resume the run.",
    # Not "settle": that changes nothing for a customer that was asked about and is still active.
    ItemState.UNKNOWN: "Resume the run; it asks the API first, and sends again only who is still active.",
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


def summary(view: JournalView, *, now: float | None = None) -> Summary:
    """Sum up a run.

    Args:
        view: The run's journal.
        now: The time in unix seconds, which tells whether the run is running; the clock's by default.

    Returns:
        Totals, the verdict, and failures grouped by reason.

    Raises:
        JournalError: The journal cannot be read.
    """
    return Summary(
        run=view.run,
        totals={**dict.fromkeys(STATES, 0), **view.totals()},
        reasons=tuple(Reason(state, code, count) for (state, code), count in view.by_reason().items()),
        verdict=verdict_in(view, now=now),
    )


def verdict_in(view: JournalView, *, now: float | None = None, stopped: str | None = None) -> Verdict:
    """Decide how the run of a journal stands.

    Args:
        view: The journal.
        now: The time in unix seconds, which tells whether the run is running; the clock's by default.
        stopped: Why the command that asks stopped by itself.

    Returns:
        The verdict.

    Raises:
        JournalError: The journal cannot be read.
    """
    last = None
    for last in view.samples():  # noqa: B007 - the last one is what is asked for
        pass
    fresh = last is not None and (time.time() if now is None else now) - last.at < RUNNING_WITHIN
    invalid_lines = sum(1 for _ in view.invalid_lines())
    return verdict_of(view.run, view.totals(), invalid_lines=invalid_lines, fresh=fresh, stopped=stopped)


def verdict_of(
    run: Mapping[str, str],
    totals: Mapping[str, int],
    *,
    invalid_lines: int,
    fresh: bool = False,
    stopped: str | None = None,
) -> Verdict:
    """Decide how a run stands, from what its journal says.

    Args:
        run: The journal's facts about the run.
        totals: Its items by state.
        invalid_lines: Its invalid lines.
        fresh: Whether the run wrote a sample in the last seconds.
        stopped: Why the command that reads the journal stopped by itself, which goes before what the journal says.

    Returns:
        The verdict.
    """
    queue, why = bool(run.get("queue")), run.get("stopped_reason")
    # Over a queue, publishing reads the source; who only collects has none.
    collected = queue and "queue_listed" not in run
    read = bool(run.get("published_at" if queue and not collected else "finished_at"))
    interrupted = why is not None and _INTERRUPTED.fullmatch(why) is not None
    running = fresh and not run.get("finished_at") and why is None and stopped is None
    copy = run.get("invalid_lines_path")
    return verdict(
        Counts.of(
            totals,
            read=read or collected,
            lines=_number(run.get("source_records")),
            invalid_lines=invalid_lines,
            duplicates=_number(run.get("duplicates")) or 0,
        ),
        read=read,
        running=running,
        interrupted=interrupted,
        stopped=stopped or (None if interrupted else why),
        origin=origin_of(run),
        copied=copy is not None and Path(copy).exists(),
        queue_is_empty=run.get("queue_is_empty") == "1",
    )


def origin_of(run: Mapping[str, str]) -> Origin:
    """Return where a run's customers come from, from its journal's facts."""
    if run.get("queue"):
        return Origin.QUEUE
    path = run.get("source_path")
    return Origin.PROGRAM if not path else Origin.STDIN if path == "-" else Origin.FILE


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None
