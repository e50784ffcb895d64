"""How far a bulk run has come, in words that are true in each state of it."""

from typing import Any

import attrs
import pytest

from thredfi_async.bulk import Snapshot
from thredfi_async.cli.bulk.progress import Seen, progress_of
from thredfi_async.cli.progress.rate import Progress

SEEN = Seen(states={"archived": 900, "failed": 100, "pending": 7}, before=0, total=2000, invalid_lines=2, duplicates=1)
SNAPSHOT = Snapshot(in_flight=60, concurrency=64)


def progress(*, rate_limit: float | None = None, before: int = 0, **snapshot: Any) -> Progress:
    """How far a run has come."""
    seen = Seen(states=SEEN.states, before=before, total=2000, invalid_lines=2, duplicates=1)
    return progress_of(seen, attrs.evolve(SNAPSHOT, **snapshot), elapsed=10.0, rate_limit=rate_limit)


@pytest.mark.parametrize(
    ("snapshot", "notes"),
    [
        ({}, ["60 in flight of at most 64"]),
        ({"retries": 1}, ["60 in flight of at most 64", "1 retry"]),
        ({"retries": 1200}, ["60 in flight of at most 64", "1,200 retries"]),
        ({"concurrency": 23}, ["60 in flight, going down to 23"]),
        ({"cooldown": 12.0}, ["60 in flight of at most 64", "the API asked to wait: 12 s"]),
    ],
)
def test_what_is_in_flight(snapshot: dict[str, Any], notes: list[str]) -> None:
    """No more is said to be in flight than may be; a limit that has just fallen is named as such."""
    assert list(progress(**snapshot).notes) == notes


def test_what_waits_for_the_rate() -> None:
    """With a rate, customers that wait for their turn are not said to be in flight."""
    assert progress(rate_limit=5.0, in_flight=100).notes == ("100 in flight or waiting for 5/s",)


def test_a_pause() -> None:
    """An API that is unavailable is named, with the wait for the next probe where there is one."""
    (note,) = progress(paused=True, cooldown=12.0).notes
    assert note.startswith("PAUSED: the API is unavailable")
    assert note.endswith("the next in 12 s")
    (probing,) = progress(paused=True).notes
    assert probing.endswith("whether it is back")
    assert progress(paused=True).warning
    assert not progress().warning


def test_outcomes_of_before_are_told_apart() -> None:
    """Outcomes of earlier sessions count as done, and are said to be of before; pending ones are not done."""
    found = progress(before=600)
    assert (found.done, found.outcomes) == (1000, "900 archived, 100 failed; 600 of them before")
    assert found.facts.items() >= {"done": 1000, "done_before": 600, "total": 2000, "invalid_lines": 2}.items()
    assert progress().outcomes == "900 archived, 100 failed"


def test_the_api_s_limit_is_told_once_it_is_found() -> None:
    """What the client has found out about the limit stands beside what is in flight, for people and for machines."""
    words = "the API grants about 198 requests a second"
    found = progress_of(SEEN, SNAPSHOT, elapsed=10.0, rate_limit=None, limit=words)
    assert found.notes == ("60 in flight of at most 64", words)
    assert found.facts["limit"] == words
    assert progress().facts["limit"] is None
