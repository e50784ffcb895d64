"""One item on its way through a run."""

from typing import TYPE_CHECKING

from thredfi_async.bulk.items import ArchiveItem

if TYPE_CHECKING:
    from thredfi_async import ThredfiError


class Job:
    """What a run knows of an item that has no outcome yet.

    Args:
        item: The item.
        index: Its place in the input.

    Attributes:
        row: Its place in the journal; the same as in the input, unless that has changed.
        key: The idempotency key of all its requests, or None for a new one with each call.
        unsure: Whether an earlier request may have been applied, or may still be on its way.
        inherited: Whether that request was an earlier session's, and its answer would have come by now.
        error: How its last call ended; None before the first.
        attempts: Requests that were sent for it.
        elapsed: Seconds that its calls took.
        rounds: Calls that failed while the API served others.
        served: How many calls the API had served when its last call failed.
        sent: Whether a call of it has begun.
        answered: Whether the API has answered a question about it during the current call.
        is_probe: Whether it is sent to find out whether the API is available.
    """

    __slots__ = (
        "answered",
        "attempts",
        "elapsed",
        "error",
        "index",
        "inherited",
        "is_probe",
        "item",
        "key",
        "rounds",
        "row",
        "sent",
        "served",
        "unsure",
    )

    def __init__(self, item: ArchiveItem, index: int) -> None:
        """Begin with nothing sent."""
        self.item: ArchiveItem = item
        self.index: int = index
        self.row: int = index
        self.key: str | None = None
        self.unsure: bool = False
        self.inherited: bool = False
        self.error: ThredfiError | None = None
        self.attempts: int = 0
        self.elapsed: float = 0.0
        self.rounds: int = 0
        self.served: int = -1
        self.sent: bool = False
        self.answered: bool = False
        self.is_probe: bool = False
