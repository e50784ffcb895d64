"""Archive many customers with bounded memory, one result each, and a journal that survives a kill."""

from thredfi_async._jobs.states import ItemState
from thredfi_async.bulk.calls import ArchiveClient
from thredfi_async.bulk.errors import (
    BulkError,
    BulkStoppedError,
    BusinessSkippedError,
    JournalBusyError,
    JournalError,
    SourceError,
)
from thredfi_async.bulk.gauges import Gauges
from thredfi_async.bulk.items import ArchiveItem, ArchiveResult
from thredfi_async.bulk.journal import Journal, JournalView, read_journal
from thredfi_async.bulk.policy import StopPolicy
from thredfi_async.bulk.run import ArchiveRun, archive_many

__all__ = [
    "ArchiveClient",
    "ArchiveItem",
    "ArchiveResult",
    "ArchiveRun",
    "BulkError",
    "BulkStoppedError",
    "BusinessSkippedError",
    "Gauges",
    "ItemState",
    "Journal",
    "JournalBusyError",
    "JournalError",
    "JournalView",
    "SourceError",
    "StopPolicy",
    "archive_many",
    "read_journal",
]
