"""Archive many customers with bounded memory, one result each, and a journal that survives a kill."""

from thredfi_async._jobs.metrics import Snapshot
from thredfi_async._jobs.states import ItemState
from thredfi_async.bulk.engine.calls import ArchiveClient
from thredfi_async.bulk.errors import (
    BulkError,
    BulkStoppedError,
    BusinessSkippedError,
    CallInterruptedError,
    JournalBusyError,
    JournalError,
    SourceError,
    StillActiveError,
)
from thredfi_async.bulk.items import ArchiveItem, ArchiveResult
from thredfi_async.bulk.journal import Journal, JournalView, RunSettings, read_journal
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
    "CallInterruptedError",
    "ItemState",
    "Journal",
    "JournalBusyError",
    "JournalError",
    "JournalView",
    "RunSettings",
    "Snapshot",
    "SourceError",
    "StillActiveError",
    "StopPolicy",
    "archive_many",
    "read_journal",
]
