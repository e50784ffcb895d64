"""Decides what a run does next. It is told what happens and what time it is; it does nothing, and waits for nothing."""

import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import attrs

from thredfi_async import APIError, ThredfiError
from thredfi_async._jobs.circuit_breaker import CircuitBreaker
from thredfi_async._outcomes import classify
from thredfi_async.bulk.engine.businesses import Business, Businesses
from thredfi_async.bulk.engine.decisions import Ask, Decision, Done, Read, Resolve, Start, Wait
from thredfi_async.bulk.engine.evidence import Evidence
from thredfi_async.bulk.engine.failure_rate import FailureRate
from thredfi_async.bulk.engine.job import Job
from thredfi_async.bulk.engine.outcomes import asked_to_wait, failure_of, slim, stop_for
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
_DONE: Final = Done()
_NEWS: Final = Wait()


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


class Scheduler:
    """Decides which job is sent next, what a failure means, and when a run ends.

    Tell it what happens; after each time, ask `next` until it says to wait. A job that it starts is told of exactly
    once: by `served`, `failed` or `cut`. Every job that is added leaves by one `Resolve`.

    Args:
        limits: Its settings.

    Attributes:
        in_flight: Calls in flight.
        draining: Whether no more calls begin.
        stopped: Why the run stops by itself, if it does.
        is_hopeless: Whether calls in flight need not be waited for, since the API does not answer.
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
        self._asked: Ask | None = None
        self._held = self._active = self._served = self._calls_served = 0
        self._is_reading = self._has_ended = self._tries_again = False
        self._read_on, self._read_on_step = 0, BATCH
        self._first_calls = 0
        self._last_error: ThredfiError | None = None
        self.in_flight: int = 0
        self.draining: bool = False
        self.stopped: BulkStoppedError | None = None
        self.is_hopeless: bool = False

    # -- what is known

    @property
    def waiting(self) -> int:
        """Jobs that wait for their turn, or for another try."""
        return len(self._queue) + self._businesses.waiting

    @property
    def held(self) -> int:
        """Items that were read, and not yet taken by the consumer."""
        return self._held

    @property
    def breaker(self) -> CircuitBreaker:
        """Says whether only probes are sent; to look at."""
        return self._breaker

    @property
    def is_complete(self) -> bool:
        """Whether every item of the input has been dealt with."""
        return self._has_ended and not self.draining and not self._active

    @property
    def wants_items(self) -> bool:
        """Whether items may be read now."""
        is_over = self._is_reading or self._has_ended or self.draining
        return not is_over and self._held + BATCH <= self._limits.window

    @property
    def may_do_more(self) -> bool:
        """Whether `next` may have more to do beside what it has just decided."""
        return self.in_flight < self._limits.concurrency or self._breaker.is_open or self.wants_items

    # -- what happens

    def read(self, jobs: Sequence[Job], now: float) -> None:
        """Note that items were read, and take those of them that are to be sent."""
        self._is_reading = False
        self._held += len(jobs)
        self._active += len(jobs)
        for job in jobs:
            if self.draining:
                self._resolve(job, None)
            else:
                self._take(job, now)

    def input_ended(self) -> None:
        """Note that no more items will come."""
        self._is_reading = False
        self._has_ended = True

    def taken(self) -> bool:
        """Note that the consumer took a result; return whether items may be read now."""
        self._held -= 1
        return self.wants_items

    def served(self, job: Job, result: ArchiveResult, now: float) -> None:
        """Note that a job's call has its answer, which is its result."""
        self._ends(job)
        self._is_served(job, now)
        self._put_back(self._businesses.served(job.business), now)
        if result.state.is_success:
            self._evidence.archived(job)
        self._resolve(job, result)

    def failed(self, job: Job, error: ThredfiError, now: float) -> None:
        """Note that a job's call has failed."""
        self._ends(job)
        job.error = self._last_error = slim(error)
        stopped = stop_for(error)
        if stopped is not None:
            self._left(job, now)
            self._give_up(job, error, now)
            self.stop(stopped, now)
        elif error.transient:
            self._fails_for_now(job, error, now)
        else:
            self._fails_for_good(job, error, now)

    def cut(self, job: Job, result: ArchiveResult | None, now: float) -> None:
        """Note that a job's call was cut off, and what is known of it; None if nothing was sent."""
        self._ends(job)
        self._left(job, now)
        self._resolve(job, result)

    def witnessed(self, error: ThredfiError | None, now: float) -> None:
        """Note what came of a question about a record that this run has archived."""
        asked, self._asked = self._asked, None
        row = None if error is None else classify(error)
        if error is not None and row is not None and (error.transient or row.stops is not None):
            self._breaker.open(now, asked=asked_to_wait(error))
            return
        self._is_alive()
        if asked is not None:
            self._calls_served += 1
            self._set_aside_all(self._businesses.suspects(asked.business_id), now)

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

    # -- the decision

    def next(self, now: float) -> Decision:
        """Return what to do now; ask again after doing it, and after each thing that happens."""
        self._check_outage(now)
        if self._resolved:
            return self._resolved.popleft()
        if self.draining:
            return _NEWS if self.in_flight or self._is_reading or self._asked is not None else _DONE
        if self.wants_items:
            self._is_reading = True
            return Read(BATCH)
        if self._reads_on(now):
            return self._resolved.popleft()
        # Questions first: retries of those that fail could take every turn for ever.
        return self._end() or self._question(now) or self._start(now) or self._last(now) or self._wait(now)

    def _end(self) -> Done | None:
        return _DONE if self._has_ended and not self._active else None

    def _start(self, now: float) -> Start | None:
        breaker, within = self._breaker, None
        if self._asked is not None or self.in_flight >= self._limits.concurrency:
            return None
        if breaker.is_open:
            if self._evidence.is_one_business and self._queue.has_other(self._evidence.businesses):
                breaker.probe_now()
            if not breaker.may_start(now, self.in_flight):
                return None
            job = self._probe()
            within = max(0.0, self._deadline() - now)
        elif breaker.may_start(now, self.in_flight):
            job = self._turn(now)
        else:
            return None
        if job is None:
            return None
        job.is_probe = breaker.starts()
        job.served = self._served if not job.calls else job.served
        job.calls += 1
        self._first_calls += job.calls == 1
        job.answered = job.is_sending = False
        self.in_flight += 1
        return Start(job, within)

    def _turn(self, now: float) -> Job | None:
        """Take a job that is due for another try, or a new one, by turns: neither holds up the other."""
        self._tries_again = not self._tries_again or not self._queue.new
        again = self._queue.take_due(now) or self._businesses.take_probe(now) if self._tries_again else None
        return again or self._queue.take_new()

    def _probe(self) -> Job | None:
        """Take a job to probe with: a new one of a business that has not failed, and one that has failed, by turns."""
        self._tries_again = not self._tries_again
        new = self._queue.take_later() if not self._tries_again else None
        new = new or self._queue.take_new(besides=self._evidence.businesses) or self._queue.take_new()
        return new or self._queue.take_later() or self._businesses.take_probe(None)

    def _question(self, now: float) -> Decision | None:
        """Look for a witness where there is no one else to send: the API may be down, or those that failed at fault."""
        evidence = self._evidence
        if evidence.failing_since is None or evidence.is_asked or self._asked is not None:
            return None
        needs_other = self._breaker.is_open and evidence.is_one_business and evidence.has_other_witness
        if self._has_others and not needs_other:
            return None
        evidence.is_asked = True
        if evidence.is_answered and not self._queue.new:
            self._is_alive()
        elif evidence.has_witness:
            self._asked = evidence.witness()
            return self._asked
        elif evidence.is_several:
            self._breaker.open(now)
        return None

    @property
    def _has_others(self) -> bool:
        """Whether there are customers that were not tried, whose calls will tell."""
        return self._queue.new > 0 or self._first_calls > 0

    def _last(self, now: float) -> Decision | None:
        """Give up what is left of businesses that are set aside, once nothing else is left."""
        if self.in_flight or not self._has_ended or len(self._queue) or self._asked is not None:
            return None
        for job in self._businesses.given_up():
            self._skip(job, now)
        if self._resolved:
            return self._resolved.popleft()
        return None

    def _wait(self, now: float) -> Wait:
        if self._breaker.is_open:
            probe_at = self._breaker.probe_at
            times = [] if probe_at is None or not self.waiting else [probe_at, self._deadline()]
        else:
            due = self._queue.next_try
            times = [*([] if due is None else [due]), *self._businesses.next_probes()]
        return Wait(min((time for time in times if time > now), default=None))

    def _deadline(self) -> float:
        since = self._breaker.failing_since if self._evidence.failing_since is None else self._evidence.failing_since
        return (since or 0.0) + self._policy.outage_timeout

    def _check_outage(self, now: float) -> None:
        if not self._breaker.is_open or self.draining or now < self._deadline() or not (self.waiting or self.in_flight):
            return
        timeout, cause = self._policy.outage_timeout, self._last_error
        reason = f"the API has been unavailable for {timeout:g} s ({cause}): resume when it is available again"
        stopped = BulkStoppedError(reason, cause="api_unavailable")
        stopped.__cause__ = cause
        self.is_hopeless = True
        self.stop(stopped, now)

    # -- what an end means

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

    def _reads_on(self, now: float) -> bool:
        """Give up a batch of the only business at hand, which fails and may not be the API's fault, to see others."""
        evidence = self._evidence
        is_full = self._active + BATCH > self._limits.window and not (self._has_ended or self._is_reading)
        if not (is_full and self._read_on > 0 and self._breaker.is_open and evidence.is_one_business):
            return False
        (business,) = evidence.businesses
        self._read_on -= BATCH
        for _ in range(BATCH):
            job = self._queue.take_last(business)
            if job is not None:
                self._skip(job, now)
        return bool(self._resolved)
