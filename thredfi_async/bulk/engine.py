"""The engine of a run: one task owns all others, workers live as long as it, and nothing is left when it ends."""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, Protocol

from thredfi_async import APIError, Clock, ThredfiError
from thredfi_async.bulk.calls import Calls, UnexpectedError
from thredfi_async.bulk.errors import BulkStoppedError, JournalError
from thredfi_async.bulk.gauges import Gauges, Meter
from thredfi_async.bulk.intake import Intake
from thredfi_async.bulk.items import ArchiveItem, ArchiveResult
from thredfi_async.bulk.job import Job
from thredfi_async.bulk.judgement import failure_of, stops
from thredfi_async.bulk.ledger import Ledger, uninterrupted
from thredfi_async.bulk.lineup import Lineup
from thredfi_async.bulk.patience import Patience
from thredfi_async.bulk.policy import StopPolicy, Watch

BATCH: Final = 256
_ROUNDS: Final = 5
"""Calls that an item may fail in while the API serves others."""
_LONGEST_BACKOFF: Final = 30.0
_DRAINED: Final = "drained"
_CANCELLED: Final = "cancelled"


class RateLimit(Protocol):
    """Lets so many calls begin a second."""

    def acquire(self) -> Awaitable[None]:
        """Wait for a turn."""
        ...


class Engine:
    """What a run is made of; `ArchiveRun` is what its user holds.

    Args:
        calls: Carries single items.
        ledger: Builds what remembers them.
        intake: Begins to read them.
        concurrency: Items under way at most.
        stop: When to stop before the end.
        rate: Lets calls begin, or None for no limit.
        clock: Tells the time and sleeps.
    """

    def __init__(  # noqa: PLR0913 - the parts of a run, by name
        self,
        *,
        calls: Calls,
        ledger: Callable[[Meter, Callable[[Sequence[ArchiveResult]], None]], Ledger],
        intake: Callable[[], Intake],
        concurrency: int,
        stop: StopPolicy,
        rate: RateLimit | None,
        clock: Clock,
    ) -> None:
        """Start nothing yet."""
        self._calls = calls
        self._concurrency = concurrency
        self._stop = stop
        self._rate = rate
        self._clock = clock
        self._window = max(4 * BATCH, 4 * concurrency)
        self._meter = Meter()
        self._ledger = ledger(self._meter, self._publish)
        self._make_intake = intake
        self._intake: Intake | None = None
        self._lineup = Lineup()
        self._patience = Patience(stop.patience, clock.monotonic)
        self._watch = Watch(stop)
        self._output: deque[ArchiveResult] = deque()
        self._consumer: asyncio.Future[None] | None = None
        self._idlers: deque[asyncio.Future[None]] = deque()
        self._room = asyncio.Event()
        self._changed = asyncio.Event()
        self._feeder: asyncio.Task[None] | None = None
        self._reading = False
        self._in_flight = 0
        self._fed = self._draining = self._ended = False
        self._error: BaseException | None = None

    # -- for whoever holds the run

    async def next_result(self) -> ArchiveResult | None:
        """Return the next result; None at the end.

        Raises:
            BaseException: Why the run stopped; once, after the last result.
        """
        while not self._output:
            if self._ended:
                error, self._error = self._error, None
                if error is not None:
                    raise error
                return None
            self._consumer = asyncio.get_running_loop().create_future()
            await self._consumer
        result = self._output.popleft()
        if self._reading and not self._room.is_set() and self._has_room():
            self._room.set()
        return result

    def drain(self) -> None:
        """Take no new items; those in flight end."""
        if self._draining:
            return
        self._draining = True
        for job in self._lineup.clear():
            if job.error is not None:
                self._resolve(job, failure_of(job, job.error))
            else:
                self._ledger.give_back(job)
        if self._feeder is not None and self._reading:
            self._feeder.cancel()
        self._wake()

    def gauges(self) -> Gauges:
        """Look at the run."""
        meter, now = self._meter, self._clock.monotonic()
        p50, p90, p99 = meter.percentiles
        return Gauges(
            done=meter.done,
            by_state=dict(meter.by_state),
            duplicates=meter.duplicates,
            skipped=meter.skipped,
            malformed=meter.malformed,
            in_flight=self._in_flight,
            waiting=len(self._lineup),
            concurrency=self._patience.room(self._concurrency),
            cooldown=(self._patience.wait() or 0.0),
            paused=self._patience.is_paused,
            retries=meter.retries,
            rate=meter.rate(now),
            p50_ms=p50,
            p90_ms=p90,
            p99_ms=p99,
        )

    # -- the owner

    async def main(self) -> None:
        """Run to the end. What goes wrong is kept for whoever asks for the next result."""
        try:
            await self._ledger.begin()
            try:
                await self._supervise()
            finally:
                await uninterrupted(asyncio.ensure_future(self._finish()))
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - it is raised where results are awaited
            # The journal's last word counts results that are in no journal: nothing else that went wrong matters more.
            if self._error is None or isinstance(error, JournalError):
                self._error = error
        finally:
            self._ended = True
            self._tell_consumer()

    async def _supervise(self) -> None:
        self._intake = self._make_intake()
        async with asyncio.TaskGroup() as group:
            beside: list[Coroutine[Any, Any, None]] = [self._ledger.run(), self._pace(), self._tick()]
            helpers = [group.create_task(self._guarded(each)) for each in beside]
            self._feeder = group.create_task(self._guarded(self._feed()))
            workers = [group.create_task(self._guarded(self._work())) for _ in range(self._concurrency)]
            await asyncio.wait([self._feeder, *workers])
            for helper in helpers:
                helper.cancel()

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """Let what goes wrong in one task end the run in order, and not cut off the calls of all others."""
        try:
            await work
        except Exception as error:  # noqa: BLE001 - it ends the run, and is raised there
            self._fail(error)

    async def _finish(self) -> None:
        how = self._how()
        self._draining = True
        for job in self._lineup.clear():
            if job.error is not None:
                self._resolve(job, failure_of(job, job.error))
            else:
                self._ledger.give_back(job)
        try:
            if self._intake is not None:
                await self._intake.aclose()
        finally:
            await self._ledger.end(how)

    def _how(self) -> str | None:
        """Say why the run ends before its end; None if it does not."""
        match self._error:
            case None:
                return None if self._is_over() and not self._draining else _DRAINED if self._draining else _CANCELLED
            case BulkStoppedError() as error:
                return error.cause
            case error:
                return type(error).__name__

    def _fail(self, error: Exception) -> None:
        if self._error is None:
            self._error = error
        self.drain()

    # -- items in

    async def _feed(self) -> None:
        index = 0
        try:
            while not self._draining:
                self._reading = True
                while not self._has_room():
                    self._room.clear()
                    await self._room.wait()
                items = await self._take()
                self._reading = False
                if not items:
                    return
                jobs = [Job(item, number) for number, item in enumerate(items, index)]
                index += len(items)
                self._line_up(await self._ledger.admit(jobs))
        finally:
            self._reading = False
            self._fed = True
            self._wake()

    async def _take(self) -> Sequence[ArchiveItem]:
        assert self._intake is not None  # noqa: S101 - made before this task
        try:
            return await self._intake.take(BATCH)
        except Exception as error:  # noqa: BLE001 - whatever the iterable raises
            # As at the input's end: what was read is brought to its end. Then the error is raised.
            self._error = self._error or error
            return []

    def _line_up(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            if self._draining:
                self._ledger.give_back(job)
            else:
                self._lineup.add(job)
        self._wake(len(jobs))

    def _has_room(self) -> bool:
        held = len(self._lineup) + self._in_flight + self._ledger.held + len(self._output)
        return held <= self._window - BATCH

    # -- items under way

    async def _work(self) -> None:
        while not self._is_over():
            job = self._next()
            if job is None:
                idler = asyncio.get_running_loop().create_future()
                self._idlers.append(idler)
                await idler
            else:
                await self._carry(job)

    def _is_over(self) -> bool:
        return self._fed and not self._in_flight and not len(self._lineup)

    def _next(self) -> Job | None:
        patience = self._patience
        while patience.may_start(self._in_flight):
            now = self._clock.monotonic()
            job = self._lineup.take_any(now) if patience.is_paused else self._lineup.take(now)
            if job is None:
                return None
            parked = self._watch.parked(job.item.business_id)
            if parked is None:
                job.is_probe = patience.starts()
                self._in_flight += 1
                if job.error is not None:
                    self._changed.set()
                return job
            self._resolve(job, failure_of(job, job.error or parked))
        return None

    async def _carry(self, job: Job) -> None:
        try:
            if self._rate is not None:
                await self._rate.acquire()
            job.sent = True
            result = await self._calls.make(job)
        except ThredfiError as error:
            self._failed(job, error)
        except asyncio.CancelledError:
            if job.sent:
                self._ledger.cut(job)
            else:
                self._ledger.give_back(job)
            raise
        except UnexpectedError as error:
            # Whatever it is, it is not ours: no statement can be made about the item.
            self._ledger.cut(job)
            self._fail(error.reason)
        else:
            self._served(job)
            self._resolve(job, result)
        finally:
            self._in_flight -= 1
            if job.is_probe:
                self._patience.left()
                self._changed.set()
            if self._is_over():
                self._wake()
            elif self._idlers and len(self._lineup):
                self._wake(1)

    def _served(self, job: Job) -> None:
        if self._patience.succeeded(is_probe=job.is_probe, full=self._concurrency):
            self._changed.set()
            self._wake()

    def _failed(self, job: Job, error: ThredfiError) -> None:
        job.error = error
        stopped = stops(error)
        if stopped is not None:
            stopped.__cause__ = error
            self._resolve(job, failure_of(job, error))
            self._fail(stopped)
        elif not error.transient:
            if isinstance(error, APIError):
                self._served(job)
            self._resolve(job, failure_of(job, error))
        else:
            self._fails_for_now(job, error)

    def _fails_for_now(self, job: Job, error: ThredfiError) -> None:
        patience, now = self._patience, self._clock.monotonic()
        if job.answered:
            # The API is there, and serves questions: it is this request that it cannot digest.
            self._served(job)
        patience.failed(error, is_probe=job.is_probe)
        # Its failure counts only if the API has served somebody meanwhile: an outage burns nobody.
        if patience.served > job.served:
            job.rounds += 1
        job.served = patience.served
        asked = (error.retry_after or 0.0) if isinstance(error, APIError) else 0.0
        if self._draining or job.rounds >= _ROUNDS or asked > self._stop.patience:
            self._resolve(job, failure_of(job, error))
            return
        backoff = min(_LONGEST_BACKOFF, 2.0 ** (job.rounds - 1)) * (0.5 + 0.5 * random.random())  # noqa: S311 - a wait
        self._lineup.postpone(job, now + max(backoff, asked))
        self._changed.set()

    def _resolve(self, job: Job, result: ArchiveResult) -> None:
        self._meter.count(result)
        self._ledger.settle(job, result)
        if not job.sent:
            return
        stopped = self._watch.sees(result)
        if stopped is not None and self._error is None:
            stopped.__cause__ = result.error
            self._fail(stopped)

    # -- results out

    def _publish(self, results: Sequence[ArchiveResult]) -> None:
        self._output.extend(results)
        self._tell_consumer()

    def _tell_consumer(self) -> None:
        if self._consumer is not None and not self._consumer.done():
            self._consumer.set_result(None)

    # -- time

    async def _pace(self) -> None:
        """Wake workers when somebody's time has come, and see when patience is at its end."""
        while True:
            self._changed.clear()
            if self._patience.is_exhausted:
                self._give_up()
                return
            wait = self._next_moment()
            if wait is not None and wait > 0.0:
                await _first_of(self._clock.sleep(wait), self._changed.wait())
                continue
            if wait is not None:
                self._wake()
            await self._changed.wait()

    def _next_moment(self) -> float | None:
        if self._patience.is_paused:
            return self._patience.wait()
        due = self._lineup.next_try
        return None if due is None else due - self._clock.monotonic()

    def _give_up(self) -> None:
        cause = self._patience.last
        reason = f"the API has been unavailable for {self._stop.patience:g} s ({cause}): resume when it is well again"
        stopped = BulkStoppedError(reason, cause="api_unavailable")
        stopped.__cause__ = cause
        self._fail(stopped)

    async def _tick(self) -> None:
        while True:
            self._meter.tick(self._clock.monotonic())
            self._ledger.sample(self.gauges())
            await asyncio.sleep(1.0)

    def _wake(self, count: int | None = None) -> None:
        for _ in range(len(self._idlers) if count is None else min(count, len(self._idlers))):
            idler = self._idlers.popleft()
            if not idler.done():
                idler.set_result(None)


async def _first_of(*waits: Coroutine[Any, Any, object]) -> None:
    tasks = [asyncio.ensure_future(each) for each in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
