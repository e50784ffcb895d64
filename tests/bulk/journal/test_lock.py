"""Who writes a journal can be told from outside, and telling it disturbs no one."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from open_files import lock_open_files

from thredfi_async.bulk import Journal, JournalBusyError, read_journal
from thredfi_async.bulk.journal.lock import is_locked

HOLD = (
    "import sys; from thredfi_async.bulk import Journal; j = Journal.open(sys.argv[1]); print('.', flush=True); input()"
)


def held(path: Path) -> bool:
    """Return whether a journal is being written, as its readers tell."""
    with read_journal(path) as view:
        return view.is_being_written


def test_a_writer_in_this_process(tmp_path: Path) -> None:
    """It is there for as long as the journal is open, also by another name, and looking changes nothing."""
    path = tmp_path / "run.db"
    with Journal.open(path):
        (tmp_path / "link.db").symlink_to(path)
        before = sorted(each.name for each in tmp_path.iterdir())
        assert held(path)
        assert held(tmp_path / "link.db")
        assert sorted(each.name for each in tmp_path.iterdir()) == before
    assert not held(path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["link.db", "run.db"]


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal")
def test_a_writer_that_is_killed(tmp_path: Path) -> None:
    """Another process is seen; once it is killed, the lock's file is left behind and says nothing."""
    path = tmp_path / "run.db"
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert held(path)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert path.with_name("run.db-lock").exists()
    assert not held(path)
    Journal.open(path).close()


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes there")
def test_a_lock_that_is_none(tmp_path: Path) -> None:
    """A pipe, a link, nonsense or nothing in its place is no writer, and is not waited for."""
    lock = tmp_path / "run.db-lock"
    assert not is_locked(str(tmp_path / "run.db"))
    os.mkfifo(lock)
    assert not is_locked(str(tmp_path / "run.db"))
    lock.unlink()
    lock.symlink_to(tmp_path / "elsewhere")
    assert not is_locked(str(tmp_path / "run.db"))
    lock.unlink()
    lock.write_bytes(b"nonsense" * 500)
    assert not is_locked(str(tmp_path / "run.db"))


def test_looking_keeps_no_writer_out(tmp_path: Path) -> None:
    """While many look all the time, a journal can be opened as often as wanted."""
    path = tmp_path / "run.db"
    Journal.open(path).close()
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            is_locked(str(path))

    lookers = [threading.Thread(target=look) for _ in range(3)]
    for each in lookers:
        each.start()
    try:
        for _ in range(20):
            Journal.open(path).close()
    finally:
        ended.set()
        for each in lookers:
            each.join()


def test_the_lock_goes_where_open_files_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows, too, a run that has ended leaves its journal behind, and nothing else."""
    lock_open_files(monkeypatch)
    path = tmp_path / "run.db"
    for _ in range(2):
        with Journal.open(path):
            assert held(path)
            with pytest.raises(JournalBusyError):
                Journal.open(path)
        assert [each.name for each in tmp_path.iterdir()] == ["run.db"]


def test_a_lock_that_another_process_has_opened_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one who has opened it meanwhile removes it: on Windows no one else can, and it keeps no one out."""
    lock_open_files(monkeypatch)
    path, lock = tmp_path / "run.db", tmp_path / "run.db-lock"
    journal = Journal.open(path)
    with lock.open("rb"):
        journal.close()
        assert lock.exists()
    assert not held(path)
    Journal.open(path).close()
    assert not lock.exists()
