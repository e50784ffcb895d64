import asyncio
import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid5

import attrs
import pytest
from bulk_api import Api, all_of, item, items, lost, refusal, states, until_it_stops
from helpers import leaving_nothing, until

from thredfi_async.bulk import (
    ArchiveItem,
    BulkStoppedError,
    ItemState,
    Journal,
    JournalBusyError,
    JournalError,
    JournalView,
    StopPolicy,
    archive_many,
    read_journal,
)
from thredfi_async.bulk.journal import Outcome
from thredfi_async.bulk.journal.store import Known, Settled

NEVER = StopPolicy(failure_ratio=None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a journal may be."""
    return tmp_path / "run.db"


def totals(path: Path) -> dict[str, int]:
    """What a journal says."""
    with read_journal(path) as view:
        return dict(view.totals())


# -- files


@pytest.mark.skipif(sys.platform == "win32", reason="no modes there")
def test_nobody_else_may_read_it(path: Path) -> None:
    """The journal, and what SQLite puts beside it, are its owner's alone; in the end it is one file."""
    with Journal.open(path) as journal:
        journal.describe(source_path="customers.csv")
        for name in ("run.db", "run.db-wal", "run.db-shm"):
            assert stat.S_IMODE((path.parent / name).stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["run.db"]  # noqa: PTH208 - names


def test_two_writers(path: Path) -> None:
    """The second is told so, in any process or thread, and a reader is not affected."""
    with Journal.open(path):
        with pytest.raises(JournalBusyError, match="is being written by another run"):
            Journal.open(path)
        script = f"from thredfi_async.bulk import Journal; Journal.open({str(path)!r})"
        run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert "JournalBusyError" in run.stderr
        assert totals(path) == {}
    Journal.open(path).close()


def test_a_kill_frees_the_lock(path: Path) -> None:
    """A process that is killed leaves nothing locked, and nothing unreadable."""
    script = f"""
import os
from thredfi_async.bulk import Journal
journal = Journal.open({str(path)!r})
with journal.transaction() as rows:
    rows.admit(0, [bytes(32)])
os._exit(9)
"""
    subprocess.run([sys.executable, "-c", script], check=False)
    assert totals(path) == {"pending": 1}
    with Journal.open(path):
        assert totals(path) == {"unknown": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"name,id\n" * 2000, "is not an SQLite database"), (None, "is no journal of a bulk run")],
)
def test_a_foreign_file(path: Path, content: bytes | None, message: str) -> None:
    """It is refused in a sentence, and not touched."""
    if content is None:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE theirs (a)")
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    for opens in (Journal.open, JournalView):
        with pytest.raises(JournalError, match=message):
            opens(path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["run.db"]  # noqa: PTH208 - names


@pytest.mark.parametrize(("version", "other"), [(3, "a newer"), (1, "an older"), (0, "an older"), (-1, "an older")])
def test_another_format(path: Path, version: int, other: str) -> None:
    """A journal of an earlier or a later version is left to that version, in one sentence."""
    Journal.open(path).close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    for opens in (Journal.open, JournalView):
        with pytest.raises(JournalError, match=f"has format {version}, of {other} thredfi-async, and this one knows 2"):
            opens(path)


def test_a_damaged_file(path: Path) -> None:
    """What SQLite cannot read is called damaged."""
    with Journal.open(path) as journal, journal.transaction() as rows:
        rows.admit(0, [bytes([number]) * 32 for number in range(250)])
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(JournalError, match="damaged"):
        totals(path)


def test_where_none_can_be(tmp_path: Path) -> None:
    """A folder, a folder that is missing, and a journal that is missing get one sentence each."""
    with pytest.raises(JournalError, match="is a folder"):
        Journal.open(tmp_path)
    with pytest.raises(JournalError, match="the file or its folder cannot be opened"):
        Journal.open(tmp_path / "none" / "run.db")
    with pytest.raises(JournalError, match="there is no journal"):
        Journal.open(tmp_path / "run.db", create=False)
    with pytest.raises(JournalError, match="there is no journal"):
        JournalView(tmp_path / "run.db")
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - names


def test_an_empty_file(path: Path) -> None:
    """It counts as a new one, as after a kill in the first moment."""
    path.touch()
    with Journal.open(path) as journal:
        assert journal.run["id"] == str(journal.id)


# -- rows


def test_ids_are_indexed_many_at_a_time(path: Path) -> None:
    """Whether an id is in memory, in the index, or was there before a kill: it is known."""
    ids = [bytes([number]) * 32 for number in range(40)]
    with Journal.open(path) as journal:
        journal.rows._limit = 10
        for first in range(0, 40, 8):
            with journal.transaction() as rows:
                assert rows.admit(first, ids[first : first + 8]) == [
                    Known(position, None, 0) for position in range(first, first + 8)
                ]
        with journal.transaction() as rows:
            assert rows.admit(40, ids) == [Known(position, "pending", 0) for position in range(40)]
        journal.rows.reload()
        with journal.transaction() as rows:
            assert rows.admit(80, ids) == [Known(position, "pending", 0) for position in range(40)]


def test_an_input_that_has_changed(path: Path) -> None:
    """Items whose place is another's get one of their own, and no row is lost."""
    old, new = [bytes([number]) * 32 for number in range(3)], [bytes([number + 50]) * 32 for number in range(3)]
    with Journal.open(path) as journal:
        with journal.transaction() as rows:
            rows.admit(0, old)
        with journal.transaction() as rows:
            known = rows.admit(0, [*new, old[1]])
        assert [row.position for row in known] == [-1, -2, -3, 1]
        assert [row.state for row in known] == [None, None, None, "pending"]
    assert totals(path) == {"pending": 6}


def test_a_transaction_that_comes_to_nothing(path: Path) -> None:
    """Neither the file nor the memory keeps anything of it."""
    with Journal.open(path) as journal:
        with pytest.raises(IndexError), journal.transaction() as rows:
            rows.admit(0, [bytes(32)]).pop(1)
        with journal.transaction() as rows:
            assert rows.admit(0, [bytes(32)]) == [Known(0, None, 0)]


def test_what_was_never_sent_is_forgotten(path: Path) -> None:
    """A new item goes; one that had failed before has failed again; what is unknown stays unknown."""
    ids = {bytes([number]) * 32: number for number in range(3)}
    with Journal.open(path) as journal:
        with journal.transaction() as rows:
            rows.admit(0, list(ids)[:2])
            rows.settle([Settled(0, "failed", 1, "http_429", 5, 1.0), Settled(1, "unknown", 1, "http_503", 5, 1.0)])
        with journal.transaction() as rows:
            rows.admit(2, list(ids)[2:])
            rows.retake([0, 1])
        assert totals(path) == {"pending": 2, "unknown": 1}
        with journal.transaction() as rows:
            rows.release(ids)
            assert rows.admit(9, [list(ids)[2]]) == [Known(9, None, 0)]
    assert totals(path) == {"failed": 1, "pending": 1, "unknown": 1}


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        ("archived", "rejected", "archived"),
        ("already_archived", "unknown", "already_archived"),
        ("rejected", "failed", "rejected"),
        ("rejected", "archived", "archived"),
        ("unknown", "failed", "unknown"),
        ("unknown", "rejected", "rejected"),
        ("failed", "unknown", "unknown"),
        ("failed", "archived", "archived"),
    ],
)
def test_outcomes_from_elsewhere(path: Path, before: str, after: str, kept: str) -> None:
    """They can come in any order, and more than once: a more certain state stays."""
    first = Outcome(business_id=item(0).business_id, customer_id=item(0).customer_id, state=ItemState(before))
    second = attrs.evolve(first, state=ItemState(after), code="why", elapsed=0.5)
    with Journal.open(path) as journal:
        assert journal.record([first]) == 1
        changed = journal.record([second], {"next": "7"})
        assert changed == (kept == after)
        assert journal.run["next"] == "7"
    assert totals(path) == {kept: 1}


def test_a_view(path: Path) -> None:
    """It reads while the journal is written, in the input's order, and has no personal data."""
    with Journal.open(path) as journal:
        journal.reject_line(7, "email", "is missing")
        journal.record(
            Outcome(business_id=item(number, number % 2).business_id, customer_id=item(number).customer_id, state=state)
            for number, state in enumerate([ItemState.REJECTED, ItemState.ARCHIVED, ItemState.UNKNOWN])
        )
        with read_journal(path) as view:
            assert [row.state for row in view.not_archived()] == ["rejected", "unknown"]
            assert [row.customer_id for row in view.not_archived()] == [item(0).customer_id, item(2).customer_id]
            assert view.by_reason() == {("rejected", None): 1, ("unknown", None): 1}
            assert view.by_business()[item(0, 1).business_id] == {"archived": 1}
            assert [line.line for line in view.invalid_lines()] == [7]
            assert list(view.samples()) == []
            assert set(view.run) == {"created_at", "host", "id"}


def test_keys(path: Path) -> None:
    """They derive from the journal's id and the item's ids, in every session."""
    with Journal.open(path) as journal:
        key = journal.key_of(item(1).business_id, item(1).customer_id)
        assert key == str(uuid5(journal.id, f"{item(1).business_id}/{item(1).customer_id}"))
    with Journal.open(path) as journal:
        assert key == journal.key_of(item(1).business_id, item(1).customer_id)


# -- runs


async def test_a_run_is_resumed(path: Path) -> None:
    """What is final is neither sent nor given again, and all else is sent under the key that it had."""
    flaky = {item(number).customer_id for number in range(0, 20, 2)}
    api = Api(lambda number, customer: refusal(429, retry_after=10_000.0) if customer in flaky and not number else None)
    first = await all_of(archive_many(api, items(20), journal=path, stop=NEVER))
    assert states(first) == ["failed", "archived"] * 10
    assert totals(path) == {"archived": 10, "failed": 10}
    run = archive_many(api, [*items(22), item(21)], journal=path, stop=NEVER)
    second = await all_of(run)
    assert [result.index for result in second] == [*range(0, 20, 2), 20, 21]
    assert (run.snapshot().skipped, run.snapshot().duplicates) == (10, 1)
    assert {len(keys) for keys in api.keys.values()} == {1}
    assert None not in set[str | None]().union(*api.keys.values())
    with read_journal(path) as view:
        assert dict(view.totals()) == {"archived": 22}
        assert (view.run["sessions"], "finished_at" in view.run) == ("2", True)
        assert len(list(view.samples())) == 2


async def test_rejected_ones_again(path: Path) -> None:
    """They are sent again where that is asked for."""
    api = Api(lambda number, _: None if number else refusal(400, "validation_error"))
    assert states(await all_of(archive_many(api, items(3), journal=path, stop=NEVER))) == ["rejected"] * 3
    assert await all_of(archive_many(api, items(3), journal=path)) == []
    again = archive_many(api, items(3), journal=path, again=[ItemState.REJECTED])
    assert states(await all_of(again)) == ["archived"] * 3


async def test_what_is_unknown_is_asked_about_first(path: Path) -> None:
    """A resumed run sends nothing for a customer that turns out archived, and the rest as before."""
    api = Api(lambda number, _: None if number else refusal(501))
    assert states(await all_of(archive_many(api, items(4), journal=path, stop=NEVER))) == ["unknown"] * 4
    api.archived.add(item(1).customer_id)
    results = await all_of(archive_many(api, items(4), journal=path))
    assert states(results) == ["archived"] * 4
    assert (api.calls[item(1).customer_id], api.calls[item(2).customer_id]) == (1, 2)
    assert set(api.questions.values()) == {1}
    assert [result.attempts for result in results] == [2, 1, 2, 2]


async def test_a_refusal_in_a_later_session(path: Path) -> None:
    """It is not final while what an earlier session lost may still arrive; afterwards it is."""
    api = Api(lambda number, _: refusal(409, "conflict") if number else refusal(501))
    await all_of(archive_many(api, items(1), journal=path, stop=NEVER))
    assert states(await all_of(archive_many(api, items(1), journal=path))) == ["unknown"]
    assert states(await all_of(archive_many(api, items(1), journal=path, request_lifetime=0.0))) == ["rejected"]


async def test_a_cut_call_is_unknown(path: Path) -> None:
    """Closing a run early leaves what was in flight as unknown, and no trace of what was not sent."""
    api = Api(hold=asyncio.Event())
    async with leaving_nothing():
        run = archive_many(api, items(300), concurrency=5, journal=path)
        first = asyncio.ensure_future(anext(run, None))
        await until(lambda: api.under_way == 5)
        await run.aclose()
        assert await first is None
    with read_journal(path) as view:
        assert dict(view.totals()) == {"unknown": 5}
        assert view.by_reason() == {("unknown", "interrupted"): 5}
        assert view.run["stopped_reason"] == "interrupted"


async def test_a_stopped_run(path: Path) -> None:
    """All that was sent is in the journal, with the reason, and nothing else."""
    api = Api(lambda _, customer: refusal(401) if customer == item(30).customer_id else None)
    results, _ = await until_it_stops(archive_many(api, items(1000), concurrency=4, journal=path), BulkStoppedError)
    with read_journal(path) as view:
        assert sum(view.totals().values()) == len(results) == len(api.calls)
        assert view.run["stopped_reason"] == "credentials_refused"


async def test_two_runs_on_one_journal(path: Path) -> None:
    """The second sends nothing."""
    api = Api()
    with Journal.open(path) as journal:
        with pytest.raises(JournalBusyError):
            await all_of(archive_many(api, items(3), journal=path))
        assert not api.calls
        assert len(await all_of(archive_many(api, items(3), journal=journal))) == 3
        assert await all_of(archive_many(api, items(3), journal=journal)) == []


def _full(journal: Journal) -> None:
    (pages,) = journal._connection.execute("PRAGMA page_count").fetchone()
    journal._connection.execute(f"PRAGMA max_page_count = {pages}")


async def test_a_journal_that_can_no_longer_be_written(path: Path) -> None:
    """One sentence, and nothing that was archived is forgotten: it is in the error, and is asked about later."""
    api = Api(hold=asyncio.Event())
    with Journal.open(path) as journal:
        run = archive_many(api, items(500), concurrency=500, journal=journal)
        task = asyncio.create_task(all_of(run))
        await until(lambda: api.under_way == 500)
        journal._connection.execute("PRAGMA query_only = 1")
        assert api.hold is not None
        api.hold.set()
        with pytest.raises(JournalError, match="500 outcomes could not be written: a resumed run asks") as caught:
            await task
        assert len(caught.value.unrecorded) == 500
        assert set(states(caught.value.unrecorded)) == {"archived"}
        journal._connection.execute("PRAGMA query_only = 0")
    api.calls.clear()
    results = await all_of(archive_many(api, items(500), journal=path))
    assert states(results) == ["archived"] * 500
    assert (len(api.calls), len(api.questions)) == (0, 500)


def test_a_disk_that_is_full(path: Path) -> None:
    """SQLite's own error becomes advice, and what was written before is there."""
    with Journal.open(path) as journal:
        journal.record([Outcome(business_id=UUID(int=1), customer_id=UUID(int=1), state=ItemState.ARCHIVED)])
        _full(journal)
        with pytest.raises(JournalError, match="the disk is full: make room, and resume"):
            journal.record(
                Outcome(business_id=UUID(int=1), customer_id=UUID(int=n), state=ItemState.ARCHIVED) for n in range(5000)
            )
        journal._connection.execute("PRAGMA max_page_count = 1000000")
    assert totals(path) == {"archived": 1}


async def test_a_journal_that_is_deleted(path: Path) -> None:
    """The run notices with the next transaction, and gives no result that it cannot keep."""

    def going() -> Iterator[ArchiveItem]:
        for number in range(5000):
            if number == 2000:
                path.unlink()
            yield item(number)

    given, error = await until_it_stops(archive_many(Api(), going(), journal=path), JournalError)
    assert "was deleted or replaced while it was being written" in str(error)
    assert len(given) <= 2000


async def test_memory_keeps_no_journal_open(path: Path) -> None:
    """A run that is left early lets go of its journal."""
    api = Api(lambda _, __: lost())
    async with archive_many(api, items(50), journal=path) as run:
        assert run.snapshot().done == 0
    Journal.open(path).close()


async def test_a_result_is_given_only_when_it_is_committed(path: Path) -> None:
    """At the moment of a result, a reader of the file finds it there, so that a kill can no longer undo it."""
    query = "SELECT state FROM items WHERE position = ?"
    seen = 0
    async with archive_many(Api(), items(300), journal=path, concurrency=5) as run:
        async for result in run:
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reader:
                assert reader.execute(query, (result.index,)).fetchone() == (result.state.value,)
            seen += 1
    assert seen == 300
