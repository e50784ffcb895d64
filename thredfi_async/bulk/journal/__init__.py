"""The journal of a bulk run: an SQLite file with one row for each item."""

from thredfi_async.bulk.journal.journal import Journal
from thredfi_async.bulk.journal.rows import InvalidLineRow, NotArchivedRow, Outcome, Sample
from thredfi_async.bulk.journal.settings import RunSettings
from thredfi_async.bulk.journal.view import JournalView, read_journal

__all__ = [
    "InvalidLineRow",
    "Journal",
    "JournalView",
    "NotArchivedRow",
    "Outcome",
    "RunSettings",
    "Sample",
    "read_journal",
]
