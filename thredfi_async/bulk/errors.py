"""Errors of a whole bulk run; a single item's failure is a result, not an exception.

```
ThredfiError
└── BulkError
    ├── BulkStoppedError         .reason  .cause  .resumable
    ├── JournalError             .unrecorded
    │   └── JournalBusyError
    ├── SourceError
    └── BusinessSkippedError      only ever an item's error: its business is held back, and nothing was sent
```
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from thredfi_async import ThredfiError

if TYPE_CHECKING:
    from thredfi_async.bulk.items import ArchiveResult

StopCause = Literal[
    "credentials_refused", "client_unusable", "api_unavailable", "failure_ratio", "max_failures", "certificate_refused"
]
"""Why a run was stopped, for programs."""


class BulkError(ThredfiError):
    """The base class of errors of a whole run."""


class BulkStoppedError(BulkError):
    """The run was stopped before its end; everything that was sent is accounted for.

    Attributes:
        reason: Why, as a sentence.
        cause: Why, for programs.
        resumable: Whether the same run can be resumed once the reason is gone.
    """

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

    def __init__(self, summary: str, *, unrecorded: Sequence["ArchiveResult"] = ()) -> None:
        """Take the sentence, and what could not be written."""
        super().__init__(summary)
        self.unrecorded: tuple[ArchiveResult, ...] = tuple(unrecorded)


class JournalBusyError(JournalError):
    """Another run is writing this journal."""


class SourceError(BulkError):
    """The file with the items cannot be read, or is not the one that the run began with."""


class BusinessSkippedError(BulkError):
    """The item was not sent: the API refused its business many times in a row.

    Attributes:
        business_id: The business.
    """

    def __init__(self, summary: str, *, business_id: UUID) -> None:
        """Take the sentence and the business."""
        super().__init__(summary)
        self.business_id: UUID = business_id
