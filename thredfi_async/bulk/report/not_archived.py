"""Writes the customers that are not archived as CSV: ids, state and code, and nothing personal."""

import csv
import datetime as dt
from typing import Final, TextIO

from thredfi_async._checks.text import spreadsheet_cell
from thredfi_async.bulk.journal import JournalView, NotArchivedRow

COLUMNS: Final = ("line", "business_id", "customer_id", "state", "code", "attempts", "ended_at")


def write_not_archived_csv(view: JournalView, file: TextIO) -> int:
    """Write a line for each item that was rejected, failed, or whose outcome is not known, in the input's order.

    Args:
        view: The run's journal.
        file: Where to write; open it with `newline=""`.

    Returns:
        How many there are.

    Raises:
        JournalError: The journal cannot be read.
        OSError: The file cannot be written.
    """
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    count = 0
    for count, row in enumerate(view.not_archived(), 1):  # noqa: B007 - how many is what is asked for
        writer.writerow(_cells(row))
    return count


def timestamp(seconds: float | None) -> str:
    """Return unix seconds as ISO 8601 in UTC; an empty text for None."""
    return "" if seconds is None else dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="seconds")


def _cells(row: NotArchivedRow) -> tuple[object, ...]:
    return (
        "" if row.place is None else row.place,
        row.business_id,
        row.customer_id,
        row.state.value,
        spreadsheet_cell(row.code or ""),  # codes come from the API, or from the journal's maker
        row.attempts,
        timestamp(row.ended_at),
    )
