"""Allows one writer for each journal; a killed process leaves no lock behind."""

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Final

from thredfi_async.bulk.errors import JournalBusyError, JournalError
from thredfi_async.bulk.journal.files import translated

_SUFFIX: Final = "-lock"
_TRIES: Final = 10


class WriterLock:
    """Held for as long as a journal is open for writing; the system frees it when the process ends, however it does.

    It is SQLite's own exclusive lock on an empty file beside the journal: portable, and without effect on the journal's
    readers. A lock on the journal itself, from a descriptor of ours, would end SQLite's own locks
    on it when that descriptor is closed (POSIX drops a process's locks on a file with any of its descriptors).

    Args:
        journal: The journal's path.

    Raises:
        JournalBusyError: Another writer holds it.
        JournalError: The file cannot be made.
    """

    def __init__(self, journal: str) -> None:
        """Take the lock."""
        self._journal = journal
        self._file = Path(f"{journal}{_SUFFIX}")
        with translated(journal, "written"):
            self._connection = self._acquire()

    def release(self) -> None:
        """Release the lock and remove its file; a second call does nothing."""
        with contextlib.suppress(sqlite3.ProgrammingError, OSError):
            # Remove it while it is held: a process that has opened it meanwhile sees that it is gone, and tries again.
            self._connection.execute("SELECT 1")
            self._file.unlink()
        self._connection.close()

    def _acquire(self) -> sqlite3.Connection:
        for _ in range(_TRIES):
            before = self._identity()
            connection = sqlite3.connect(self._file, timeout=0.0, isolation_level=None, check_same_thread=False)
            try:
                connection.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                connection.close()
                if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                    raise self._busy() from None
                raise
            if before is not None and before == self._identity():
                return connection
            # It was new, or its holder removed it in between: others may find another file than the locked one.
            connection.close()
        raise JournalError(f"{self._file} comes and goes: is another program at work in its folder?")

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._file)  # noqa: PTH116 - as `os.fstat` gives it
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def _busy(self) -> JournalBusyError:
        return JournalBusyError(
            f"the journal {self._journal} is being written by another run: wait for its end, or name another journal"
        )
