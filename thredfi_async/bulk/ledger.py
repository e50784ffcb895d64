"""Where a run keeps what it has seen: which items were taken already, and what became of them."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from thredfi_async.bulk.gauges import Gauges, Meter
from thredfi_async.bulk.items import ArchiveResult
from thredfi_async.bulk.job import Job

if TYPE_CHECKING:
    from uuid import UUID

T = TypeVar("T")

Publish = Callable[[Sequence[ArchiveResult]], None]


class Ledger(Protocol):
    """What the engine asks of it. A result is published when it is as durable as it will be."""

    @property
    def held(self) -> int:
        """Results that have not been published."""
        ...

    @property
    def invalid_lines(self) -> int:
        """Lines of the source that it was told are no items."""
        ...

    async def begin(self) -> None:
        """Open it."""
        ...

    async def run(self) -> None:
        """Do what is to be done beside the calls, until cancelled."""
        ...

    async def admit(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """Take jobs in, whose places in the input follow each other; return those that are to be sent."""
        ...

    def settle(self, job: Job, result: ArchiveResult) -> None:
        """Take a job's result."""
        ...

    def cut(self, job: Job) -> None:
        """Take a job whose call was cut off: what became of it is not known."""
        ...

    def give_back(self, job: Job) -> None:
        """Take a job back that was never sent."""
        ...

    def sample(self, gauges: Gauges) -> None:
        """Take a look at the run."""
        ...

    async def end(self, how: str | None) -> None:
        """Publish what is left, and close it.

        Args:
            how: Why the run stops before its end; None for its end.
        """
        ...


class MemoryLedger:
    """Remembers ids for as long as the run lasts, at about 100 bytes each, and nothing afterwards.

    Args:
        meter: Counts what comes again.
        publish: Takes results.
    """

    held = 0
    invalid_lines = 0

    def __init__(self, meter: Meter, publish: Publish) -> None:
        """Begin with nothing seen."""
        self._meter = meter
        self._publish = publish
        # A UUID's own number, which a set holds for less than the UUID or its bytes.
        self._seen: dict[UUID, set[int]] = {}

    async def begin(self) -> None:
        """Do nothing."""

    async def run(self) -> None:
        """Do nothing, until cancelled."""
        await asyncio.get_running_loop().create_future()

    async def admit(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """Leave out what came before."""
        fresh: list[Job] = []
        for job in jobs:
            seen = self._seen.setdefault(job.item.business_id, set())
            customer = job.item.customer_id.int
            if customer in seen:
                self._meter.duplicates += 1
            else:
                seen.add(customer)
                fresh.append(job)
        return fresh

    def settle(self, job: Job, result: ArchiveResult) -> None:  # noqa: ARG002 - a journal needs it
        """Publish it at once."""
        self._publish([result])

    def cut(self, job: Job) -> None:
        """Do nothing: nobody is left to be told."""

    def give_back(self, job: Job) -> None:
        """Do nothing."""

    def sample(self, gauges: Gauges) -> None:
        """Do nothing."""

    async def end(self, how: str | None) -> None:
        """Do nothing."""


async def uninterrupted(work: "asyncio.Future[T]") -> T:
    """Wait for something to its end, whoever cancels meanwhile; the cancellation is raised afterwards.

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
            work.exception()  # looked at, so that asyncio does not complain that nobody did
        raise cancelled
    return work.result()
