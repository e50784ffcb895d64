"""The rows of a journal, as values."""

from typing import Any
from uuid import UUID

import attrs

from thredfi_async._jobs.states import ItemState
from thredfi_async.bulk.items import business_id_of, customer_id_of


@attrs.frozen(kw_only=True)
class Outcome:
    """An outcome to record, by the item's ids.

    Args:
        business_id: The business.
        customer_id: The customer.
        state: Its outcome.
        attempts: Requests that were sent for it, added to those recorded before.
        code: The machine-readable reason, or None.
        elapsed: Seconds that it took, or None.
        ended_at: When it ended, in unix seconds; now by default.
    """

    business_id: UUID = attrs.field(converter=business_id_of)
    customer_id: UUID = attrs.field(converter=customer_id_of)
    state: ItemState = attrs.field(converter=ItemState)
    attempts: int = 0
    code: str | None = None
    elapsed: float | None = None
    ended_at: float | None = None


@attrs.frozen(kw_only=True)
class NotArchivedRow:
    """An item that is not archived: rejected, failed, or not known.

    Args:
        position: Index of the item in the input; negative for one that no longer has a place of its own there.
        line: The line of the source on which it stands, from 1; None where the source has no lines.
        business_id: The business.
        customer_id: The customer.
        state: Its outcome.
        code: The machine-readable reason, if there is one.
        attempts: Requests that were sent for it, over all sessions.
        ended_at: When that was written, in unix seconds.
    """

    position: int
    line: int | None
    business_id: UUID
    customer_id: UUID
    state: ItemState
    code: str | None
    attempts: int
    ended_at: float | None

    @property
    def place(self) -> int | None:
        """Where to look for it: the source's line, else its place among the items, from 1; None if it has neither."""
        if self.line is not None or self.position < 0:
            return self.line
        return self.position + 1


@attrs.frozen(kw_only=True)
class Sample:
    """The gauges of a run at one moment; the table's columns are explained in `schema`."""

    at: float
    done: int
    archived: int
    already_archived: int
    rejected: int
    failed: int
    unknown: int
    in_flight: int
    concurrency: int
    requests: int
    retries: int
    cooldown: float
    paused: bool = attrs.field(converter=bool)
    p50_ms: int | None
    p90_ms: int | None
    p99_ms: int | None

    def values(self) -> tuple[Any, ...]:
        """Return the columns in order."""
        return attrs.astuple(self)


@attrs.frozen
class InvalidLineRow:
    """An invalid line of the source: where and why, without its values."""

    line: int
    column: str | None
    reason: str
