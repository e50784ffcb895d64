"""The ready queue: which job is sent next."""

import heapq
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from thredfi_async.bulk.engine.job import Job

if TYPE_CHECKING:
    from uuid import UUID


class ReadyQueue:
    """Queues jobs that were never sent, with businesses taking turns, and jobs that wait for another try.

    A business whose last call failed is in doubt. Every second turn belongs to a business that is not, if one is at
    hand: however many businesses fail, those that are served get half of the calls.

    Only items that were read ahead take turns: in a file that is sorted by business, that may be a single business.

    Attributes:
        sound: Jobs that were never sent, of businesses in good standing.
        doubtful: Jobs that were never sent, of businesses in doubt.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._sound: OrderedDict[UUID, deque[Job]] = OrderedDict()
        self._doubtful: OrderedDict[UUID, deque[Job]] = OrderedDict()
        self._later: list[tuple[float, int, Job]] = []
        self._order = 0
        self._is_turn_of_doubtful = False
        self.sound: int = 0
        self.doubtful: int = 0

    def __len__(self) -> int:
        """Count all jobs."""
        return self.new + len(self._later)

    @property
    def new(self) -> int:
        """Jobs that were never sent."""
        return self.sound + self.doubtful

    @property
    def next_try(self) -> float | None:
        """When the first job is due for another try; None if none waits for one."""
        return self._later[0][0] if self._later else None

    def add(self, job: Job, *, is_doubtful: bool) -> None:
        """Add a job that was never sent, of a business in doubt or in good standing."""
        turns = self._doubtful if is_doubtful else self._sound
        turns.setdefault(job.business, deque()).append(job)
        self._count(1, is_doubtful=is_doubtful)

    def doubt(self, business: "UUID") -> None:
        """Note that a call of this business has failed."""
        if (queue := self._sound.pop(business, None)) is not None:
            self._doubtful.setdefault(business, deque()).extend(queue)
            self.sound -= len(queue)
            self.doubtful += len(queue)

    def trust(self, business: "UUID") -> None:
        """Note that a call of this business was served."""
        if (queue := self._doubtful.pop(business, None)) is not None:
            self._sound.setdefault(business, deque()).extend(queue)
            self.doubtful -= len(queue)
            self.sound += len(queue)

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

    def take_new(self) -> Job | None:
        """Take a job that was never sent, of the business whose turn it is."""
        self._is_turn_of_doubtful = not self._is_turn_of_doubtful
        is_doubtful = self._is_turn_of_doubtful if self.sound and self.doubtful else not self.sound
        return self._take(is_doubtful=is_doubtful)

    def take_sound(self) -> Job | None:
        """Take a job that was never sent, of a business in good standing."""
        return self._take(is_doubtful=False)

    def take_last(self) -> Job | None:
        """Take the job that was added last of a business in doubt, and was never sent."""
        if not self._doubtful:
            return None
        business, queue = self._doubtful.popitem(last=False)
        job = queue.pop()
        if queue:
            self._doubtful[business] = queue
        self._count(-1, is_doubtful=True)
        return job

    def take_business(self, business: "UUID") -> list[Job]:
        """Take all jobs of a business, those that wait for another try first."""
        taken = [job for _, _, job in sorted(self._later) if job.business == business]
        if taken:
            self._later = [entry for entry in self._later if entry[2].business != business]
            heapq.heapify(self._later)
        for is_doubtful in (True, False):
            queue = (self._doubtful if is_doubtful else self._sound).pop(business, None) or ()
            self._count(-len(queue), is_doubtful=is_doubtful)
            taken.extend(queue)
        return taken

    def clear(self) -> Iterator[Job]:
        """Take all jobs."""
        while (job := self.take_later() or self.take_new()) is not None:
            yield job

    def _take(self, *, is_doubtful: bool) -> Job | None:
        turns = self._doubtful if is_doubtful else self._sound
        if not turns:
            return None
        business, queue = turns.popitem(last=False)
        job = queue.popleft()
        if queue:
            turns[business] = queue
        self._count(-1, is_doubtful=is_doubtful)
        return job

    def _count(self, jobs: int, *, is_doubtful: bool) -> None:
        if is_doubtful:
            self.doubtful += jobs
        else:
            self.sound += jobs
