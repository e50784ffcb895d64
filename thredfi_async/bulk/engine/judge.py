"""What the end of a call means for its item, its business and the run, and what is done with the item then.

That a run ends because the API has been away for too long is decided in `scheduler.py`, which knows the time.
"""

import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import attrs

from thredfi_async import APIError, ThredfiError
from thredfi_async._jobs.circuit_breaker import CircuitBreaker
from thredfi_async._outcomes import classify
from thredfi_async.bulk.engine.businesses import Business, Businesses
from thredfi_async.bulk.engine.decisions import Resolve
from thredfi_async.bulk.engine.evidence import Evidence
from thredfi_async.bulk.engine.failure_rate import FailureRate
from thredfi_async.bulk.engine.job import Job
from thredfi_async.bulk.engine.outcomes import asked_to_wait, failure_of
from thredfi_async.bulk.engine.ready_queue import ReadyQueue
from thredfi_async.bulk.errors import BulkStoppedError
from thredfi_async.bulk.items import ArchiveResult
from thredfi_async.bulk.policy import StopPolicy

if TYPE_CHECKING:
    from uuid import UUID

BATCH: Final = 256
"""Items that are read together."""
ROUNDS: Final = 5
"""Failed calls after which an item is given up, counted only while the API serves others."""
IN_A_ROW: Final = 10
"""New customers that fail in a row, without a success between them, after which the API counts as unavailable."""
_CUSTOMERS: Final = 2
_WAIT_MAX: Final = 30.0


@attrs.frozen(kw_only=True)
class Limits:
    """The settings of a scheduler.

    Args:
        concurrency: Most calls in flight.
        stop: When to stop before the end.
        lifetime: Seconds for which a request that was not answered may still be on its way.
        jitter: Draws a number from 0 to 1.
    """

    concurrency: int
    stop: StopPolicy
    lifetime: float
    jitter: Callable[[], float] = random.random

    @property
    def window(self) -> int:
        """Items that a run holds at most, from the input to the consumer."""
        return max(4 * BATCH, 4 * self.concurrency)


class Judge:
    """Judges ends of calls; the scheduler, which extends it, decides what is done next.

    Args:
        limits: Its settings.

    Attributes:
        in_flight: Calls in flight.
        draining: Whether no more calls begin.
        stopped: Why the run stops by itself, if it does.
    """

    def __init__(self, limits: Limits) -> None:
        """Begin without jobs."""
        self._limits = limits
        self._policy = limits.stop
        self._queue = ReadyQueue()
        self._businesses = Businesses(limits.stop.skip_business_after, limits.jitter)
        self._breaker = CircuitBreaker(
            failures=IN_A_ROW, customers=_CUSTOMERS, wait_initial=1.0, wait_max=_WAIT_MAX, jitter=limits.jitter
        )
        self._rate = FailureRate(limits.stop)
        self._evidence = Evidence()
        self._resolved: deque[Resolve] = deque()
        self._held: int = 0
        self._active: int = 0
        self._served = self._calls_served = 0
        self._read_on, self._read_on_step = 0, BATCH
        self._first_calls = 0
        self._last_error: ThredfiError | None = None
        self.in_flight: int = 0
        self.draining: bool = False
        self.stopped: BulkStoppedError | None = None

    def stop(self, stopped: BulkStoppedError, now: float) -> None:
        """Stop the run before its end; the first reason counts."""
        if self.stopped is None and not self.draining:
            self.stopped = stopped
        self.drain(now)

    def drain(self, now: float) -> None:
        """Begin no more calls; jobs that wait for another try end with their last error."""
        if self.draining:
            return
        self.draining = True
        for job in [*self._queue.clear(), *self._businesses.clear()]:
            if job.error is not None:
                self._give_up(job, job.error, now)
            else:
                self._resolve(job, None)

    # -- calls that begin and end, and what an end means

    def _begins(self, job: Job) -> None:
        self.in_flight += 1
        self._first_calls += job.calls == 1

    def _ends(self, job: Job) -> None:
        self.in_flight -= 1
        self._first_calls -= job.calls == 1
        if job.number is None:
            self._rate.first_call_ended(job)

    def _left(self, job: Job, now: float) -> None:
        """Note that a job's call says nothing of the API."""
        if job.is_probe:
            self._breaker.left(now)
        self._businesses.probe_failed(job, now)

    def _is_served(self, job: Job, now: float) -> None:
        self._calls_served += 1
        self._is_alive(is_probe=job.is_probe)
        self._set_aside_all(self._businesses.suspects(job.business), now)

    def _is_alive(self, *, is_probe: bool = False) -> None:
        self._served += 1
        self._breaker.served(is_probe=is_probe, ramp_to=self._limits.concurrency)
        self._evidence.clear()
        self._read_on, self._read_on_step = 0, BATCH

    def _fails_for_good(self, job: Job, error: ThredfiError, now: float) -> None:
        if isinstance(error, APIError):
            self._is_served(job, now)
            if not classify(error).skips_business:
                self._put_back(self._businesses.answered(job.business), now)
            elif self._businesses.refused(job.business):
                self._set_aside(job.business, now)
        self._left(job, now)
        self._give_up(job, error, now)

    def _fails_for_now(self, job: Job, error: ThredfiError, now: float) -> None:
        is_answered = job.answered and not self._breaker.is_open
        self._served += is_answered
        # A failure counts only if the API has served others since: an outage uses up no item's rounds.
        job.rounds += self._served > job.served
        job.served = self._served
        asked = asked_to_wait(error)
        self._counts(job, error, now, asked)
        wait = min(_WAIT_MAX, 2.0 ** (min(job.rounds or job.calls, 6) - 1)) * (0.5 + 0.5 * self._limits.jitter())
        wait = max(wait, asked)
        is_spent = job.rounds >= ROUNDS or asked > self._policy.outage_timeout or self._is_alone(job, now + wait)
        known = self._businesses.get(job.business)
        if self.draining or is_spent:
            self._give_up(job, error, now)
        elif known is not None and known.aside is not None:
            self._aside(known, job, now)
        else:
            self._queue.postpone(job, now + wait)

    def _counts(self, job: Job, error: ThredfiError, now: float, asked: float) -> None:
        """Count a failure against the API, or against its business."""
        known, is_probe = self._businesses.get(job.business), job.is_probe
        is_aside = known is not None and known.aside is not None
        if is_probe or not is_aside:
            self._evidence.failed(job, now)
        if is_probe or (not is_aside and job.calls == 1):
            self._breaker.failed(job.item.customer_id, now, asked=asked, is_probe=is_probe)
        job.is_probe = False
        self._businesses.probe_failed(job, now)
        if self._breaker.is_open and not self._evidence.is_one_business:
            self._businesses.forgive()
        elif job.calls == 1 and self._businesses.failed(job.business, self._calls_served):
            self._set_aside(job.business, now)
        if is_probe and self._evidence.is_one_business and (job.answered or not classify(error).is_general):
            self._read_on += self._read_on_step
            self._read_on_step *= 2

    def _is_alone(self, job: Job, next_try: float) -> bool:
        """Return whether a job has no one beside it, and no witness: it ends after its own tries."""
        evidence = self._evidence
        if self._breaker.is_open or evidence.is_several or evidence.has_witness or self._has_others:
            return False
        since = next_try if evidence.failing_since is None else evidence.failing_since
        return job.calls >= ROUNDS or next_try - since >= self._policy.outage_timeout

    def _may_arrive(self, job: Job, now: float) -> bool:
        return job.doubt_since is not None and now - job.doubt_since < self._limits.lifetime

    def _give_up(self, job: Job, error: ThredfiError, now: float) -> None:
        result = failure_of(job, error, may_arrive=self._may_arrive(job, now))
        known = self._businesses.get(job.business)
        if job.calls and not result.state.is_success:
            is_aside = known is not None and known.aside is not None
            stopped = self._rate.failed(job, error, is_business=is_aside) if not self.draining else None
            if known is not None and job.number is not None:
                known.numbers.append(job.number)
            if stopped is not None:
                stopped.__cause__ = error
                self.stop(stopped, now)
        self._resolve(job, result)

    def _resolve(self, job: Job, result: ArchiveResult | None) -> None:
        self._active -= 1
        self._held -= result is None
        self._resolved.append(Resolve(job, result))

    @property
    def _has_others(self) -> bool:
        """Whether there are customers that were not tried, whose calls will tell."""
        return self._queue.new > 0 or self._first_calls > 0

    # -- businesses

    def _take(self, job: Job, now: float) -> None:
        known = self._businesses.get(job.business)
        if known is None or known.aside is None:
            self._queue.add(job)
        else:
            self._aside(known, job, now)

    def _aside(self, known: Business, job: Job, now: float) -> None:
        """Let a job wait with its business, if it may be probed with, and if there is room for that."""
        if known.aside == "refused" or (not job.calls and self._businesses.waiting >= self._limits.window // 2):
            self._skip(job, now)
        else:
            self._businesses.put(known, job)

    def _skip(self, job: Job, now: float) -> None:
        self._give_up(job, job.error or self._businesses.error_of(job.business), now)

    def _put_back(self, jobs: Sequence[Job], now: float) -> None:
        for job in jobs:
            if job.calls:
                self._queue.postpone(job, now)
            else:
                self._queue.add(job)

    def _set_aside_all(self, businesses: Sequence["UUID"], now: float) -> None:
        for business in businesses:
            self._set_aside(business, now)

    def _set_aside(self, business: "UUID", now: float) -> None:
        known = self._businesses.set_aside(business, now)
        self._rate.forgive(known.numbers)
        parked = self._businesses.take_all(known) if known.aside == "refused" else []
        for job in [*parked, *self._queue.take_business(business)]:
            self._aside(known, job, now)
