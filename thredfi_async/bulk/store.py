"""Stores what a run has seen: which items were taken, and their outcomes."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from thredfi_async._jobs.metrics import Metrics, Snapshot
from thredfi_async.bulk.engine.job import Job
from thredfi_async.bulk.items import ArchiveResult

if TYPE_CHECKING:
    from uuid import UUID

T = TypeVar("T")

Publish = Callable[[Sequence[ArchiveResult]], None]


class Store(Protocol):
    """The interface of a store. It publishes a result once that is as durable as it will be."""

    @property
    def invalid_lines(self) -> int:
        """Invalid lines of the source that were reported to it."""
        ...

    async def begin(self) -> None:
        """Open it."""
        ...

    async def run(self) -> None:
        """Do the background work, until cancelled."""
        ...

    async def admit(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """Add jobs that follow each other in the input; return those to send."""
        ...

    def settle(self, job: Job, result: ArchiveResult) -> None:
        """Store a job's result."""
        ...

    def give_back(self, job: Job) -> None:
        """Take back a job that was not started: it stays as it was before."""
        ...

    def sample(self, snapshot: Snapshot) -> None:
        """Take a snapshot of the run."""
        ...

    async def end(self, how: str | None) -> None:
        """Publish what is left, and close it.

        Args:
            how: Why the run stops before its end; None at its end.
        """
        ...


class MemoryStore:
    """Remembers ids for as long as the run lasts, at about 100 bytes each, and nothing afterwards.

    Args:
        metrics: Counts repeated items.
        publish: Takes results.
    """

    invalid_lines = 0

    def __init__(self, metrics: Metrics, publish: Publish) -> None:
        """Begin with nothing seen."""
        self._metrics = metrics
        self._publish = publish
        # As numbers, which take less memory in a set than UUIDs or their bytes.
        self._seen: dict[UUID, set[int]] = {}

    async def begin(self) -> None:
        """Do nothing."""

    async def run(self) -> None:
        """Do nothing, until cancelled."""
        await asyncio.get_running_loop().create_future()

    async def admit(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """Leave out items that came before."""
        fresh: list[Job] = []
        for job in jobs:
            seen = self._seen.setdefault(job.item.business_id, set())
            customer = job.item.customer_id.int
            if customer in seen:
                self._metrics.duplicates += 1
            else:
                seen.add(customer)
                fresh.append(job)
        return fresh

    def settle(self, job: Job, result: ArchiveResult) -> None:  # noqa: ARG002 - a journal needs it
        """Publish it at once."""
        self._publish([result])

    def give_back(self, job: Job) -> None:
        """Do nothing."""

    def sample(self, snapshot: Snapshot) -> None:
        """Do nothing."""

    async def end(self, how: str | None) -> None:
        """Do nothing."""


async def uninterrupted(work: "asyncio.Future[T]") -> T:
    """Wait until something has ended, even if cancelled; raise the cancellation afterwards.

    Args:
        work: A task or future.

    Returns:
        Its result.

    Raises:
        asyncio.CancelledError: The waiting was cancelled; what was waited for has ended.
    """
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not work.cancelled():
            work.exception()  # retrieved, so that asyncio does not log that it never was
        raise cancelled
    return work.result()
