"""`thredfi bulk settle` and what `status` says right after it: one verdict, in every way in which settling can end."""

import asyncio
import contextlib
import sqlite3
from typing import Any

import pytest
from bulk_cli import Bulk, file_of, lost

from thredfi_async.bulk import BulkStoppedError, Journal
from thredfi_async.bulk.settling import Settlement
from thredfi_async.cli.bulk import settle as command
from thredfi_async.cli.progress.follow import Followed
from thredfi_async.mock_server import MockServer, SeededCustomer

SAME = ("outcome", "sentence", "colour", "exit_code", "complete", "resumable", "remedy", "states", "not_started")


@pytest.fixture
def unknown(bulk: Bulk, server: MockServer) -> list[SeededCustomer]:
    """A run at its end, of five customers with an unknown outcome each."""
    customers = list(server.customers[:5])
    file_of("five.csv", customers)
    lost(server, *customers)
    assert bulk("archive", "five.csv", "--journal", "run.db").code == 3
    return customers


def set_facts(finished: bool, **facts: str) -> None:
    """Change what the journal says of how its run ended; a run that is not at its end has lines that are left."""
    with contextlib.closing(sqlite3.connect("run.db")) as connection, connection:
        if not finished:
            connection.execute("DELETE FROM run WHERE key = 'finished_at'")
            connection.execute("UPDATE run SET value = '105' WHERE key = 'source_records'")
        connection.executemany("INSERT OR REPLACE INTO run VALUES (?, ?)", facts.items())


def settled(bulk: Bulk, *more: str) -> dict[str, Any]:
    """Settle, hold the verdict against that of the other commands, and return it."""
    told = bulk("settle", "run.db", *more, "--json")
    found = told.json[-1]
    assert told.code == found["exit_code"]
    for name in ("status", "report"):
        shown = bulk(name, "run.db", "--json").json[-1]
        for each in SAME:
            if (name, each) != ("report", "states"):  # a report lists the empty ones, too
                assert shown[each] == found[each]
    return found


@pytest.mark.usefixtures("unknown")
@pytest.mark.parametrize(
    ("reason", "outcome", "code"),
    [
        ("interrupted by SIGINT", "unfinished", 4),
        ("drained", "unfinished", 4),
        ("the API has been unavailable for 600 s", "stopped", 4),
        ("api_unavailable", "stopped", 4),
        ("killed", "unfinished", 4),
    ],
)
def test_a_run_that_did_not_end(bulk: Bulk, reason: str, outcome: str, code: int) -> None:
    """Once all was asked, nothing of an interruption is left; the run itself is still not at its end."""
    set_facts(finished=False, stopped_reason=reason)
    found = settled(bulk)
    assert (found["outcome"], found["exit_code"], found["interrupted"], found["stopped"]) == (outcome, code, None, None)
    assert (found["archived"], found["states"], found["not_started"]) == (5, {"archived": 5}, 100)
    assert "Interrupted" not in bulk("settle", "run.db").out


@pytest.mark.usefixtures("unknown")
@pytest.mark.parametrize("finished", [True, False])
def test_an_api_that_is_down(bulk: Bulk, server: MockServer, finished: bool) -> None:
    """Settling says why it stopped; a run at its end stays at its end, and one that was not has stopped."""
    set_facts(finished=finished, **({} if finished else {"stopped_reason": "interrupted by SIGINT"}))
    server.set_down(True, status=503)
    options = ("--outage-timeout", "0.1s", "--timeout", "100ms")
    found = settled(bulk, *options)
    assert (found["outcome"], found["exit_code"], found["complete"]) == (
        ("unknown", 3, True) if finished else ("stopped", 4, False)
    )
    assert "unavailable" in found["stopped"]
    assert bulk("settle", "run.db", *options).out.startswith("Settling stopped: the API has been unavailable")


@pytest.mark.usefixtures("unknown")
@pytest.mark.parametrize(
    ("finished", "asked", "outcome", "code"),
    [(True, 2, "unknown", 3), (False, 2, "interrupted", 130), (False, 5, "unfinished", 4)],
)
def test_an_interruption(
    bulk: Bulk, monkeypatch: pytest.MonkeyPatch, *, finished: bool, asked: int, outcome: str, code: int
) -> None:
    """Ctrl-C leaves what the run is as it is, or interrupts it; one that came after the last answer changes nothing."""
    set_facts(finished=finished)

    async def interrupted(work: Any, **_: Any) -> Followed:
        work.close()
        return Followed(interrupted="SIGINT")

    async def settle(*_: object, **given: Any) -> Settlement:
        given["on_progress"](Settlement(asked=asked))
        await asyncio.Event().wait()
        raise AssertionError

    with monkeypatch.context() as patched:
        patched.setattr(command, "follow", interrupted)
        patched.setattr(command, "settle", settle)
        patched.setattr(command.Found, "is_left", property(lambda _: asked < 5))
        found = settled(bulk)
    assert (found["outcome"], found["exit_code"], found["complete"]) == (outcome, code, finished)
    assert found["interrupted"] == "SIGINT"


def test_a_stop_is_noted_from_python(bulk: Bulk, unknown: list[SeededCustomer]) -> None:
    """`settle` itself writes it, for every caller, and only where the run is not at its end."""
    from thredfi_async.bulk.settling import _note  # noqa: PLC0415 - what both ways share

    del unknown
    with Journal.open("run.db") as journal:
        _note(journal, str(BulkStoppedError("the API is down", cause="api_unavailable")))
        assert "stopped_reason" not in journal.run
    set_facts(finished=False)
    with Journal.open("run.db") as journal:
        _note(journal, "the API is down")
        assert journal.run["stopped_reason"] == "the API is down"
    assert bulk("status", "run.db", "--json").json[-1]["outcome"] == "stopped"
