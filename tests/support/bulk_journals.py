"""Handmade journals of runs, for tests of code that reads them."""

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from uuid import UUID, uuid5

from thredfi_async.bulk.journal import schema

NAMESPACE = UUID(int=7)
BUSINESSES = [uuid5(NAMESPACE, f"business {number}") for number in range(30)]
BEGUN = 1_795_651_200.0  # 2026-11-26 00:00:00 UTC
RUN = {
    "id": str(UUID(int=1)),
    "created_at": "2026-11-26T00:00:00+00:00",
    "source_path": "customers.csv",
    "bodies": "source",
    "finished_at": "2026-11-26T00:10:00+00:00",
}

Row = tuple[str, str | None]
"""A state and a code."""


def customer(position: int) -> UUID:
    """Return the customer of the item at a position."""
    return uuid5(NAMESPACE, f"customer {position}")


def write_journal(
    path: Path,
    rows: Iterable[Row],
    *,
    run: Mapping[str, str] = RUN,
    samples: Iterable[Mapping[str, float | None]] = (),
    invalid_lines: Iterable[tuple[int, str | None, str]] = (),
    businesses: int = 3,
) -> Path:
    """Write a journal as a run would have left it."""
    connection = sqlite3.connect(path)
    connection.executescript(schema.TABLES)
    connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {schema.VERSION}")
    connection.executemany("INSERT INTO run VALUES (?, ?)", run.items())
    connection.executemany(
        "INSERT INTO items (position, business_id, customer_id, state, session, attempts, code, elapsed_ms, ended_at)"
        " VALUES (?, ?, ?, ?, 1, 1, ?, 80, ?)",
        (
            (n, BUSINESSES[n % businesses].bytes, customer(n).bytes, state, code, BEGUN + n)
            for n, (state, code) in enumerate(rows)
        ),
    )
    for sample in samples:
        names = ", ".join(sample)
        marks = ", ".join("?" * len(sample))
        connection.execute(f"INSERT INTO samples ({names}) VALUES ({marks})", tuple(sample.values()))  # noqa: S608 - ours
    connection.executemany("INSERT INTO invalid_lines VALUES (?, ?, ?)", invalid_lines)
    connection.commit()
    connection.close()
    return path


def sample(second: float, done: int, **values: float | None) -> dict[str, float | None]:
    """Return the gauges at a second of the run."""
    return {
        "at": BEGUN + second,
        "done": done,
        "archived": done,
        "already_archived": 0,
        "rejected": 0,
        "failed": 0,
        "unknown": 0,
        "in_flight": 8,
        "concurrency": 10,
        "requests": 0,
        "retries": 0,
        "cooldown": 0.0,
        "paused": 0,
        "p50_ms": 50,
        "p90_ms": 90,
        "p99_ms": 200,
        **values,
    }
