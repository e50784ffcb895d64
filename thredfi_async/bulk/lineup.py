"""The ready queue: which item is sent next."""

import heapq
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from thredfi_async.bulk.job import Job

if TYPE_CHECKING:
    from uuid import UUID


class Lineup:
    """Queues jobs that are ready, with businesses taking turns, and jobs that wait for a retry.

    Only items that were read ahead take turns: in a file that is sorted by business, that may be a single business.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._ready: dict[UUID, deque[Job]] = {}
        self._turns: deque[UUID] = deque()
        self._count = 0
        self._later: list[tuple[float, int, Job]] = []
        self._order = 0

    def __len__(self) -> int:
        """Count all jobs."""
        return self._count + len(self._later)

    def add(self, job: Job) -> None:
        """Add a job that is ready."""
        business = job.item.business_id
        queue = self._ready.get(business)
        if queue is None:
            queue = self._ready[business] = deque()
            self._turns.append(business)
        queue.append(job)
        self._count += 1

    def postpone(self, job: Job, until: float) -> None:
        """Add a job that waits for a retry, at this time or later."""
        self._order += 1
        heapq.heappush(self._later, (until, self._order, job))

    @property
    def next_try(self) -> float | None:
        """When the first retry is due; None if no job waits for one."""
        return self._later[0][0] if self._later else None

    def take(self, now: float) -> Job | None:
        """Take the next job: a retry that is due, or else one that is ready."""
        if self._later and self._later[0][0] <= now:
            return heapq.heappop(self._later)[2]
        if not self._count:
            return None
        business = self._turns[0]
        queue = self._ready[business]
        job = queue.popleft()
        self._count -= 1
        if not queue:
            del self._ready[business]
            self._turns.popleft()
        elif len(self._turns) > 1:
            self._turns.rotate(-1)
        return job

    def take_any(self, now: float) -> Job | None:
        """Take a job to probe with: a retry, due or not, or else one that is ready."""
        return heapq.heappop(self._later)[2] if self._later else self.take(now)

    def clear(self) -> Iterator[Job]:
        """Take all jobs."""
        while (job := self.take_any(0.0)) is not None:
            yield job
