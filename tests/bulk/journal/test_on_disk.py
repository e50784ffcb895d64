"""The journal on disk: where it is, who writes it, and what a copy of it holds."""

import contextlib
import functools
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from bulk_api import Api, all_of, item, items, states

from thredfi_async.bulk import ArchiveItem, Journal, JournalBusyError, JournalError, archive_many, read_journal
from thredfi_async.bulk.journal import Outcome as ItemOutcome
from thredfi_async.bulk.journal.checkpoint import INTERVAL
from thredfi_async.bulk.journal.files import translated
from thredfi_async.bulk.journal.reserve import SIZE
from thredfi_async.bulk.journal_verdict import verdict_in
from thredfi_async.bulk.verdict import Outcome

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="no such links there")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a journal may be."""
    return tmp_path / "run.db"


def totals(path: Path) -> dict[str, int]:
    """What a journal says."""
    with read_journal(path) as view:
        return dict(view.totals())


def outcome(number: int) -> ItemOutcome:
    """Return the outcome of an item that was archived."""
    return ItemOutcome(business_id=UUID(int=1), customer_id=UUID(int=number), state="archived")


def copied(path: Path) -> Path:
    """Copy the journal's file alone, as people do."""
    return Path(shutil.copy(path, path.with_name("copy.db")))


# -- where it is


async def test_a_relative_path_and_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal stays where it was when the run was made, wherever the process goes before and during it."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)

    def going() -> Iterator[ArchiveItem]:
        for number in range(300):
            if number == 100:
                os.chdir(tmp_path)
            yield item(number)

    run = archive_many(Api(), going(), journal="run.db")
    monkeypatch.chdir("elsewhere")
    assert states(await all_of(run)) == ["archived"] * 300
    assert totals(tmp_path / "run.db") == {"archived": 300}
    assert not list((tmp_path / "elsewhere").iterdir())


def test_an_open_journal_and_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal that was opened by a relative path says where it is, and goes on."""
    monkeypatch.chdir(tmp_path)
    with Journal.open("run.db") as journal:
        monkeypatch.chdir("/")
        journal.record([outcome(1)])
        assert journal.path == str((tmp_path / "run.db").resolve())
    assert os.listdir(tmp_path) == ["run.db"]  # noqa: PTH208 - names


@POSIX
def test_a_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path in a folder that was deleted is refused in a sentence."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(JournalError, match=r"the journal run\.db cannot be"):
        Journal.open("run.db")
    with pytest.raises(JournalError, match=r"run\.db cannot be"):
        read_journal("run.db")


# -- one writer


@POSIX
def test_two_writers_through_a_symbolic_link(path: Path) -> None:
    """A journal has one lock, whichever name leads to it: of the file or of a folder above it."""
    path.with_name("link.db").symlink_to(path)
    (path.parent / "folder").symlink_to(path.parent)
    with Journal.open(path), pytest.raises(JournalBusyError, match=r"link\.db is being written"):
        Journal.open(path.with_name("link.db"))
    with Journal.open(path.with_name("link.db")), pytest.raises(JournalBusyError):
        Journal.open(path.parent / "folder" / "run.db")
    assert totals(path) == {}


@POSIX
def test_two_writers_through_a_hard_link(path: Path) -> None:
    """SQLite gives each name of a file a log of its own: a journal with two names is written under neither."""
    other = path.with_name("other.db")
    with Journal.open(path) as journal:
        journal.record([outcome(1)])
        other.hardlink_to(path)
        with pytest.raises(JournalError, match=r"other.db has a second name, a hard link"):
            Journal.open(other)
        journal.record([outcome(2)])
    with pytest.raises(JournalError, match=r"run.db has a second name, a hard link"):
        Journal.open(path)
    other.unlink()
    with Journal.open(path):
        assert totals(path) == {"archived": 2}


def test_a_second_writer_in_this_process_frees_nothing(path: Path) -> None:
    """To be refused closes no file that the first writer has locked: a third one elsewhere is refused, too."""
    with Journal.open(path):
        with pytest.raises(JournalBusyError):
            Journal.open(path)
        script = f"from thredfi_async.bulk import Journal; Journal.open({str(path)!r})"
        run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert "JournalBusyError" in run.stderr


# -- copies


def test_a_copy_made_during_a_run(path: Path) -> None:
    """The file alone lacks what the last seconds brought, and no more."""
    now = 0.0
    with Journal.open(path, clock=lambda: now) as journal:
        journal.record([outcome(1)])
        assert totals(copied(path)) == {}
        now = INTERVAL
        journal.record([outcome(2)])
        assert totals(copied(path)) == {"archived": 2}
        journal.record([outcome(3)])
        assert totals(copied(path)) == {"archived": 2}
        now = 2 * INTERVAL
        journal.record([outcome(4)])
        assert totals(copied(path)) == {"archived": 4}


async def test_a_copy_made_at_once(path: Path) -> None:
    """A copy of the file alone, made in the first moment, says which run it is of, and how that stands."""
    with Journal.open(path) as journal:
        journal.describe(source_path="customers.csv", source_records=300)
        run = archive_many(Api(), items(300), journal=journal)
        await anext(run)
        with read_journal(copied(path)) as view:
            assert (
                view.run.items() >= {"source_path": "customers.csv", "source_records": "300", "sessions": "1"}.items()
            )
            found = verdict_in(view)
        assert (found.outcome, found.exit_code) == (Outcome.UNFINISHED, 4)
        await run.aclose()
        assert journal.run["stopped_reason"] == "interrupted"
        with read_journal(copied(path)) as view:
            assert view.run["stopped_reason"] == "interrupted"


def test_a_program_that_has_it_open_at_the_end(path: Path) -> None:
    """One that reads nothing just now keeps the log's file, which is empty: the journal is complete."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as browser:
        with Journal.open(path) as journal:
            browser.execute("SELECT count(*) FROM items").fetchall()
            journal.record([outcome(1)])
        assert journal.belongs_together == ()
        assert totals(copied(path)) == {"archived": 1}


def test_a_program_that_reads_at_the_end(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One that keeps reading keeps the log, too: the files that belong together are named, and no other time."""
    journal = Journal.open(path, readers_wait=0.0)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as browser:
        browser.execute("BEGIN")
        browser.execute("SELECT count(*) FROM items").fetchall()
        journal.record([outcome(1)])
        journal.close()
        assert journal.belongs_together == (journal.path, f"{journal.path}-wal")
        assert "is complete only together with" in caplog.text
        assert totals(copied(path)) == {}
        together = path.with_name("both.db")
        shutil.copy(path, together)
        shutil.copy(f"{path}-wal", f"{together}-wal")
        assert totals(together) == {"archived": 1}
    with Journal.open(path) as journal:
        pass
    assert journal.belongs_together == ()
    assert totals(copied(path)) == {"archived": 1}


def test_the_end_waits_for_a_reader(path: Path) -> None:
    """A reader that ends within the wait leaves one file behind, with everything in it."""
    journal = Journal.open(path, readers_wait=60.0)
    browser = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    browser.execute("BEGIN")
    browser.execute("SELECT count(*) FROM items").fetchall()
    journal.record([outcome(1)])
    closing = threading.Thread(target=journal.close)
    closing.start()
    browser.close()
    closing.join()
    assert journal.belongs_together == ()
    assert os.listdir(path.parent) == ["run.db"]  # noqa: PTH208 - names


# -- disks


class NoLog(sqlite3.Connection):
    """A connection over a file system without shared memory, where SQLite stays without a log."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Answer as SQLite does there."""
        return super().execute("SELECT 'delete'" if "journal_mode = WAL" in sql else sql, parameters)


def test_a_disk_without_a_log(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite refuses a log by saying nothing but another mode: the run does not begin, and names network disks."""
    monkeypatch.setattr(sqlite3, "connect", functools.partial(sqlite3.connect, factory=NoLog))
    with pytest.raises(JournalError, match=r"no write-ahead log .* network disk \(NFS, SMB\)"):
        Journal.open(path)
    assert not path.exists()


@pytest.mark.parametrize("code", ["SQLITE_PROTOCOL", "SQLITE_IOERR", "SQLITE_IOERR_SHMMAP", "SQLITE_IOERR_LOCK"])
def test_errors_of_network_disks(code: str) -> None:
    """Errors that network disks give name them, and the way out."""
    error = sqlite3.OperationalError("locking protocol")
    error.sqlite_errorcode = getattr(sqlite3, code)
    way_out = r"network disk \(NFS, SMB\), keep the journal on a local disk"
    with pytest.raises(JournalError, match=way_out), translated("run.db", "written"):
        raise error


def _no_checkpoint(action: int, name: str | None, *_: str | None) -> int:
    wanted = (action, name) == (sqlite3.SQLITE_PRAGMA, "wal_checkpoint")
    return sqlite3.SQLITE_DENY if wanted else sqlite3.SQLITE_OK


def test_a_full_disk_at_a_checkpoint(path: Path) -> None:
    """A log that cannot be moved stays where it is, and the run goes on; nothing that was written is lost."""
    now = 0.0
    with Journal.open(path, clock=lambda: now) as journal:
        journal.record([outcome(1)])
        now = INTERVAL
        # The disk refuses the checkpoint alone.
        journal._connection.set_authorizer(_no_checkpoint)
        journal.record([outcome(2)])
        journal._connection.set_authorizer(None)
        assert totals(path) == {"archived": 2}
    assert totals(copied(path)) == {"archived": 2}


def test_room_for_the_last_words(path: Path) -> None:
    """A full disk ends a run, and the room that was kept is given back for what is still to be written."""
    reserve = path.with_name("run.db-reserve")
    reserve.write_bytes(bytes(100))  # as a run that was killed may leave it
    with Journal.open(path) as journal:
        assert reserve.read_bytes() == bytes(SIZE)
        (pages,) = journal._connection.execute("PRAGMA page_count").fetchone()
        journal._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(JournalError, match="the disk is full"):
            journal.record(outcome(number) for number in range(5000))
        assert not reserve.exists()
        journal._connection.execute("PRAGMA max_page_count = 1000000")
        journal.finish("the disk is full")
    with read_journal(path) as view:
        assert view.run["stopped_reason"] == "the disk is full"
    Journal.open(path).close()
    assert not reserve.exists()
    reserve.write_bytes(b"somebody's own")
    Journal.open(path).close()
    assert reserve.read_bytes() == b"somebody's own"


async def test_a_run_on_a_journal_that_is_read_all_the_time(path: Path) -> None:
    """A reader keeps no outcome from being written."""
    with Journal.open(path) as journal, read_journal(path) as view:
        rows = view.not_archived()
        assert states(await all_of(archive_many(Api(), items(50), journal=journal))) == ["archived"] * 50
        assert list(rows) == []
        assert view.totals() == {"archived": 50}


def test_what_was_rolled_back_is_nowhere(path: Path) -> None:
    """An item whose transaction failed is new when it comes again, even if another one has its place by then."""
    one, other = bytes([1]) * 32, bytes([2]) * 32
    with Journal.open(path) as journal:
        with contextlib.suppress(ZeroDivisionError), journal.transaction() as rows:
            rows.admit(0, [one])
            raise ZeroDivisionError
        with journal.transaction() as rows:
            assert [each.state for each in rows.admit(0, [other])] == [None]
            assert [each.state for each in rows.admit(1, [one])] == [None]
