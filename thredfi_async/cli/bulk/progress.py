"""How far a bulk run has come, from its own gauges or from its journal's samples, in words and figures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from thredfi_async.bulk import Gauges, ItemState
from thredfi_async.bulk.journal import Sample
from thredfi_async.cli.formatting import duration, outcomes
from thredfi_async.cli.progress.rate import Progress

_OUTCOMES: Final = tuple(state.value for state in ItemState)


Gauged = Gauges | Sample
"""A run's gauges, or a sample of them from its journal."""


def requests_of(gauges: Gauged) -> dict[str, int | None]:
    """Return the requests that were sent again, and all that were sent; None for what is not counted."""
    return {"retries": gauges.retries, "requests": getattr(gauges, "requests", None)}


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


def progress_of(seen: Seen, gauges: Gauged, *, elapsed: float, rate_limit: float | None) -> Progress:
    """Return how far a run has come.

    Args:
        seen: What is known of the source's lines.
        gauges: The run's gauges, or the latest sample of them.
        elapsed: Seconds on the clock that the rate is measured by.
        rate_limit: Customers started a second at most, if that is bounded.

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
        "in_flight": gauges.in_flight,
        "concurrency": gauges.concurrency,
        **requests_of(gauges),
        "invalid_lines": seen.invalid_lines,
        "duplicates": seen.duplicates,
        "cooldown": round(gauges.cooldown, 3),
        "paused": gauges.paused,
        "p50_ms": gauges.p50_ms,
        "p99_ms": gauges.p99_ms,
    }
    return Progress(
        title="Archiving",
        elapsed=elapsed,
        done=seen.done,
        total=seen.total,
        outcomes=words,
        notes=tuple(_notes(gauges, requests_of(gauges)["retries"] or 0, rate_limit)),
        facts=facts,
        warning=gauges.paused or gauges.cooldown > 0.0,
    )


def _notes(gauges: Gauged, retries: int, rate_limit: float | None) -> list[str]:
    notes: list[str] = []
    if not gauges.paused:
        notes.append(_in_flight(gauges, rate_limit))
    if retries:
        notes.append("1 retry" if retries == 1 else f"{retries:,} retries")
    if gauges.paused:
        next_ = f", the next in {duration(gauges.cooldown)}" if gauges.cooldown > 0.0 else ""
        notes.append(f"PAUSED: the API is unavailable, and one request at a time checks whether it is back{next_}")
    elif gauges.cooldown > 0.0:
        notes.append(f"the API asked to wait: {duration(gauges.cooldown)}")
    return notes


def _in_flight(gauges: Gauged, rate_limit: float | None) -> str:
    count = f"{gauges.in_flight:,}"
    if rate_limit is not None:
        # Those that wait for the rate count as in flight, too.
        return f"{count} in flight or waiting for {rate_limit:,.4g}/s"
    if gauges.in_flight > gauges.concurrency:
        # The limit has just fallen: what was in flight by then ends.
        return f"{count} in flight, going down to {gauges.concurrency:,}"
    return f"{count} in flight of at most {gauges.concurrency:,}"
