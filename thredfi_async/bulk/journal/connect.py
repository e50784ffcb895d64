"""Opens a journal for its one writer, and makes one that is missing."""

import datetime as dt
import platform
import sqlite3
from pathlib import Path
from typing import Final
from uuid import uuid4

from thredfi_async.bulk.errors import JournalError
from thredfi_async.bulk.journal import statements
from thredfi_async.bulk.journal.files import create_private, uri_of
from thredfi_async.bulk.journal.format import check_format, distrusting
from thredfi_async.bulk.journal.schema import APPLICATION_ID, TABLES, VERSION
from thredfi_async.bulk.journal.trust import require_own

_OLDEST_SQLITE: Final = (3, 37)  # the first with STRICT tables
# NORMAL: the log is not synced with every commit. A kill loses nothing, since what was written is the system's; a power
# cut may take the last moments' commits with it, whole ones, so that these items are asked for or sent again under the
# same keys. FULL would sync fifty times a second for that. A checkpoint syncs, and closing the journal ends in one.
_PRAGMAS: Final = ("PRAGMA synchronous = NORMAL", "PRAGMA wal_autocheckpoint = 4000", "PRAGMA cache_size = -8000")


def require_sqlite() -> None:
    """Refuse an SQLite that is too old.

    Raises:
        JournalError: It is.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        needed = ".".join(map(str, _OLDEST_SQLITE))
        raise JournalError(
            f"a journal needs SQLite {needed} or newer, and this Python has {sqlite3.sqlite_version}: use a Python "
            "that brings its own, such as one that `uv python install` makes"
        )


def connect(path: str) -> sqlite3.Connection:
    """Open a journal for writing; make it if it is missing, or empty.

    Args:
        path: Its real path, which the caller has locked.

    Returns:
        The connection, in autocommit mode.

    Raises:
        JournalError: It is foreign, of another format, or another user can have written it.
        sqlite3.Error: It cannot be opened.
        OSError: It cannot be made.
    """
    new = not Path(path).exists()
    if new:
        create_private(path)
    uri = uri_of(path, mode="rw")
    require_own(path)
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=5.0)
    try:
        distrusting(connection)
        # An empty file counts as a new one: a run that was killed in its first moment leaves it behind.
        if Path(path).stat().st_size == 0:
            _create_tables(connection)
        check_format(connection, path)
        _log_ahead(connection, path)
        for pragma in _PRAGMAS:
            connection.execute(pragma)
    except BaseException:
        connection.close()
        if new:
            Path(path).unlink(missing_ok=True)
        raise
    return connection


def _log_ahead(connection: sqlite3.Connection, path: str) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise JournalError(
            f"the journal {path} cannot be written: its file system has no write-ahead log for SQLite, as on a network "
            "disk (NFS, SMB): keep the journal on a local disk instead"
        )


def _create_tables(connection: sqlite3.Connection) -> None:
    facts = {
        "id": str(uuid4()),
        "created_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "host": platform.node(),
    }
    connection.executescript(
        f"BEGIN; {TABLES} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION};"
    )
    connection.executemany(statements.DESCRIBE, facts.items())
    connection.execute("COMMIT")
