"""The one verdict on a bulk run: sentence, colour, exit code and steps, over all combinations of counts and ends."""

import functools
import io
import itertools
from pathlib import Path
from typing import Any

import pytest
from bulk_journals import RUN, Row, write_journal

from thredfi_async.bulk.journal import Journal, read_journal
from thredfi_async.bulk.journal_verdict import origin_of, verdict_of
from thredfi_async.bulk.line_counts import STATES, Counts
from thredfi_async.bulk.report import summary, write_html
from thredfi_async.bulk.verdict import Origin, Outcome, Step, Verdict, verdict

COUNTED = [dict(zip((*STATES, "invalid_lines"), numbers, strict=True)) for numbers in itertools.product(*[(0, 2)] * 7)]
COUNTS = [Counts(**counted, not_started=not_started) for counted in COUNTED for not_started in (0, 3, None)]
ENDS: list[dict[str, Any]] = [
    {},
    {"read": False},
    {"running": True},
    {"interrupted": True},
    {"interrupted": True, "read": False},
    {"stopped": "the API is down"},
    {"stopped": "the API is down", "read": False, "interrupted": True},
]
OTHERS: list[dict[str, Any]] = [
    {"origin": origin, "copied": copied, "queue_is_empty": empty}
    for origin, copied, empty in itertools.product(Origin, (True, False), (True, False))
]


@functools.cache
def all_verdicts() -> list[tuple[Counts, dict[str, Any], Verdict]]:
    """A verdict for every combination."""
    return [
        (counts, facts, verdict(counts, **facts))
        for counts, end, other in itertools.product(COUNTS, ENDS, OTHERS)
        for facts in ({**end, **other},)
    ]


def test_green_and_zero_mean_that_every_customer_is_archived() -> None:
    """Colour and exit code say success if and only if the run is at its end with every line of the source archived."""
    for counts, facts, found in all_verdicts():
        open_ = [counts.rejected, counts.failed, counts.unknown, counts.pending, counts.invalid_lines]
        ended = facts.get("read", True) and not facts.get("running") and "stopped" not in facts
        archived = counts.archived + counts.already_archived > 0
        good = ended and archived and not any(open_) and counts.not_started == 0
        assert (found.colour == "green") == (found.exit_code == 0) == (found.outcome is Outcome.ARCHIVED) == good
        assert ("every customer is archived" in found.sentence) == good


def test_the_sentence_counts_all_that_is_left() -> None:
    """Whatever is not archived stands in the sentence with its number, and nothing else does."""
    for counts, _, found in all_verdicts():
        told = {
            "rejected": counts.rejected,
            "failed": counts.failed,
            "unknown": counts.unknown,
            "without an outcome yet": counts.pending,
            "lines not started": counts.not_started or 0,
            "invalid lines": counts.invalid_lines,
        }
        assert [words for words, count in told.items() if f"{count} {words}" in found.sentence] == [
            words for words, count in told.items() if count
        ]
        assert ("the rest of the source not started" in found.sentence) == (counts.not_started is None)


def test_exit_codes_and_json_agree() -> None:
    """The exit code follows from what is open, and JSON holds the same verdict."""
    for counts, facts, found in all_verdicts():
        open_ = not facts.get("read", True) or counts.pending or counts.not_started != 0
        if facts.get("running"):
            expected = None
        elif "stopped" in facts:
            expected = 4
        elif open_:
            expected = 130 if facts.get("interrupted") else 4
        elif counts.unknown:
            expected = 3
        else:
            none = not counts.successes
            expected = int(bool(none or counts.rejected or counts.failed or counts.invalid_lines))
        assert found.exit_code == expected
        shown = found.as_json()
        assert shown["complete"] == (expected in {0, 1, 3})
        assert (shown["exit_code"], shown["sentence"]) == (expected, found.sentence)
        assert (shown["colour"], shown["outcome"]) == (found.colour, found.outcome.value)
        assert sum(shown["states"].values()) == counts.started
        assert shown["remedy"] == (found.steps[0].name.lower() if found.steps else None)


def test_each_step_leads_somewhere() -> None:
    """No step has nothing to work on, and whatever is left has a step, except while the run is running."""
    for counts, facts, found in all_verdicts():
        queue = facts["origin"] is Origin.QUEUE
        on: dict[Step, object] = {
            Step.RESUME: not found.complete and not queue,
            Step.RETRY: counts.failed + counts.unknown,
            Step.RERUN: facts["origin"] is Origin.PROGRAM,
            Step.REPORT: counts.rejected,
            Step.RESEND: counts.rejected and not queue,
            Step.FIX_LINES: counts.invalid_lines and facts["copied"],
            Step.SEE_LINES: counts.invalid_lines and not facts["copied"],
            Step.COLLECT: queue and (counts.pending or not facts.get("read", True)),
            Step.PUBLISH: queue and (counts.not_started != 0 or counts.failed + counts.unknown),
            Step.PUBLISH_LOST: queue and counts.pending and facts["queue_is_empty"],
        }
        assert all(on[step] for step in found.steps)
        assert len(set(found.steps)) == len(found.steps)
        left = counts.left or not facts.get("read", True)
        assert bool(found.steps) == bool(not facts.get("running") and (left or ("stopped" in facts and not queue)))
        assert found.resumable == bool({Step.RESUME, Step.RETRY} & {*found.steps})
        assert not (found.resumable and found.outcome is Outcome.ARCHIVED)


def test_a_run_that_cannot_go_on_has_no_steps() -> None:
    """When the journal is gone, no command is named that would need it."""
    found = verdict(Counts(unknown=1, not_started=None), read=False, stopped="the journal is gone", resumable=False)
    assert (found.steps, found.resumable, found.exit_code) == ((), False, 4)


@pytest.mark.parametrize(
    ("facts", "not_started"),
    [
        ({"read": True, "lines": 100}, 0),
        ({"read": True, "lines": None}, 0),
        ({"read": False, "lines": None}, None),
        ({"read": False, "lines": 100}, 84),
        ({"read": False, "lines": 3}, 0),
    ],
)
def test_lines_that_were_not_started(facts: dict[str, Any], not_started: int | None) -> None:
    """They are all lines but those that were seen; none once the source was read, and unknown without a number."""
    counts = Counts.of({"archived": 10, "pending": 2}, invalid_lines=3, duplicates=1, **facts)
    assert counts.not_started == not_started
    assert counts.started == 12


@pytest.mark.parametrize(
    ("run", "origin"),
    [
        ({}, Origin.PROGRAM),
        ({"source_path": "-"}, Origin.STDIN),
        ({"source_path": "c.csv"}, Origin.FILE),
        ({"source_path": "c.csv", "queue": "THREDFI"}, Origin.QUEUE),
    ],
)
def test_the_origin_of_a_run(run: dict[str, str], origin: Origin) -> None:
    """A journal tells where its customers come from."""
    assert origin_of(run) is origin


QUEUE = {"source_path": "c.csv", "queue": "THREDFI", "queue_listed": "1", "source_records": "9"}


@pytest.mark.parametrize(
    ("run", "states", "outcome", "steps"),
    [
        (QUEUE, {"pending": 4}, Outcome.UNFINISHED, (Step.PUBLISH, Step.COLLECT)),
        ({**QUEUE, "published_at": "now"}, {"pending": 9}, Outcome.UNFINISHED, (Step.COLLECT,)),
        (
            {**QUEUE, "published_at": "now", "queue_is_empty": "1"},
            {"pending": 9},
            Outcome.UNFINISHED,
            (Step.PUBLISH_LOST,),
        ),
        ({**QUEUE, "published_at": "now"}, {"archived": 9}, Outcome.ARCHIVED, ()),
        ({**QUEUE, "published_at": "now"}, {"archived": 8, "failed": 1}, Outcome.NOT_ARCHIVED, (Step.PUBLISH,)),
        ({**QUEUE, "published_at": "now"}, {"archived": 8, "rejected": 1}, Outcome.NOT_ARCHIVED, (Step.REPORT,)),
        ({"queue": "THREDFI"}, {"archived": 8}, Outcome.UNFINISHED, (Step.COLLECT,)),
        ({"queue": "THREDFI", "finished_at": "now"}, {"archived": 8}, Outcome.ARCHIVED, ()),
        ({"stopped_reason": "drained"}, {"archived": 8}, Outcome.INTERRUPTED, (Step.RERUN,)),
        ({"stopped_reason": "api_unavailable"}, {"archived": 8}, Outcome.STOPPED, (Step.RERUN,)),
    ],
)
def test_the_verdict_of_a_journal(
    run: dict[str, str], states: dict[str, int], outcome: Outcome, steps: tuple[Step, ...]
) -> None:
    """Runs over a queue end with their last outcome, and a program that drained its run has interrupted it."""
    found = verdict_of(run, states, invalid_lines=0)
    assert (found.outcome, found.steps) == (outcome, steps)


@pytest.mark.parametrize(
    ("run", "running"),
    [
        ({"id": RUN["id"], "sessions": "1"}, True),
        ({"id": RUN["id"], "sessions": "1", "queue": "THREDFI"}, True),
        (RUN, False),
        ({"id": RUN["id"], "stopped_reason": "api_unavailable"}, False),
    ],
)
def test_a_run_that_is_running(tmp_path: Path, run: dict[str, str], running: bool) -> None:
    """A process has its journal open for writing, and it has neither ended nor stopped; nothing else counts."""
    path = write_journal(tmp_path / "run.db", [("archived", None)], run=run)
    with Journal.open(path) as journal:
        if running:
            journal.begin()
        with read_journal(path) as view:
            assert (summary(view).verdict.outcome is Outcome.RUNNING) == running
    with read_journal(path) as view:
        assert summary(view).verdict.outcome is not Outcome.RUNNING


def test_the_page_shows_the_verdict(tmp_path: Path) -> None:
    """Whatever a journal holds, the page has the verdict's sentence in the verdict's colour, and no other sentence."""
    facts: list[dict[str, str]] = [RUN, {"source_records": "50"}, {"stopped_reason": "the API is down"}, {}]
    for number, (states, run, bad) in enumerate(itertools.product(_rows(), facts, ([], [(2, None, "is blank")]))):
        path = write_journal(tmp_path / f"{number}.db", states, run=run, invalid_lines=bad)
        text = io.StringIO()
        with read_journal(path) as view:
            found = summary(view).verdict
            write_html(view, text)
        assert f'<p class="status status-{found.colour}">{found.sentence}</p>' in text.getvalue()
        assert text.getvalue().count("every customer is archived") == 2 * (found.colour == "green")


def _rows() -> list[list[Row]]:
    """Some rows of each state, and none."""
    one: Row = ("archived", None)
    rows: list[list[Row]] = [[one, (state, None)] for state in STATES]
    return [[], [one], *rows]
