"""The worker pool of a run: picks the item to send next, and handles its outcome."""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol

import attrs

from thredfi_async import APIError, Clock, ThredfiError
from thredfi_async.bulk.calls import Calls, UnexpectedError
from thredfi_async.bulk.gauges import Meter
from thredfi_async.bulk.items import ArchiveResult
from thredfi_async.bulk.job import Job
from thredfi_async.bulk.judgement import failure_of, stops
from thredfi_async.bulk.ledger import Ledger
from thredfi_async.bulk.lineup import Lineup
from thredfi_async.bulk.patience import Patience
from thredfi_async.bulk.policy import StopPolicy, Watch

if TYPE_CHECKING:
    from thredfi_async.bulk.errors import BulkStoppedError

ROUNDS: Final = 5
"""Failed calls after which an item is given up, counted only while the API serves others."""
_LONGEST_BACKOFF: Final = 30.0


class RateLimit(Protocol):
    """Limits how many calls begin per second."""

    def acquire(self) -> Awaitable[None]:
        """Wait for a turn."""
        ...


@attrs.frozen(kw_only=True, eq=False)
class Plan:
    """The settings of a run.

    Args:
        calls: Calls the API for one item.
        concurrency: Most items in flight.
        stop: When to stop before the end.
        rate: Limits the calls that begin, or None for no limit.
        clock: Tells the time and sleeps.
    """

    calls: Calls
    concurrency: int
    stop: StopPolicy
    rate: RateLimit | None
    clock: Clock


class Crew:
    """Runs jobs in a pool of workers; each worker is one task that lasts as long as the run.

    Args:
        plan: The run's settings.
        ledger: Takes results, calls that were cut off, and jobs that were never sent.
        meter: Counts results.
        fail: Called with the reason why the run has to stop.

    Attributes:
        lineup: The jobs that wait.
        patience: Decides whether an item may be sent.
        in_flight: How many items are in flight.
        changed: Set when the time to send the next item may have changed.
        fed: Whether no more jobs will come.
        draining: Whether no more items are sent.
    """

    def __init__(self, plan: Plan, ledger: Ledger, meter: Meter, fail: Callable[[Exception], None]) -> None:
        """Begin without jobs."""
        self._plan = plan
        self._now = plan.clock.monotonic
        self._ledger = ledger
        self._meter = meter
        self._fail = fail
        self._watch = Watch(plan.stop)
        self._idlers: deque[asyncio.Future[None]] = deque()
        self.lineup: Lineup = Lineup()
        self.patience: Patience = Patience(plan.stop.outage_timeout, plan.clock.monotonic)
        self.in_flight: int = 0
        self.changed: asyncio.Event = asyncio.Event()
        self.fed = False
        self.draining: bool = False

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return self.fed and not self.in_flight and not len(self.lineup)

    def line_up(self, jobs: Sequence[Job]) -> None:
        """Take jobs."""
        for job in jobs:
            if self.draining:
                self._ledger.give_back(job)
            else:
                self.lineup.add(job)
        self.wake(len(jobs))

    def drain(self) -> None:
        """Send no more items; those that wait for a retry end with their last error."""
        self.draining = True
        for job in self.lineup.clear():
            if job.error is not None:
                self._resolve(job, failure_of(job, job.error))
            else:
                self._ledger.give_back(job)
        self.wake()

    def wake(self, count: int | None = None) -> None:
        """Wake so many idle workers; all by default."""
        for _ in range(len(self._idlers) if count is None else min(count, len(self._idlers))):
            idler = self._idlers.popleft()
            if not idler.done():
                idler.set_result(None)

    async def work(self) -> None:
        """Run one job after the other, until none is left."""
        while not self.is_done:
            job = self._next()
            if job is not None:
                await self._carry(job)
            elif not self.is_done:
                idler = asyncio.get_running_loop().create_future()
                self._idlers.append(idler)
                await idler
        # The worker that resolved the last job without sending it did not wake the others.
        self.wake()

    def next_moment(self) -> float | None:
        """Return the seconds until another item may be sent; None if that does not depend on time."""
        if self.patience.is_paused:
            return self.patience.wait()
        due = self.lineup.next_try
        return None if due is None else due - self._now()

    def _next(self) -> Job | None:
        patience = self.patience
        while patience.may_start(self.in_flight):
            now = self._now()
            job = self.lineup.take_any(now) if patience.is_paused else self.lineup.take(now)
            if job is None:
                return None
            skipped = self._watch.skipped(job.item.business_id)
            if skipped is None:
                job.is_probe = patience.starts()
                self.in_flight += 1
                if job.error is not None:
                    self.changed.set()
                return job
            self._resolve(job, failure_of(job, job.error or skipped))
        return None

    async def _carry(self, job: Job) -> None:
        try:
            if self._plan.rate is not None:
                await self._plan.rate.acquire()
            job.sent = True
            result = await self._plan.calls.make(job)
        except ThredfiError as error:
            self._failed(job, error)
        except asyncio.CancelledError:
            if job.sent:
                self._ledger.cut(job)
            else:
                self._ledger.give_back(job)
            raise
        except UnexpectedError as error:
            # Not an error of this library: the item's outcome is unknown.
            self._ledger.cut(job)
            self._fail(error.reason)
        else:
            self._served(job)
            self._resolve(job, result)
        finally:
            self._let_go(job)

    def _let_go(self, job: Job) -> None:
        self.in_flight -= 1
        if job.is_probe:
            self.patience.left()
            self.changed.set()
        if self.is_done:
            self.wake()
        elif self._idlers and len(self.lineup):
            self.wake(1)

    def _served(self, job: Job) -> None:
        if self.patience.succeeded(is_probe=job.is_probe, full=self._plan.concurrency):
            self.changed.set()
            self.wake()

    def _failed(self, job: Job, error: ThredfiError) -> None:
        job.error = error
        stopped = stops(error)
        if stopped is not None:
            self._resolve(job, failure_of(job, error))
            self._fail(stopped)
        elif not error.transient:
            if isinstance(error, APIError):
                self._served(job)
            self._resolve(job, failure_of(job, error))
        else:
            self._fails_for_now(job, error)

    def _fails_for_now(self, job: Job, error: ThredfiError) -> None:
        patience = self.patience
        if job.answered:
            # The API answers questions: it only fails on this request.
            self._served(job)
        patience.failed(error, is_probe=job.is_probe)
        # A failure counts only if the API has served others since: an outage uses up no item's rounds.
        if patience.served > job.served:
            job.rounds += 1
        job.served = patience.served
        asked = (error.retry_after or 0.0) if isinstance(error, APIError) else 0.0
        if self.draining or job.rounds >= ROUNDS or asked > self._plan.stop.outage_timeout:
            self._resolve(job, failure_of(job, error))
            return
        backoff = min(_LONGEST_BACKOFF, 2.0 ** (job.rounds - 1)) * (0.5 + 0.5 * random.random())  # noqa: S311 - a wait
        self.lineup.postpone(job, self._now() + max(backoff, asked))
        self.changed.set()

    def _resolve(self, job: Job, result: ArchiveResult) -> None:
        self._meter.count(result)
        self._ledger.settle(job, result)
        # An item that was not sent says nothing about the API.
        stopped: BulkStoppedError | None = self._watch.sees(result) if job.sent else None
        if stopped is not None and not self.draining:
            stopped.__cause__ = result.error
            self._fail(stopped)
