"""Allows one writer for each journal, and tells whether there is one; a killed process leaves no lock behind."""

import contextlib
import sqlite3
import stat
import threading
from pathlib import Path
from typing import Final

from thredfi_async.bulk.errors import JournalBusyError, JournalError
from thredfi_async.bulk.journal.files import create_private, identity_of, translated
from thredfi_async.bulk.ownership import is_private, problem_of

_SUFFIX: Final = "-lock"
_TRIES: Final = 10
_PATIENCE: Final = 0.25
"""Seconds to wait for one who looks whether the lock is held, which takes a moment; a writer holds it for longer."""
_MAKING: Final = threading.Lock()


class WriterLock:
    """Held for as long as a journal is open for writing; the system frees it when the process ends, however it does.

    It is SQLite's own exclusive lock on an empty file beside the journal: portable, and without effect on the journal's
    readers. A lock on the journal itself, from a descriptor of ours, would end SQLite's own locks
    on it when that descriptor is closed (POSIX drops a process's locks on a file with any of its descriptors).

    Args:
        journal: The journal's real path, which all its names lead to.
        named: The journal as it was named, for messages.

    Raises:
        JournalBusyError: Another writer holds it.
        JournalError: The file cannot be made.
    """

    def __init__(self, journal: str, named: str) -> None:
        """Take the lock."""
        self._journal = named
        self._file = Path(f"{journal}{_SUFFIX}")
        # One thread at a time: to close a file drops this process's locks on it, and making it ends in that.
        with _MAKING, translated(named, "written"):
            self._connection = self._acquire()

    def release(self) -> None:
        """Release the lock and remove its file; a second call does nothing."""
        is_open_here = False
        with contextlib.suppress(sqlite3.ProgrammingError, OSError):
            # Remove it while it is held: a process that has opened it meanwhile sees that it is gone, and tries again.
            self._connection.execute("SELECT 1")
            try:
                self._file.unlink()
            except PermissionError:
                is_open_here = True
        self._connection.close()
        if is_open_here:
            # Windows removes no file that is open: neither before this one is closed, nor when another process has
            # opened it since. That one then removes it.
            with contextlib.suppress(OSError):
                self._file.unlink()

    def _acquire(self) -> sqlite3.Connection:
        for _ in range(_TRIES):
            self._make_private()
            before = identity_of(self._file)
            connection = sqlite3.connect(self._file, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
            try:
                connection.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                connection.close()
                if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                    raise self._busy() from None
                raise
            if before is not None and before == identity_of(self._file):
                return connection
            # It was new, or its holder removed it in between: others may find another file than the locked one.
            connection.close()
        raise JournalError(f"{self._file} comes and goes: is another program at work in its folder?")

    def _make_private(self) -> None:
        """Make the file for this user alone: SQLite would let others read it, and who can read a file can lock it."""
        with contextlib.suppress(FileExistsError):
            create_private(str(self._file))
        try:
            found = self._file.lstat()
        except FileNotFoundError:  # its holder has just released it
            return
        problem = problem_of(found)
        if problem is not None:
            raise JournalError(f"{self._file}, the lock of the journal {self._journal}, {problem}: remove it")
        if not is_private(found):
            self._file.chmod(0o600)

    def _busy(self) -> JournalBusyError:
        return JournalBusyError(
            f"the journal {self._journal} is being written by another run: wait for its end, or name another journal"
        )


def is_locked(journal: str) -> bool:
    """Return whether a process has a journal open for writing; nothing is left behind, and no writer is kept out.

    Args:
        journal: The journal's real path.
    """
    file = Path(f"{journal}{_SUFFIX}")
    try:
        if not stat.S_ISREG(file.lstat().st_mode):
            return False
        with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=0.0)) as connection:
            connection.execute("SELECT 1 FROM sqlite_schema").fetchall()
    except OSError:
        return False
    except sqlite3.Error as error:
        return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
    return False
