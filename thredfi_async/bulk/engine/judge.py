"""What the end of a call means for its item, its business and the run, and what is done with the item then.

That a run ends because the API has been away for too long is decided in `scheduler.py`, which knows the time.
"""

from collections import deque
from typing import TYPE_CHECKING, Final

from thredfi_async import APIError, ThredfiError
from thredfi_async._jobs.circuit_breaker import CircuitBreaker
from thredfi_async._outcomes import classify
from thredfi_async.bulk.engine.businesses import Business, Businesses
from thredfi_async.bulk.engine.decisions import Resolve
from thredfi_async.bulk.engine.evidence import MANY, Evidence
from thredfi_async.bulk.engine.failure_rate import FailureRate
from thredfi_async.bulk.engine.job import Job
from thredfi_async.bulk.engine.limits import BATCH, PARKED, Limits
from thredfi_async.bulk.engine.outcomes import asked_to_wait, failure_of
from thredfi_async.bulk.engine.ready_queue import ReadyQueue
from thredfi_async.bulk.errors import BulkStoppedError
from thredfi_async.bulk.items import ArchiveResult

if TYPE_CHECKING:
    from uuid import UUID

_ROUNDS: Final = 3
"""Failed calls after which an item is given up, counted only while the API serves others."""
_TRIES_ALONE: Final = 5
"""Calls of an item that is alone."""
_RECOVERING: Final = 0.02
"""The part of second and later calls that are served, beyond which a failure is a quarter of an item's own."""
_SMOOTH: Final = 0.005
_CUSTOMERS: Final = 2
_PATIENCE: Final = 0.1
_PATIENCE_AT_END: Final = 0.5
_WAIT_MAX: Final = 30.0


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
            failures=MANY, customers=_CUSTOMERS, wait_initial=1.0, wait_max=_WAIT_MAX, jitter=limits.jitter
        )
        self._rate = FailureRate(limits.stop)
        self._evidence = Evidence()
        self._resolved: deque[Resolve] = deque()
        self._has_ended = self._is_last_call = False
        self._held: int = 0
        self._active: int = 0
        self._window = limits.window
        self._served = 0
        self._read_on, self._read_on_step = 0, BATCH
        self._first_calls: int = 0
        self._failing: int = 0
        self._quick: int = 0
        self._recovered: float = 0.0
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
        if job.calls == 1:
            self._rate.first_call_begins(job)

    def _ends(self, job: Job) -> None:
        self.in_flight -= 1
        self._first_calls -= job.calls == 1

    def _left(self, job: Job, now: float, *, is_sent: bool = True) -> None:
        """Note that a job's call says nothing of the API; the next probe goes at once if it was not even sent."""
        if job.is_probe:
            job.is_probe = False
            self._breaker.left(now)
            if not is_sent:
                self._breaker.probe_now()
        self._businesses.probe_ended(job, now, is_sent=is_sent)

    def _is_served(self, job: Job, now: float) -> None:
        """Note that the API has served a call, or has refused it in its own words."""
        self._is_alive(now, besides=job.business, is_probe=job.is_probe)
        self._evidence.clear()

    def _is_alive(self, now: float, *, besides: "UUID | None" = None, is_probe: bool = False) -> None:
        """Note that the API serves others than those that fail: their businesses are at fault, or they are."""
        self._served += 1
        self._breaker.served(is_probe=is_probe, ramp_to=None if besides is None else self._limits.concurrency)
        self._quick = self._read_on = 0
        self._is_last_call, self._read_on_step = False, BATCH
        for business in self._businesses.suspects(besides):
            self._set_aside(business, now)

    def _recovers(self, job: Job) -> None:
        """Note that a job was served; if it had failed, failures pass."""
        if job.fails:
            self._recovered += _SMOOTH * (1.0 - self._recovered)

    def _fails_for_good(self, job: Job, error: ThredfiError, now: float) -> None:
        if isinstance(error, APIError):
            self._is_served(job, now)
            if not classify(error).skips_business:
                self._is_sound(job.business, now)
            else:
                self._queue.doubt(job.business)
                if self._businesses.refused(job.business):
                    self._set_aside(job.business, now)
        self._left(job, now, is_sent=error.attempts > 0)
        self._give_up(job, error, now)

    def _fails_for_now(self, job: Job, error: ThredfiError, now: float) -> None:
        if job.fails:
            self._recovered -= _SMOOTH * self._recovered
        else:
            job.fails = True
            self._failing += 1
        self._served += job.answered and not self._breaker.is_open
        # A failure counts only if the API has served others since, and for less while those that failed are served
        # later: no outage, and no half of one, uses up an item's rounds.
        if self._served > job.served:
            job.rounds += 0.25 if self._recovered > _RECOVERING else 1.0
        job.served = self._served
        asked = asked_to_wait(error)
        self._counts(job, error, now, asked)
        wait = min(_WAIT_MAX, 2.0 ** min(job.calls - 1, 6)) * (0.5 + 0.5 * self._limits.jitter())
        wait = max(wait, asked)
        is_spent = job.rounds >= _ROUNDS or asked > self._policy.outage_timeout or self._is_alone(job, now + wait)
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
            self._evidence.failed(job, now, is_general=classify(error).is_general)
        if is_probe or (not is_aside and job.calls == 1):
            self._breaker.failed(job.item.customer_id, now, asked=asked, is_probe=is_probe)
        job.is_probe = False
        self._businesses.probe_ended(job, now)
        if known is not None and known.is_given_up and self._in_doubt >= PARKED:
            for each in self._businesses.take_new(known):
                self._skip(each, now)
        if job.calls == 1:
            self._queue.doubt(job.business)
            if self._businesses.failed(job.business, self._served):
                self._set_aside(job.business, now)
        if is_probe and self._may_read_on(job, error, now):
            self._read_on += self._read_on_step
            self._read_on_step *= 2

    def _may_read_on(self, job: Job, error: ThredfiError, now: float) -> bool:
        """Return whether what fails is rather one business than the API, and has failed for long."""
        evidence = self._evidence
        is_likely = evidence.is_one_business and (job.answered or not classify(error).is_general)
        return is_likely and now - (evidence.failing_since or now) >= self._patience

    @property
    def _patience(self) -> float:
        """Seconds for which many may fail together before other evidence than a served call speaks for the API.

        They are more where no one else is held up by waiting.
        """
        return self._policy.outage_timeout * (_PATIENCE_AT_END if self._has_ended else _PATIENCE)

    def _is_alone(self, job: Job, next_try: float) -> bool:
        """Return whether a job has no one beside it, and no witness: it ends after its own tries."""
        evidence = self._evidence
        if self._breaker.is_open or evidence.is_several or evidence.has_witness or self._has_others:
            return False
        since = next_try if evidence.failing_since is None else evidence.failing_since
        return job.calls >= _TRIES_ALONE or next_try - since >= self._policy.outage_timeout

    def _give_up(self, job: Job, error: ThredfiError, now: float) -> None:
        result = failure_of(job, error)
        known = self._businesses.get(job.business)
        if job.calls and not result.state.is_success:
            is_business = known is not None and known.is_at_fault
            stopped = self._rate.failed(job, error, is_business=is_business) if not self.draining else None
            if known is not None and job.number is not None:
                known.numbers.append(job.number)
            if stopped is not None:
                stopped.__cause__ = error
                self.stop(stopped, now)
        self._resolve(job, result)

    def _resolve(self, job: Job, result: ArchiveResult | None) -> None:
        self._active -= 1
        self._held -= result is None
        if job.fails:
            job.fails = False
            self._failing -= 1
            if not self._failing:
                self._evidence.clear()
        self._resolved.append(Resolve(job, result))

    @property
    def _has_others(self) -> bool:
        """Whether there are customers that were not tried, whose calls will tell."""
        return self._queue.new > 0 or self._first_calls > 0

    # -- businesses

    def _take(self, job: Job, now: float) -> None:
        known = self._businesses.get(job.business)
        if known is None or known.aside is None:
            self._queue.add(job, is_doubtful=known is not None)
        else:
            self._aside(known, job, now)

    def _aside(self, known: Business, job: Job, now: float) -> None:
        """Let a job wait with its business, if it may be probed with, and if there is room for that."""
        if known.aside == "refused" or (not job.calls and known.is_given_up and self._in_doubt >= PARKED):
            self._skip(job, now)
        else:
            self._businesses.put(known, job)

    def _skip(self, job: Job, now: float) -> None:
        self._give_up(job, job.error or self._businesses.error_of(job.business), now)

    def _is_sound(self, business: "UUID", now: float) -> None:
        """Take a business back into good standing, and its jobs that were set aside."""
        self._queue.trust(business)
        for job in self._businesses.served(business):
            if job.calls:
                self._queue.postpone(job, now)
            else:
                self._queue.add(job, is_doubtful=False)

    @property
    def _in_doubt(self) -> int:
        """Jobs that have failed, or wait for their business to be served again."""
        return self._failing + self._queue.doubtful + self._businesses.new

    def _set_aside(self, business: "UUID", now: float) -> None:
        known = self._businesses.set_aside(business, now)
        self._rate.forgive(known.numbers)
        parked = self._businesses.take_all(known) if known.aside == "refused" else []
        for job in [*parked, *self._queue.take_business(business)]:
            self._aside(known, job, now)
