"""The ready queue: which job is sent next."""

import heapq
from collections import deque
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from thredfi_async.bulk.engine.job import Job

if TYPE_CHECKING:
    from uuid import UUID


class ReadyQueue:
    """Queues jobs that were never sent, with businesses taking turns, and jobs that wait for another try.

    Only items that were read ahead take turns: in a file that is sorted by business, that may be a single business.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._new: dict[UUID, deque[Job]] = {}
        self._turns: deque[UUID] = deque()
        self._later: list[tuple[float, int, Job]] = []
        self._order = 0
        self.new: int = 0

    def __len__(self) -> int:
        """Count all jobs."""
        return self.new + len(self._later)

    @property
    def next_try(self) -> float | None:
        """When the first job is due for another try; None if none waits for one."""
        return self._later[0][0] if self._later else None

    def add(self, job: Job) -> None:
        """Add a job that was never sent."""
        queue = self._new.get(job.business)
        if queue is None:
            queue = self._new[job.business] = deque()
            self._turns.append(job.business)
        queue.append(job)
        self.new += 1

    def postpone(self, job: Job, until: float) -> None:
        """Add a job that waits for another try, at this time or later."""
        self._order += 1
        heapq.heappush(self._later, (until, self._order, job))

    def take_due(self, now: float) -> Job | None:
        """Take a job that is due for another try."""
        return self.take_later() if self._later and self._later[0][0] <= now else None

    def take_later(self) -> Job | None:
        """Take the job that waits for another try, due or not."""
        return heapq.heappop(self._later)[2] if self._later else None

    def take_new(self, besides: Collection["UUID"] = ()) -> Job | None:
        """Take a job that was never sent, of the business whose turn it is, if that is none of these."""
        for _ in range(len(self._turns)):
            business = self._turns.popleft()
            if business in besides:
                self._turns.append(business)
                continue
            queue = self._new[business]
            job = queue.popleft()
            self.new -= 1
            if queue:
                self._turns.append(business)
            else:
                del self._new[business]
            return job
        return None

    def has_other(self, besides: Collection["UUID"]) -> bool:
        """Return whether a job was never sent of another business than these."""
        return len(self._new) > len(besides) or any(business not in besides for business in self._new)

    def take_last(self, business: "UUID") -> Job | None:
        """Take the job of a business that was added last, of those that were never sent."""
        queue = self._new.get(business)
        if queue is None:
            return None
        job = queue.pop()
        self.new -= 1
        if not queue:
            del self._new[business]
            self._turns.remove(business)
        return job

    def take_business(self, business: "UUID") -> list[Job]:
        """Take all jobs of a business, those that wait for another try first."""
        taken = [job for _, _, job in sorted(self._later) if job.business == business]
        if taken:
            self._later = [entry for entry in self._later if entry[2].business != business]
            heapq.heapify(self._later)
        queue = self._new.pop(business, None)
        if queue is not None:
            self._turns.remove(business)
            self.new -= len(queue)
            taken.extend(queue)
        return taken

    def clear(self) -> Iterator[Job]:
        """Take all jobs."""
        while (job := self.take_later() or self.take_new()) is not None:
            yield job
