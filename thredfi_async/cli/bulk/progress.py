"""How far a bulk run has come, from its own snapshot or from its journal's samples, in words and figures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from thredfi_async.bulk import ItemState, Snapshot
from thredfi_async.bulk.journal import Sample
from thredfi_async.cli.formatting import duration, outcomes
from thredfi_async.cli.progress.rate import Progress

_OUTCOMES: Final = tuple(state.value for state in ItemState)


Measured = Snapshot | Sample
"""A snapshot of a run, or a sample of one from its journal."""


def requests_of(snapshot: Measured) -> dict[str, int]:
    """Return the requests that were sent in this session, and those of them that repeated one before."""
    return {"requests": snapshot.requests, "retries": snapshot.retries}


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What is known of the source's lines by now.

    Args:
        states: Customers by outcome, those of earlier sessions among them.
        before: How many of these had their outcome before this session.
        total: Customers in all, as far as known.
        invalid_lines: Invalid lines.
        duplicates: Lines that list a customer again.
    """

    states: Mapping[str, int]
    before: int
    total: int | None
    invalid_lines: int
    duplicates: int

    @property
    def done(self) -> int:
        """Customers with an outcome."""
        return sum(self.states.get(name, 0) for name in _OUTCOMES)


def progress_of(
    seen: Seen, snapshot: Measured, *, elapsed: float, rate_limit: float | None, limit: str | None = None
) -> Progress:
    """Return how far a run has come.

    Args:
        seen: What is known of the source's lines.
        snapshot: The run's snapshot, or the latest sample in its journal.
        elapsed: Seconds on the clock that the rate is measured by.
        rate_limit: Customers started a second at most, if that is bounded.
        limit: What was found out about the API's limit, in words; None if nothing was, or this does not know it.

    Returns:
        Words and figures.
    """
    states = {name: seen.states.get(name, 0) for name in _OUTCOMES}
    words = outcomes(states)
    if seen.before:
        words += f"; {seen.before:,} of them before"
    facts: dict[str, Any] = {
        "elapsed": round(elapsed, 3),
        "done": seen.done,
        "done_before": seen.before,
        "total": seen.total,
        "states": states,
        "in_flight": snapshot.in_flight,
        "concurrency": snapshot.concurrency,
        **requests_of(snapshot),
        "invalid_lines": seen.invalid_lines,
        "duplicates": seen.duplicates,
        "cooldown": round(snapshot.cooldown, 3),
        "paused": snapshot.paused,
        "p50_ms": snapshot.p50_ms,
        "p99_ms": snapshot.p99_ms,
        "limit": limit,
    }
    return Progress(
        title="Archiving",
        elapsed=elapsed,
        done=seen.done,
        total=seen.total,
        outcomes=words,
        notes=(*_notes(snapshot, rate_limit), *([limit] if limit is not None else [])),
        facts=facts,
        warning=snapshot.paused or snapshot.cooldown > 0.0,
    )


def _notes(snapshot: Measured, rate_limit: float | None) -> list[str]:
    notes, retries = list[str](), snapshot.retries
    if not snapshot.paused:
        notes.append(_in_flight(snapshot, rate_limit))
    if retries:
        notes.append("1 retry" if retries == 1 else f"{retries:,} retries")
    if snapshot.paused:
        next_ = f", the next in {duration(snapshot.cooldown)}" if snapshot.cooldown > 0.0 else ""
        notes.append(f"PAUSED: the API is unavailable, and one request at a time checks whether it is back{next_}")
    elif snapshot.cooldown > 0.0:
        notes.append(f"the API asked to wait: {duration(snapshot.cooldown)}")
    return notes


def _in_flight(snapshot: Measured, rate_limit: float | None) -> str:
    count = f"{snapshot.in_flight:,}"
    if rate_limit is not None:
        # Those that wait for the rate count as in flight, too.
        return f"{count} in flight or waiting for {rate_limit:,.4g}/s"
    if snapshot.in_flight > snapshot.concurrency:
        # The limit has just fallen: what was in flight by then ends.
        return f"{count} in flight, going down to {snapshot.concurrency:,}"
    return f"{count} in flight of at most {snapshot.concurrency:,}"
