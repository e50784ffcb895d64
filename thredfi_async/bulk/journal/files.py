"""Creates and checks the journal's file, and explains its errors."""

import contextlib
import os
import sqlite3
from collections.abc import Generator
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

from thredfi_async.bulk.errors import JournalError
from thredfi_async.bulk.journal.schema import APPLICATION_ID, VERSION

Action = Literal["read", "written"]

_BY_CODE: Final = {
    sqlite3.SQLITE_FULL: "the disk is full: make room, and resume",
    sqlite3.SQLITE_READONLY: "the disk or the file is read-only: make it writable, and resume",
    sqlite3.SQLITE_CANTOPEN: "the file or its folder cannot be opened: look at the path and at its permissions",
    sqlite3.SQLITE_PERM: "permission is denied: look at the file's owner and mode",
    sqlite3.SQLITE_NOTADB: "it is not an SQLite database: name another file",
    sqlite3.SQLITE_CORRUPT: "it is damaged: keep it, and look at it with `sqlite3 FILE .recover`",
    sqlite3.SQLITE_IOERR: "the disk reports an error: look at the system's log",
    sqlite3.SQLITE_BUSY: "another program holds it: close that, and resume",
    sqlite3.SQLITE_LOCKED: "another program holds it: close that, and resume",
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
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        why = _BY_CODE.get(code, f"SQLite says: {error}")
        raise JournalError(f"the journal {path} cannot be {action}: {why}") from error
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise JournalError(f"the journal {path} cannot be {action}: {why}") from error


def uri_of(path: str, *, mode: Literal["ro", "rw"]) -> str:
    """Return a path as SQLite's URI; neither mode creates a file.

    Raises:
        JournalError: There is no such file, or it is a folder.
    """
    where = Path(path).absolute()
    if where.is_dir():
        raise JournalError(f"the journal {path} is a folder: name a file in it")
    if not where.exists():
        raise JournalError(f"there is no journal {path}: look at the path, or start the run that writes it")
    return f"file:{quote(str(where))}?mode={mode}"


def check_header(connection: sqlite3.Connection, path: str) -> None:
    """Check that the file is a journal that this version can read.

    Raises:
        JournalError: It is not.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise JournalError(f"{path} is no journal of a bulk run, but something else's database: name another file")
    if version > VERSION:
        raise JournalError(
            f"the journal {path} has schema {version}, and this thredfi-async knows {VERSION}: "
            "use the newer version that wrote it"
        )


def create_private(path: str) -> None:
    """Create the file, empty, for its owner alone; SQLite gives the same mode to what it puts beside it."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
