"""Errors of a whole bulk run; a single item's failure is a result, not an exception.

```
ThredfiError
└── BulkError
    ├── BulkStoppedError         .reason  .cause  .resumable
    ├── JournalError             .unrecorded
    │   └── JournalBusyError
    ├── SourceError
    ├── BusinessSkippedError      only ever an item's error: its business is set aside, and nothing was sent
    ├── CallInterruptedError      only ever an item's error: its call was cut off
    └── StillActiveError          only ever an item's error: the record shows the customer active
```

Each has its own row of the table in `_outcomes`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias
from uuid import UUID

from thredfi_async import ThredfiError
from thredfi_async._outcomes import Fault, Remedy, Row, StopReason

if TYPE_CHECKING:
    from thredfi_async.bulk.items import ArchiveResult

StopCause: TypeAlias = StopReason | Literal["api_unavailable", "failure_ratio", "max_failures"]
"""Why a run was stopped, for programs."""


class BulkError(ThredfiError):
    """The base class of errors of a whole run."""

    row: ClassVar[Row] = Row(ThredfiError, Fault.API, Remedy.RUN_AGAIN, code="bulk_error")


class BulkStoppedError(BulkError):
    """The run was stopped before its end; everything that was sent is accounted for.

    Attributes:
        reason: Why, as a sentence.
        cause: Why, for programs.
        resumable: Whether the same run can be resumed once the reason is gone.
    """

    row: ClassVar[Row] = Row(ThredfiError, Fault.API, Remedy.RUN_AGAIN_LATER, code="stopped")

    def __init__(self, reason: str, *, cause: StopCause, resumable: bool = True) -> None:
        """Take the reason, as a sentence and for programs."""
        super().__init__(reason)
        self.reason: str = reason
        self.cause: StopCause = cause
        self.resumable: bool = resumable


class JournalError(BulkError):
    """The journal cannot be opened, read or written; the sentence names the file and says what to do.

    Attributes:
        unrecorded: Results that are true but could not be written. A resumed run asks the API about their customers
            before it sends anything.
    """

    row: ClassVar[Row] = Row(ThredfiError, Fault.SETTINGS, Remedy.FIX_JOURNAL, code="journal_error")

    def __init__(self, summary: str, *, unrecorded: Sequence["ArchiveResult"] = ()) -> None:
        """Take the sentence, and what could not be written."""
        super().__init__(summary)
        self.unrecorded: tuple[ArchiveResult, ...] = tuple(unrecorded)


class JournalBusyError(JournalError):
    """Another run is writing this journal."""

    row: ClassVar[Row] = Row(ThredfiError, Fault.SETTINGS, Remedy.FREE_JOURNAL, code="journal_busy")


class SourceError(BulkError):
    """The file with the items cannot be read, or is not the one that the run began with."""

    row: ClassVar[Row] = Row(ThredfiError, Fault.SETTINGS, Remedy.FIX_SOURCE, code="source_error")


class BusinessSkippedError(BulkError):
    """The item was not sent: its business's customers were refused, or failed, many times in a row.

    Attributes:
        business_id: The business.
    """

    row: ClassVar[Row] = Row(ThredfiError, Fault.API, Remedy.CHECK_ACCESS, code="business_skipped")

    def __init__(self, summary: str, *, business_id: UUID) -> None:
        """Take the sentence and the business."""
        super().__init__(summary)
        self.business_id: UUID = business_id


class CallInterruptedError(BulkError):
    """The item's call was cut off, since its run ended; the effect says what is known of it."""

    row: ClassVar[Row] = Row(ThredfiError, Fault.CLIENT, Remedy.RUN_AGAIN, code="interrupted")


class StillActiveError(BulkError):
    """The record shows the customer active, though an earlier request may still be on its way."""

    row: ClassVar[Row] = Row(ThredfiError, Fault.API, Remedy.RUN_AGAIN_LATER, code="still_active")
