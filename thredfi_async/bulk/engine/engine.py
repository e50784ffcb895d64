"""The engine of a run: one task owns all others, and none is left when it ends."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import attrs

from thredfi_async import Clock, WorkEnded
from thredfi_async._jobs.metrics import Metrics, Snapshot
from thredfi_async._jobs.work import FollowedWork
from thredfi_async.bulk.engine.calls import MakesCalls
from thredfi_async.bulk.engine.decisions import Resolve
from thredfi_async.bulk.engine.job import Job
from thredfi_async.bulk.engine.limits import Limits
from thredfi_async.bulk.engine.results_queue import ResultsQueue
from thredfi_async.bulk.engine.scheduler import Scheduler
from thredfi_async.bulk.engine.worker_pool import Work, WorkerPool
from thredfi_async.bulk.errors import BulkStoppedError, JournalError
from thredfi_async.bulk.input import Input
from thredfi_async.bulk.items import ArchiveResult
from thredfi_async.bulk.store import Publish, Store, uninterrupted

_DRAINED: Final = "drained"
_INTERRUPTED: Final = "interrupted"


@attrs.frozen(kw_only=True, eq=False)
class Plan:
    """The parts of a run.

    Args:
        limits: The scheduler's settings.
        calls: Makes what calls the API.
        clock: Tells the time and sleeps.
        input: Starts to read the items.
        store: Makes the store.
        work: Tells the client's hooks of the run.
    """

    limits: Limits
    calls: Callable[[Metrics], MakesCalls]
    clock: Clock
    input: Callable[[], Input]
    store: Callable[[Metrics, Publish], Store]
    work: Callable[[], FollowedWork]


class Engine:
    """Connects the parts of a run; `ArchiveRun` is its public interface.

    Items pass through the input, the store, the scheduler and its worker pool, the store again, and the results queue.
    Together, these hold no more than a window of items.

    Args:
        plan: Its parts.
    """

    def __init__(self, plan: Plan) -> None:
        """Start nothing yet."""
        self._plan = plan
        self._now = plan.clock.monotonic
        self._metrics = Metrics()
        self._results = ResultsQueue()
        self._store = plan.store(self._metrics, self._results.publish)
        self._scheduler = Scheduler(plan.limits)
        self._pool = WorkerPool(
            self._scheduler,
            Work(
                calls=plan.calls(self._metrics),
                clock=plan.clock,
                metrics=self._metrics,
                read=self._read,
                resolve=self._resolve,
                fail=self._fail,
                drained=self._stop_reading,
            ),
        )
        self._input: Input | None = None
        self._broken_off: BaseException | None = None
        self._read_so_far = 0
        self._why: str | None = _INTERRUPTED

    # -- for `ArchiveRun`

    async def next_result(self) -> ArchiveResult | None:
        """Return the next result; None at the end.

        Raises:
            BaseException: Why the run stopped; once, after the last result.
        """
        result = await self._results.get()
        if result is not None and self._scheduler.taken():
            self._pool.notify()
        return result

    def drain(self) -> None:
        """Take no new items; those in flight end."""
        self._scheduler.drain(self._now())
        self._pool.notify()

    def snapshot(self) -> Snapshot:
        """Return a snapshot of the run."""
        scheduler, metrics, now = self._scheduler, self._metrics, self._now()
        p50, p90, p99 = metrics.percentiles
        probe_at = scheduler.breaker.probe_at
        return Snapshot(
            done=metrics.done,
            by_state=dict(metrics.by_state),
            duplicates=metrics.duplicates,
            skipped=metrics.skipped,
            invalid_lines=self._store.invalid_lines,
            in_flight=scheduler.in_flight,
            waiting=scheduler.waiting,
            concurrency=scheduler.breaker.room(self._plan.limits.concurrency),
            cooldown=0.0 if probe_at is None else max(0.0, probe_at - now),
            paused=scheduler.breaker.is_open,
            requests=metrics.requests,
            retries=metrics.retries,
            rate=metrics.rate(now),
            p50_ms=p50,
            p90_ms=p90,
            p99_ms=p99,
        )

    # -- the owner

    async def main(self) -> None:
        """Run to the end; keep an error until the next result is asked for, and raise it there."""
        work = self._plan.work()
        try:
            await self._store.begin()
            try:
                await self._supervise()
            except asyncio.CancelledError:
                self._results.close()
                raise
            finally:
                await uninterrupted(asyncio.ensure_future(self._finish()))
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - it is raised where results are awaited
            # The journal's error holds results that could not be written, so it matters more than any other.
            if self._results.error is None or isinstance(error, JournalError):
                self._results.error = error
        finally:
            work.end(self._ended())
            self._results.end()

    def _ended(self) -> WorkEnded:
        error, counts = self._results.error, self._metrics.by_state
        return WorkEnded(
            outcome="completed" if self._why is None else "stopped",
            error=None if error is None else type(error).__name__,
            counts={state.value: count for state, count in counts.items()},
        )

    async def _supervise(self) -> None:
        self._input = self._plan.input()
        async with asyncio.TaskGroup() as group:
            helpers = [group.create_task(self._guarded(each)) for each in (self._store.run(), self._sample())]
            try:
                await self._pool.run(group, self._plan.limits.concurrency)
            finally:
                for helper in helpers:
                    helper.cancel()
        stopped = self._scheduler.stopped
        if stopped is not None and (self._results.error is None or self._results.error is self._broken_off):
            stopped.__context__ = self._broken_off
            self._results.error = stopped

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """Let an error in one task drain the run, and not cut off the calls of the others."""
        try:
            await work
        except Exception as error:  # noqa: BLE001 - it ends the run, and is raised there
            self._fail(error)

    async def _finish(self) -> None:
        self._why = how = self._how()
        self._scheduler.drain(self._now())
        while isinstance(decision := self._scheduler.next(self._now()), Resolve):
            self._resolve(decision.job, decision.result)
        try:
            if self._input is not None:
                await self._input.aclose()
        finally:
            await self._store.end(how)

    def _how(self) -> str | None:
        """Return why the run stops before its end; None if it does not."""
        match self._results.error:
            case None if self._scheduler.draining:
                return _DRAINED
            case None:
                return None if self._scheduler.is_complete else _INTERRUPTED
            case BulkStoppedError() as error:
                return error.cause
            case error:
                return type(error).__name__

    def _fail(self, error: Exception) -> None:
        if self._results.error is None:
            self._results.error = self._scheduler.stopped or error
        self.drain()

    def _stop_reading(self) -> None:
        if self._input is not None:
            self._input.stop()

    # -- items in, outcomes out

    async def _read(self, count: int) -> Sequence[Job] | None:
        assert self._input is not None  # noqa: S101 - the pool runs after it is made
        try:
            items = await self._input.take(count)
        except Exception as error:  # noqa: BLE001 - whatever the iterable raises
            # As at the input's end: items that were read are finished. Then the error is raised.
            if self._results.error is None:
                self._results.error = self._broken_off = error
            return None
        if not items:
            return None
        jobs = [Job(item, number) for number, item in enumerate(items, self._read_so_far)]
        self._read_so_far += len(items)
        return await self._store.admit(jobs)

    def _resolve(self, job: Job, result: ArchiveResult | None) -> None:
        if result is None:
            self._store.give_back(job)
        else:
            self._store.settle(job, result)

    async def _sample(self) -> None:
        while True:
            self._metrics.tick(self._now())
            self._store.sample(self.snapshot())
            await asyncio.sleep(1.0)
