"""Decides what a run does next. It is told what happens and what time it is; it does nothing, and waits for nothing."""

from collections.abc import Sequence
from typing import Final

from thredfi_async import ThredfiError
from thredfi_async._jobs.circuit_breaker import CircuitBreaker
from thredfi_async._outcomes import classify
from thredfi_async.bulk.engine.decisions import Ask, Decision, Done, Read, Start, Wait
from thredfi_async.bulk.engine.job import Job
from thredfi_async.bulk.engine.judge import Judge
from thredfi_async.bulk.engine.limits import BATCH, PARKED, Limits
from thredfi_async.bulk.engine.outcomes import asked_to_wait, slim, stop_for
from thredfi_async.bulk.errors import BulkStoppedError
from thredfi_async.bulk.items import ArchiveResult

_DONE: Final = Done()
_NEWS: Final = Wait()
_QUICK: Final = 128
"""Businesses that are probed at once while the API seems down, since none of their customers has failed."""
_LONGEST_QUESTION: Final = 30.0
_LAST_CALL: Final = 5.0
"""Seconds before the outage timeout at which the API is probed once more, at most."""
_BURST: Final = 0.1
"""Seconds whose calls may begin together under a rate."""


class Scheduler(Judge):
    """Decides which job is sent next, what a failure means, and when a run ends.

    Tell it what happens; after each time, ask `next` until it says to wait. A job that it starts is told of exactly
    once: by `served`, `failed` or `cut`. Every job that is added leaves by one `Resolve`.

    Args:
        limits: Its settings.

    Attributes:
        is_hopeless: Whether calls in flight need not be waited for, since the API does not answer.
    """

    def __init__(self, limits: Limits) -> None:
        """Begin without jobs."""
        super().__init__(limits)
        self._asked: Ask | None = None
        self._is_reading = self._tries_again = False
        self._interval = 0.0 if limits.rate is None else 1.0 / limits.rate
        self._burst = _BURST if self._interval else 0.0
        self._next_start = float("-inf")
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
        if self._is_reading or self._has_ended or self.draining:
            return False
        return self._held - min(self._in_doubt, PARKED) + BATCH <= self._window

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
        self._is_sound(job.business, now)
        self._recovers(job)
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
        self._left(job, now, is_sent=result is not None)
        self._resolve(job, result)

    def witnessed(self, error: ThredfiError | None, now: float) -> None:
        """Note what came of a question about a record that this run has archived."""
        self._asked = None
        row = None if error is None else classify(error)
        if error is not None and row is not None and (error.transient or row.stops is not None):
            self._breaker.open(now, asked=asked_to_wait(error))
            return
        self._evidence.answered()
        self._is_last_call = False

    # -- the decision

    def next(self, now: float) -> Decision:
        """Return what to do now; ask again after doing it, and after each thing that happens."""
        if self._breaker.is_open:
            self._check_outage(now)
        if self._resolved:
            return self._resolved.popleft()
        if self.draining:
            return _NEWS if self.in_flight or self._is_reading or self._asked is not None else _DONE
        if self.wants_items:
            self._is_reading = True
            return Read(BATCH)
        if self._read_on > 0 and self._reads_on(now):
            return self._resolved.popleft()
        # Questions first: retries of those that fail could take every turn for ever.
        return self._end() or self._question(now) or self._last(now) or self._start(now) or self._wait(now)

    def _end(self) -> Done | None:
        return _DONE if self._has_ended and not self._active else None

    def _start(self, now: float) -> Start | None:
        breaker, within = self._breaker, None
        if self.in_flight >= self._limits.concurrency:
            return None
        if now < self._next_start - self._burst:
            return None
        if breaker.is_open and not breaker.is_probing:
            self._hurry(now)
        if not breaker.may_start(now, self.in_flight):
            return None
        if breaker.is_open:
            job, within = self._probe(), max(0.0, self._deadline() - now)
        else:
            job = self._turn(now)
        if job is None:
            return None
        job.is_probe = breaker.starts()
        job.served = self._served if not job.calls else job.served
        job.calls += 1
        job.answered = False
        if self._interval:
            self._next_start = max(self._next_start, now) + self._interval
        self._begins(job)
        return Start(job, within)

    def _hurry(self, now: float) -> None:
        """Probe at once where that may end the waiting: a business that has not failed, and any before the deadline."""
        if self._queue.sound and self._quick < _QUICK:
            # If one of a business that has not failed is served, the API is not down.
            self._quick += 1
            self._breaker.probe_now()
        elif not self._is_last_call and now >= self._last_call():
            self._is_last_call, self._evidence.is_asked = True, False
            self._breaker.probe_now()

    def _last_call(self) -> float:
        """Return when to probe once more before the run gives up."""
        return self._deadline() - min(_LAST_CALL, self._policy.outage_timeout / 4.0)

    def _turn(self, now: float) -> Job | None:
        """Take a job that is due for another try, or a new one, by turns: neither holds up the other."""
        self._tries_again = not self._tries_again or not self._queue.new
        again = self._queue.take_due(now) or self._businesses.take_probe(now) if self._tries_again else None
        return again or self._queue.take_new()

    def _probe(self) -> Job | None:
        """Take a job to probe with: of a business that has not failed, else a new one and one that failed by turns.

        The new one is the last, since customers that always fail may be neighbours.
        """
        if self._quick < _QUICK and (sound := self._queue.take_sound()) is not None:
            return sound
        self._tries_again = not self._tries_again
        again = self._queue.take_later() if self._tries_again else None
        new = again or self._queue.take_last() or self._queue.take_new()
        return new or self._queue.take_later() or self._businesses.take_probe(None)

    def _question(self, now: float) -> Decision | None:
        """Look for a witness where no other call will tell: the API may be down, or those that failed at fault."""
        evidence = self._evidence
        if self._believes(now) or evidence.failing_since is None or evidence.is_asked or self._asked is not None:
            return None
        if self._has_others and not self._breaker.is_open:
            return None
        evidence.is_asked = True
        if evidence.has_witness:
            self._asked = evidence.witness(min(_LONGEST_QUESTION, max(0.0, self._deadline() - now)))
        elif evidence.is_several and not self._has_others:
            self._breaker.open(now)
        return self._asked

    def _believes(self, now: float) -> bool:
        """Take the answer to a question as a sign that the API serves others, if it may be."""
        if not self._evidence.is_believed(now, self._patience):
            return False
        self._evidence.believe(now)
        self._is_alive(now)
        return True

    def _last(self, now: float) -> Decision | None:
        """Give up what is left of businesses that are set aside, once nothing else is left."""
        if not self._has_ended or len(self._queue) or self.in_flight > self._businesses.probing:
            return None
        for job in self._businesses.given_up():
            self._skip(job, now)
        if self._resolved:
            return self._resolved.popleft()
        return None

    def _wait(self, now: float) -> Wait:
        if self._breaker.is_open:
            probe_at = self._breaker.probe_at
            times = [] if probe_at is None or not self.waiting else [probe_at, self._last_call(), self._deadline()]
            if self._evidence.is_answered and self._evidence.failing_since is not None:
                times.append(self._evidence.failing_since + self._patience)
        else:
            due = self._queue.next_try
            times = [*([] if due is None else [due]), *self._businesses.next_probes()]
        if self._interval and self.waiting:
            times.append(self._next_start - self._burst)
        return Wait(min((time for time in times if time > now), default=None))

    def _deadline(self) -> float:
        silent = self._evidence.silent_since
        since = self._breaker.failing_since if silent is None else silent
        return (since or 0.0) + self._policy.outage_timeout

    def _check_outage(self, now: float) -> None:
        if self.draining or now < self._deadline() or not (self.waiting or self.in_flight):
            return
        timeout, cause = self._policy.outage_timeout, self._last_error
        reason = f"the API has been unavailable for {timeout:g} s ({cause}): resume when it is available again"
        stopped = BulkStoppedError(reason, cause="api_unavailable")
        stopped.__cause__ = cause
        self.is_hopeless = True
        self.stop(stopped, now)

    def _reads_on(self, now: float) -> bool:
        """Give up a batch of the only business at hand, which fails and may not be the API's fault, to see others."""
        evidence = self._evidence
        is_full = self._active - min(self._in_doubt, PARKED) + BATCH > self._window
        is_full = is_full and not (self._has_ended or self._is_reading)
        if not (is_full and self._breaker.is_open and evidence.is_one_business):
            return False
        self._read_on -= BATCH
        for _ in range(BATCH):
            job = self._queue.take_last()
            if job is not None:
                self._skip(job, now)
        return bool(self._resolved)
