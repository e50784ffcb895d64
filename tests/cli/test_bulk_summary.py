"""How a bulk run ends on the screen and in JSON: the verdict's sentence and code, the figures, and the commands."""

from typing import Any

import pytest
from rich.console import Console

from thredfi_async.bulk.line_counts import Counts
from thredfi_async.bulk.verdict import Outcome, verdict
from thredfi_async.cli.bulk.commands import Next
from thredfi_async.cli.bulk.summary import RunSummary

NEXT = [Next(why="go on with", command="thredfi bulk resume r.db"), Next(why="run it again", command=None)]


def ended(counts: Counts, facts: dict[str, Any] | None = None, **more: Any) -> RunSummary:
    """The end of a run."""
    return RunSummary(verdict=verdict(counts, **(facts or {})), next=NEXT, **more)


def text(summary: RunSummary) -> str:
    """What people read."""
    console = Console(width=200)
    with console.capture() as capture:
        console.print(summary.as_text())
    return capture.get()


@pytest.mark.parametrize(
    ("summary", "words"),
    [
        (ended(Counts(archived=1)), "Done: every customer is archived.\n  1 archived\n"),
        (ended(Counts(archived=1200), elapsed=125.0, now=1200), "  1,200 archived; in 2 min 5 s\n"),
        (ended(Counts(archived=1200), elapsed=1.0, now=200), "  1,200 archived; 200 of them now, in 1.0 s\n"),
        (ended(Counts(archived=1200), elapsed=1.0, now=0), "  1,200 archived; no new outcome, in 1.0 s\n"),
        (
            ended(Counts(archived=1), limit="the API grants about 8 requests at once"),
            "  the API grants about 8 requests",
        ),
        (ended(Counts(archived=1, invalid_lines=2)), "  2 invalid lines, left out\n"),
        (ended(Counts(archived=1, invalid_lines=1)), "Done, and not everything is archived: 1 invalid line.\n"),
        (ended(Counts(archived=1, duplicates=1)), "  1 repeated line; each customer was sent once\n"),
        (ended(Counts(unknown=2)), "some outcomes are unknown: 2 unknown.\n  0 archived, 2 unknown\n"),
        (ended(Counts(not_started=3), {"interrupted": True}, interrupted="SIGINT"), "  what was in flight has ended\n"),
        (
            ended(Counts(not_started=3), {"interrupted": True}, interrupted="SIGINT", at_once=True),
            "  customers whose requests were cut off are asked about when it is resumed\n",
        ),
        (ended(Counts()), "Go on with: thredfi bulk resume r.db\nRun it again.\n"),
    ],
)
def test_the_words(summary: RunSummary, words: str) -> None:
    """People read in the first line how it ended, and below it what there is to know and to do."""
    assert words in text(summary)


def test_a_signal_after_the_last_customer_is_not_told() -> None:
    """A run that is at its end was not interrupted."""
    assert "in flight" not in text(ended(Counts(archived=1), {"interrupted": True}, interrupted="SIGINT"))


def test_json_and_the_exit_code_are_the_verdict() -> None:
    """A machine reads the verdict as it is, and what only this process knows beside it."""
    summary = ended(
        Counts(archived=3, unknown=1),
        elapsed=1.23456,
        now=2,
        requests={"retries": 1, "requests": 9},
        limit="the API grants about 198 requests a second",
    )
    shown = summary.as_json()
    assert shown.items() >= summary.verdict.as_json().items()
    assert shown.items() >= {"elapsed": 1.235, "done_now": 2, "retries": 1, "requests": 9, "interrupted": None}.items()
    assert (shown["limit"], shown["stopped"]) == ("the API grants about 198 requests a second", None)
    assert shown["next"] == [
        {"why": "go on with", "command": "thredfi bulk resume r.db"},
        {"why": "run it again", "command": None},
    ]
    assert summary.exit_code == shown["exit_code"] == 3


def test_an_end_is_never_taken_for_success() -> None:
    """Should a verdict have no exit code, the command does not end with 0."""
    summary = ended(Counts(archived=1), {"running": True})
    assert (summary.verdict.outcome, summary.exit_code) == (Outcome.RUNNING, 4)
