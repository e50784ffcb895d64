"""The journal of a bulk run: an SQLite file with one row for each item."""

from thredfi_async.bulk.journal.journal import Journal
from thredfi_async.bulk.journal.rows import FailureRow, Outcome, RejectedLine, Sample
from thredfi_async.bulk.journal.view import JournalView, read_journal

__all__ = ["FailureRow", "Journal", "JournalView", "Outcome", "RejectedLine", "Sample", "read_journal"]
