"""Finds the journal's file, makes it private, and explains its errors."""

import contextlib
import os
import sqlite3
import stat
from collections.abc import Generator
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

from thredfi_async.bulk.errors import JournalError

Action = Literal["read", "written"]

NOT_OURS: Final = "it holds what no run writes, so it is damaged, or something else's: name another file"
BESIDE: Final = ("-wal", "-shm", "-journal")
"""Endings of the files that SQLite reads with a journal: who writes one of them writes the journal."""
_NETWORK_DISK: Final = "on a network disk (NFS, SMB), keep the journal on a local disk instead"

_BY_CODE: Final = {
    sqlite3.SQLITE_FULL: "the disk is full: make room, and resume",
    sqlite3.SQLITE_READONLY: "the disk or the file is read-only: make it writable, and resume",
    sqlite3.SQLITE_CANTOPEN: "the file or its folder cannot be opened: look at the path and at its permissions",
    sqlite3.SQLITE_PERM: "permission is denied: look at the file's owner and mode",
    sqlite3.SQLITE_NOTADB: "it is not an SQLite database: name another file",
    sqlite3.SQLITE_CORRUPT: "it is damaged: keep it, and look at it with `sqlite3 FILE .recover`",
    sqlite3.SQLITE_IOERR: f"the disk reports an error: {_NETWORK_DISK}; else look at the system's log",
    sqlite3.SQLITE_PROTOCOL: f"its file system does not lock files as SQLite needs it: {_NETWORK_DISK}",
    sqlite3.SQLITE_NOLFS: "its file system takes no file of this size: keep the journal on another disk",
    sqlite3.SQLITE_BUSY: "another program holds it: close that, and resume",
    sqlite3.SQLITE_LOCKED: "another program holds it: close that, and resume",
    sqlite3.SQLITE_INTERRUPT: NOT_OURS,
    sqlite3.SQLITE_TOOBIG: NOT_OURS,
    sqlite3.SQLITE_MISMATCH: NOT_OURS,
    sqlite3.SQLITE_CONSTRAINT: NOT_OURS,
    # Its text may quote what the file holds.
    sqlite3.SQLITE_ERROR: NOT_OURS,
}


@contextlib.contextmanager
def translated(path: str, action: Action) -> Generator[None]:
    """Turn SQLite's and the system's errors into one clear sentence.

    Raises:
        JournalError: In place of either.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise JournalError(f"the journal {path} cannot be {action}: {_why(error)}") from error
    except OSError as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        why = _BY_CODE[sqlite3.SQLITE_CANTOPEN] if missing else error.strerror or type(error).__name__
        raise JournalError(f"the journal {path} cannot be {action}: {why}") from error


def _why(error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        # From Python's own module: text that is not UTF-8, whose bytes its message quotes.
        return NOT_OURS
    return _BY_CODE.get(code & 0xFF, f"SQLite reports {getattr(error, 'sqlite_errorname', code)}")


def located(path: str | os.PathLike[str]) -> str:
    """Return a journal's real path, absolute and without symbolic links.

    SQLite names the files beside it after that one, so that the lock has to, too; and a process may change its folder.

    Raises:
        JournalError: It cannot be told, as in a folder that is gone.
    """
    with translated(os.fspath(path), "read"):
        return str(Path(path).resolve())


def uri_of(path: str, *, mode: Literal["ro", "rw"]) -> str:
    """Return a path as SQLite's URI; neither mode creates a file.

    Raises:
        JournalError: There is no such file, or it is a folder or another thing that is no file.
    """
    where = Path(path).absolute()
    try:
        kind = where.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise JournalError(f"there is no journal {path}: look at the path, or start the run that writes it") from None
    except OSError as error:
        raise JournalError(f"the journal {path} cannot be read: {error.strerror}") from None
    if stat.S_ISDIR(kind):
        raise JournalError(f"the journal {path} is a folder: name a file in it")
    # To open a pipe would wait for its other end, and SQLite opens the files beside a journal, too.
    if not stat.S_ISREG(kind):
        raise JournalError(f"the journal {path} is a pipe or a device: name a file")
    for beside in (f"{located(path)}{ending}" for ending in BESIDE):
        if os.path.exists(beside) and not os.path.isfile(beside):  # noqa: PTH110, PTH113 - a link leads to what it is
            raise JournalError(
                f"the journal {path} cannot be read: {beside} is a pipe, a device or a folder: remove it"
            )
    return f"file:{quote(os.fsencode(where))}?mode={mode}"


def create_private(path: str) -> None:
    """Create the file, empty, for its owner alone; SQLite gives the same mode to what it puts beside it."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def identity_of(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """Return what tells a file from every other one, whatever its name is; None if there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - as a pair that can be compared
    except OSError:
        return None
    return found.st_dev, found.st_ino
