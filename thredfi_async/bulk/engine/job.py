"""One item on its way through a run."""

from typing import TYPE_CHECKING

from thredfi_async.bulk.items import ArchiveItem

if TYPE_CHECKING:
    from uuid import UUID

    from thredfi_async import ThredfiError
    from thredfi_async._jobs.states import ItemState


class Job:
    """What a run knows of an item that has no outcome yet.

    Args:
        item: The item.
        index: Its place in the input.

    Attributes:
        business: Its business.
        row: Its place in the journal; the same as in the input, unless that has changed.
        key: The idempotency key of all its requests, or None for a new one with each call.
        before: The state in which an earlier session left it; None for a new item.
        doubt_since: When the last request was sent that may have been applied, or may still be on its way, in the
            clock's seconds; None without one.
        error: How its last call ended; None before the first.
        attempts: Requests that were sent for it.
        elapsed: Seconds that its calls took.
        calls: Calls of it that have begun.
        rounds: Calls that failed while the API served others; those while many failed count for less.
        served: How many calls the API had served when its last one began or failed.
        number: Its place in the order in which first calls began; None before.
        answered: Whether the API has answered a question about it during the current call.
        fails: Whether its last call failed, and it has no outcome yet.
        is_probe: Whether it is sent to find out whether the API is available.
        is_trial: Whether it is sent to find out whether its business, which is set aside, is served again.
    """

    __slots__ = (
        "answered",
        "attempts",
        "before",
        "business",
        "calls",
        "doubt_since",
        "elapsed",
        "error",
        "fails",
        "index",
        "is_probe",
        "is_trial",
        "item",
        "key",
        "number",
        "rounds",
        "row",
        "served",
    )

    def __init__(self, item: ArchiveItem, index: int) -> None:
        """Begin with nothing sent."""
        self.item: ArchiveItem = item
        self.index: int = index
        self.business: UUID = item.business_id
        self.row: int = index
        self.key: str | None = None
        self.before: ItemState | None = None
        self.doubt_since: float | None = None
        self.error: ThredfiError | None = None
        self.attempts: int = 0
        self.elapsed: float = 0.0
        self.calls: int = 0
        self.rounds: float = 0.0
        self.served: int = 0
        self.number: int | None = None
        self.answered: bool = False
        self.fails: bool = False
        self.is_probe: bool = False
        self.is_trial: bool = False
