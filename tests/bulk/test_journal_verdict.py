"""From a journal to the verdict on its run: what is missing, what is open, and how its last session ended."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import get_args

import pytest
from bulk_api import Api, all_of, items
from bulk_journals import RUN, Row, write_journal

from thredfi_async._outcomes import StopReason
from thredfi_async.bulk import Journal, archive_many, read_journal
from thredfi_async.bulk.errors import StopCause
from thredfi_async.bulk.journal.ends import KILLED, SETTLED, interrupted_by, is_interruption, stop_of
from thredfi_async.bulk.journal_verdict import verdict_in, verdict_of
from thredfi_async.bulk.verdict import Outcome, Verdict

FILE = {"id": RUN["id"], "source_path": "c.csv", "sessions": "1"}


def of(path: Path) -> Verdict:
    """The verdict on a journal's run."""
    with read_journal(path) as view:
        return verdict_in(view)


async def test_items_that_are_missing(tmp_path: Path) -> None:
    """A journal that has lost items since its run ended is not green, whatever the others are."""
    path = tmp_path / "run.db"
    await all_of(archive_many(Api(), items(10), journal=path))
    assert of(path).outcome is Outcome.ARCHIVED
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM items WHERE position IN (2, 3, 4)")
    found = of(path)
    assert (found.outcome, found.counts.not_started, found.exit_code) == (Outcome.UNFINISHED, 3, 4)
    assert "3 lines not started" in found.sentence


def test_invalid_lines_that_are_missing(tmp_path: Path) -> None:
    """Invalid lines that the journal had at its run's end count, though it has lost them since."""
    path = tmp_path / "run.db"
    with Journal.open(path) as journal:
        journal.begin()
        journal.reject_line(2, None, "is blank")
        journal.finish(None)
    assert of(path).counts.invalid_lines == 1
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM invalid_lines")
    assert of(path).counts.invalid_lines == 1


@pytest.mark.parametrize(
    ("facts", "rows", "outcome", "left"),
    [
        # A signal after the last customer, and a kill before the end was written.
        ({"stopped_reason": "interrupted by SIGINT", "source_checked": "1"}, 4, Outcome.ARCHIVED, 0),
        ({"source_checked": "1"}, 4, Outcome.ARCHIVED, 0),
        ({"source_checked": "1"}, 3, Outcome.UNFINISHED, 1),
        # Lines that were only counted may be fewer than the records.
        ({"source_checked": "0"}, 4, Outcome.UNFINISHED, 0),
        ({"source_checked": "1", "stopped_reason": "the API is down"}, 4, Outcome.STOPPED, 0),
    ],
)
def test_all_lines_have_outcomes(tmp_path: Path, facts: dict[str, str], rows: int, outcome: Outcome, left: int) -> None:
    """A run whose lines were all parsed and all have outcomes is at its end, whether that was written or not."""
    states: list[Row] = [("archived", None)] * rows
    path = write_journal(tmp_path / "run.db", states, run={**FILE, "source_records": "5", "duplicates": "1", **facts})
    found = of(path)
    assert (found.outcome, found.counts.not_started) == (outcome, left)
    assert ("not read to its end" in found.sentence) == (facts["source_checked"] == "0")


@pytest.mark.parametrize("met", [0, 1, 2])
def test_invalid_lines_that_are_foreseen_are_not_to_be_started(met: int) -> None:
    """Of ten lines, of which two were found invalid before the run, eight are customers, whatever was read by now."""
    facts = {"source_records": "10", "source_invalid_lines": "2", "source_checked": "1"}
    found = verdict_of(facts, {"archived": 3}, invalid_lines=met)
    assert (found.counts.not_started, found.counts.invalid_lines) == (5, met)


def test_every_cause_is_a_sentence() -> None:
    """What a run in Python keeps for programs is said to people in words."""
    for cause in (*get_args(StopReason), *(each for part in get_args(StopCause) for each in get_args(part))):
        said = stop_of(cause)
        assert said is not None
        assert "_" not in said
        assert "Stopped: " + said in verdict_of({**FILE, "stopped_reason": cause}, {}, invalid_lines=0).sentence
    assert stop_of("JournalError") == "an error ended it (JournalError)"
    assert stop_of("the disk is full: make room") == "the disk is full: make room"


@pytest.mark.parametrize("reason", [None, KILLED, SETTLED, "drained", "interrupted", interrupted_by("SIGTERM")])
def test_what_is_no_stop(reason: str | None) -> None:
    """A kill, a settled interruption and a signal are not the run's own doing."""
    assert stop_of(reason) is None
    assert is_interruption(reason) == (reason not in {None, KILLED, SETTLED})


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"sessions": "1"}, KILLED),
        ({}, None),
        ({"sessions": "1", "queue": "THREDFI"}, None),
        ({"sessions": "1", "stopped_reason": "drained"}, "drained"),
        ({"sessions": "1", "finished_at": RUN["finished_at"]}, None),
    ],
)
def test_a_session_that_was_killed(tmp_path: Path, facts: dict[str, str], why: str | None) -> None:
    """The next process that opens the journal writes it down, and a session of its own takes it back."""
    path = write_journal(tmp_path / "run.db", [("archived", None)], run={"id": RUN["id"], **facts})
    with Journal.open(path) as journal:
        assert journal.run.get("stopped_reason") == why
        with read_journal(path) as view:
            assert verdict_in(view, running=False).outcome is not Outcome.STOPPED
        journal.begin()
        assert "stopped_reason" not in journal.run
