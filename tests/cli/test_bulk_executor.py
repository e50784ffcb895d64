"""How a run is noted in its journal when its process ends, and what later commands read there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bulk_cli import Told, file_of, run_bulk

from thredfi_async.bulk import ArchiveRun, Journal, JournalError
from thredfi_async.bulk.journal import read_journal
from thredfi_async.bulk.journal_verdict import verdict_in
from thredfi_async.mock_server import MockServer

Bulk = Callable[..., Told]


@pytest.fixture
def bulk(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, thredfi_mock_server: MockServer
) -> Bulk:
    """Runs `thredfi bulk` in a folder with five customers and an environment that points at a mock server."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THREDFI_BASE_URL", thredfi_mock_server.url)
    monkeypatch.setenv("THREDFI_PARTNER_UUID", thredfi_mock_server.partner_uuid)
    monkeypatch.setenv("THREDFI_API_KEY", thredfi_mock_server.api_key)
    monkeypatch.delenv("THREDFI_TOKEN", raising=False)
    file_of("five.csv", thredfi_mock_server.customers[:5])
    return lambda *argv: run_bulk(capsys, *argv)


def drained(monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> None:
    """Let the next run be drained before its first customer, or end in an error."""
    given: Any = ArchiveRun.__anext__

    async def first(run: ArchiveRun) -> object:
        run.drain()
        if error is not None:
            raise error
        return await given(run)

    monkeypatch.setattr(ArchiveRun, "__anext__", first)


def test_the_process_and_the_journal_tell_the_same(bulk: Bulk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Summary, status and report of a run that ended before its end have one verdict, and it is not running."""
    with monkeypatch.context() as patched:
        drained(patched)
        told = bulk("archive", "five.csv", "--journal", "run.db", "--json")
    summary = told.json[-1]
    assert (summary["outcome"], summary["not_started"]) == ("interrupted", 5)
    for argv in (["status", "run.db", "--json"], ["report", "run.db", "--json"]):
        shown = bulk(*argv).json[-1]
        names = ("outcome", "sentence", "colour", "exit_code", "remedy", "not_started", "next")
        assert {name: shown[name] for name in names} == {name: summary[name] for name in names}
    assert told.code == summary["exit_code"] == 130


def test_an_unexpected_error_is_noted(bulk: Bulk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Why a run stopped stands in its journal, as the sentence that was shown."""
    with monkeypatch.context() as patched:
        drained(patched, LookupError("Ada Example"))
        told = bulk("archive", "five.csv", "--journal", "run.db")
    assert told.code == 4
    assert "Stopped: thredfi met an unexpected error (LookupError); --debug shows where. Left: 5 lines" in told.out
    assert told.out.splitlines()[0] in bulk("status", "run.db").out


def test_a_journal_that_cannot_be_noted(bulk: Bulk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose end cannot be written down is still not taken for running, nor for done."""
    given: Any = Journal.describe

    def full(journal: Journal, **facts: Any) -> None:
        if "stopped_reason" in facts:
            raise JournalError("the disk is full")
        given(journal, **facts)

    with monkeypatch.context() as patched:
        drained(patched)
        patched.setattr(Journal, "describe", full)
        told = bulk("archive", "five.csv", "--journal", "run.db")
    assert (told.code, told.out.partition(":")[0]) == (4, "Stopped")


def test_a_journal_that_is_gone(bulk: Bulk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its journal a run tells what this process knows, and names no command."""
    path = Path("run.db")

    async def gone(run: ArchiveRun) -> object:
        run.drain()
        path.unlink()  # noqa: ASYNC240 - one file of a test
        raise JournalError("the journal was deleted")

    with monkeypatch.context() as patched:
        patched.setattr(ArchiveRun, "__anext__", gone)
        told = bulk("archive", "five.csv", "--journal", "run.db")
    assert told.code == 4
    assert "Stopped: the journal was deleted. Left: 5 lines not started." in told.out
    assert told.commands == []


def test_repeated_lines_are_kept(bulk: Bulk, thredfi_mock_server: MockServer) -> None:
    """Every line of the source is counted once: customers, repeated lines and invalid ones are its lines together."""
    customers = [*thredfi_mock_server.customers[:5], *thredfi_mock_server.customers[:2]]
    file_of("five.csv", customers)
    with Path("five.csv").open("a") as file:
        file.write("x\n")
    told = bulk("archive", "five.csv", "--journal", "run.db", "--json")
    summary = told.json[-1]
    assert (told.code, summary["duplicates"], summary["invalid_lines"]) == (1, 2, 1)
    with read_journal("run.db") as view:
        counts = verdict_in(view, running=False).counts
        assert counts.started + counts.duplicates + counts.invalid_lines == int(view.run["source_records"]) == 8
    assert "2 repeated lines; each customer was sent once" in bulk("status", "run.db").out
    assert "repeated lines" in bulk("report", "run.db").out
