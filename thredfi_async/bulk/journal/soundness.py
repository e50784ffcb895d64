"""Checks every value of a journal's tables at once: a damaged or handmade file may hold anything anywhere.

It is done when the file is opened, so that no command meets a value that another one would have refused before.
SQLite's own `quick_check` does not look at values of a file that is opened for reading.
"""

import sqlite3
from collections.abc import Mapping
from typing import Final

from thredfi_async._jobs.states import ItemState
from thredfi_async.bulk.journal.schema import PENDING

_STATES: Final = ", ".join(f"'{state}'" for state in (*ItemState, PENDING))
_MOST: Final = 2**53
"""Beyond it, JSON's readers no longer tell integers apart."""
# SQLite sorts numbers before text, and text before blobs, so that comparing tells them apart.
_NUMBER: Final = f"{{0}} BETWEEN -{_MOST} AND {_MOST}"
_COUNT: Final = f"{{0}} BETWEEN 0 AND {_MOST}"
# Until the end of the year 9998, of which a date can be made.
_TIME: Final = "{0} BETWEEN 0 AND 253370764800"
_TEXT: Final = "{0} >= '' AND {0} < x''"
_ID: Final = "{0} >= x'' AND length({0}) = 16"
_FLAG: Final = "{0} IN (0, 1)"


def _or_null(check: str) -> str:
    return f"{{0}} IS NULL OR ({check})"


_COLUMNS: Final[Mapping[str, Mapping[str, str]]] = {
    "run": {"key": _TEXT, "value": _TEXT},
    "items": {
        "position": _NUMBER,
        "business_id": _ID,
        "customer_id": _ID,
        "state": f"{{0}} IN ({_STATES})",
        "session": _COUNT,
        "attempts": _COUNT,
        "code": _or_null(_TEXT),
        "elapsed_ms": _or_null(_COUNT),
        "ended_at": _or_null(_TIME),
        "indexed": _FLAG,
        "line": _or_null(_COUNT),
    },
    "samples": {
        "at": _TIME,
        **dict.fromkeys(("done", "archived", "already_archived", "rejected", "failed", "unknown"), _COUNT),
        **dict.fromkeys(("in_flight", "concurrency", "requests", "retries"), _COUNT),
        "cooldown": _TIME,
        "paused": _FLAG,
        **dict.fromkeys(("p50_ms", "p90_ms", "p99_ms"), _or_null(_COUNT)),
    },
    "invalid_lines": {"line": _COUNT, "column": _or_null(_TEXT), "reason": _TEXT},
}


def _query(table: str, columns: Mapping[str, str]) -> str:
    sound = " AND ".join("(" + check.format(f'"{name}"') + ")" for name, check in columns.items())
    return f"SELECT 1 FROM {table} WHERE ({sound}) IS NOT TRUE LIMIT 1"  # noqa: S608 - names and numbers of this module


_QUERIES: Final = tuple(_query(table, columns) for table, columns in _COLUMNS.items())


def is_sound(connection: sqlite3.Connection) -> bool:
    """Return whether every value of every table is one that a run writes.

    It reads all rows, a second for a million items.

    Args:
        connection: To a file whose schema is a journal's.
    """
    return not any(connection.execute(query).fetchone() for query in _QUERIES)
