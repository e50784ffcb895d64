"""Archive very many customers: bounded memory, one result for each, and a journal that survives a kill."""

from thredfi_async.bulk.errors import (
    BulkError,
    BulkStoppedError,
    BusinessParkedError,
    JournalBusyError,
    JournalError,
    SourceError,
)
from thredfi_async.bulk.items import ArchiveItem, ArchiveResult, ItemState
from thredfi_async.bulk.journal import JournalView, read_journal
from thredfi_async.bulk.policy import StopPolicy

__all__ = [
    "ArchiveItem",
    "ArchiveResult",
    "BulkError",
    "BulkStoppedError",
    "BusinessParkedError",
    "ItemState",
    "JournalBusyError",
    "JournalError",
    "JournalView",
    "SourceError",
    "StopPolicy",
    "read_journal",
]
