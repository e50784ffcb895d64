"""Checks that a database is a journal of this version, with nothing in it that a run does not write."""

import functools
import sqlite3
from typing import Final

from thredfi_async.bulk.errors import JournalError
from thredfi_async.bulk.journal.files import NOT_OURS
from thredfi_async.bulk.journal.schema import APPLICATION_ID, TABLES, VERSION
from thredfi_async.bulk.journal.soundness import is_sound

LONGEST: Final = 1 << 20
"""Most bytes of a value, so that a handmade one fills no memory."""


def distrusting(connection: sqlite3.Connection) -> None:
    """Keep a connection from doing what a handmade database asks for, before anything is read from it."""
    # Text that is not UTF-8 is text all the same, whichever command comes upon it.
    connection.text_factory = _text
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")


def check_format(connection: sqlite3.Connection, path: str) -> None:
    """Check that the file is a journal that this version can read, with nothing in it that a run does not write.

    Raises:
        JournalError: It is not.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise JournalError(f"{path} is no journal of a bulk run, but something else's database: name another file")
    if version != VERSION:
        other = "a newer" if version > VERSION else "an older"
        raise JournalError(
            f"the journal {path} has format {version}, of {other} thredfi-async, and this one knows {VERSION}: "
            "go on with the version that wrote it, or begin a new journal; customers that are archived stay so"
        )
    found = connection.execute(_SCHEMA, (len(_expected()) + 1,)).fetchall()
    if frozenset(_plain(*row) for row in found) != _expected() or not is_sound(connection):
        raise JournalError(f"the journal {path} cannot be read: {NOT_OURS}")


_SCHEMA: Final = "SELECT type, name, substr(sql, 1, 4000) FROM sqlite_schema LIMIT ?"


@functools.cache
def _expected() -> frozenset[tuple[str, str, str]]:
    connection = sqlite3.connect(":memory:")
    try:
        connection.executescript(TABLES)
        return frozenset(_plain(*row) for row in connection.execute(_SCHEMA, (-1,)))
    finally:
        connection.close()


def _plain(kind: object, name: object, sql: object) -> tuple[str, str, str]:
    """Return an entry of the schema without comments and line breaks: a table, no view and no trigger, by its text."""
    lines = (line.partition("--")[0] for line in str(sql).splitlines())
    return str(kind), str(name), " ".join(" ".join(lines).split())
