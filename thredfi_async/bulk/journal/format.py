"""Checks that a database is a journal of this version, with nothing in it that a run does not write."""

import datetime as dt
import functools
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

from thredfi_async.bulk.errors import JournalError
from thredfi_async.bulk.journal.files import NOT_OURS
from thredfi_async.bulk.journal.schema import APPLICATION_ID, TABLES, VERSION
from thredfi_async.bulk.journal.settings import KEY, RunSettings
from thredfi_async.bulk.reading_options import READING, ReadingOptions

LONGEST: Final = 1 << 20
"""Most bytes of a value, so that a handmade one fills no memory."""
_NUMBERS: Final = ("sessions", "source_size", "source_records", "outcomes_next")
_TIMES: Final = ("created_at", "finished_at")
_DIGITS: Final = 18
_YEARS: Final = range(1971, 9999)


def distrusting(connection: sqlite3.Connection) -> None:
    """Keep a connection from doing what a handmade database asks for, before anything is read from it."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")


def check_format(connection: sqlite3.Connection, path: str) -> None:
    """Check that the file is a journal that this version can read.

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
    if frozenset(_plain(*row) for row in found) != _expected():
        raise JournalError(f"the journal {path} cannot be read: {NOT_OURS}")


def check_facts(facts: Mapping[str, object], path: str) -> Mapping[str, str]:
    """Check what a journal says of its run, so that its readers need not.

    Args:
        facts: The table `run`.
        path: The journal, for messages.

    Returns:
        The facts.

    Raises:
        JournalError: One of them is nothing that a run writes.
    """
    for name, fact in facts.items():
        if not _is_fact(name, fact):
            shown = f"its fact {name}" if name in _CHECKS else "a fact about its run"
            raise JournalError(f"the journal {path} cannot be read: {shown} is wrong; {NOT_OURS}")
    return {name: str(fact) for name, fact in facts.items()}


def _is_fact(name: str, fact: object) -> bool:
    try:
        if isinstance(fact, str):
            _CHECKS.get(name, str)(fact)
    except (ValueError, RecursionError):
        return False
    return isinstance(fact, str)


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


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS):
        raise ValueError
    return int(text)


def _time(text: str) -> dt.datetime:
    time = dt.datetime.fromisoformat(text)
    if time.year not in _YEARS:
        raise ValueError
    return time


_CHECKS: Final[Mapping[str, Callable[[Any], object]]] = {
    "id": UUID,
    KEY: RunSettings.of,
    READING: ReadingOptions.of,
    **dict.fromkeys(_NUMBERS, _number),
    **dict.fromkeys(_TIMES, _time),
}
