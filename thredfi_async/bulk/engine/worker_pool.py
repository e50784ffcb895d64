"""The worker pool of a run: does what the scheduler decides."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final

import attrs

from thredfi_async import Clock, Effect, InternalError, ThredfiError
from thredfi_async._jobs.metrics import Metrics
from thredfi_async._outcomes import raised_at
from thredfi_async.bulk.engine.calls import MakesCalls, effect_of
from thredfi_async.bulk.engine.condition import Condition
from thredfi_async.bulk.engine.decisions import Ask, Done, Read, Resolve, Start, Wait
from thredfi_async.bulk.engine.job import Job
from thredfi_async.bulk.engine.outcomes import failure_of
from thredfi_async.bulk.engine.scheduler import Scheduler
from thredfi_async.bulk.errors import CallInterruptedError

_TICK: Final = 0.001

if TYPE_CHECKING:
    from thredfi_async.bulk.items import ArchiveResult


@attrs.frozen(kw_only=True, eq=False)
class Work:
    """What a pool works with.

    Args:
        calls: Calls the API.
        clock: Tells the time and sleeps.
        metrics: Counts outcomes.
        read: Reads items, and returns the jobs that are to be sent; None at the end.
        resolve: Stores an outcome; None for a job that stays as it was before.
        fail: Called with an error that ends the run.
        drained: Called once no more calls begin.
    """

    calls: MakesCalls
    clock: Clock
    metrics: Metrics
    read: Callable[[int], Awaitable[Sequence[Job] | None]]
    resolve: "Callable[[Job, ArchiveResult | None], None]"
    fail: Callable[[Exception], None]
    drained: Callable[[], None]


class WorkerPool:
    """Runs workers that ask the scheduler what to do, do it, and tell it what came of it.

    All wait on one condition, which is notified after each change of the scheduler's state. A worker is made when there
    may be something to do, and none waits for it.

    Args:
        scheduler: Decides.
        work: What to work with.

    Attributes:
        changed: The condition.
    """

    def __init__(self, scheduler: Scheduler, work: Work) -> None:
        """Begin without workers."""
        self._scheduler = scheduler
        self._work = work
        self._now = work.clock.monotonic
        self._group: asyncio.TaskGroup | None = None
        self._workers: asyncio.TaskGroup | None = None
        self._spare = 0
        self._calling: set[asyncio.Task[None]] = set()
        self._asking: asyncio.Timeout | None = None
        self._timer: asyncio.Task[None] | None = None
        self._timer_ends = 0.0
        self._is_cutting = False
        self.changed: Condition = Condition()

    async def run(self, group: asyncio.TaskGroup, workers: int) -> None:
        """Work until the scheduler says that the run is done.

        Args:
            group: Owns the tasks.
            workers: How many calls may be in flight; one more reads.
        """
        self._group, self._spare = group, workers + 1
        async with asyncio.TaskGroup() as self._workers:
            self._wake_one()
        self._workers = None
        if self._timer is not None:
            self._timer.cancel()

    def notify(self) -> None:
        """Note that the scheduler's state has changed."""
        self._end_early()
        self._wake_one()

    def _wake_one(self) -> None:
        """Wake a worker that waits, or make one."""
        if not self.changed.notify() and self._spare and self._workers is not None:
            self._spare -= 1
            self._workers.create_task(self._loop())

    def _end_early(self) -> None:
        """Stop reading once no more calls begin, and cut calls off that need not be waited for."""
        if self._scheduler.draining:
            self._work.drained()
            self._cut_question()
        if self._scheduler.is_hopeless and not self._is_cutting:
            self._is_cutting = True
            for task in self._calling:
                task.cancel()

    def _cut_question(self) -> None:
        """Wait no longer for an answer that changes nothing any more."""
        if self._asking is not None and not self._asking.expired():
            self._asking.reschedule(0.0)

    async def _loop(self) -> None:
        while True:
            decision = self._scheduler.next(self._now())
            self._end_early()
            if isinstance(decision, Wait):
                if decision.until is not None:
                    self._set_timer(decision.until)
                await self.changed.wait()
                continue
            if isinstance(decision, Done):
                self._cut_question()
                self._spare = 0
                self.changed.notify()
                return
            if not isinstance(decision, Resolve) and self._scheduler.may_do_more:
                # This worker is busy with it for a while: another one looks whether there is more to do.
                self.notify()
            try:
                if isinstance(decision, Start):
                    await self._call(decision.job, decision.within)
                else:
                    await self._do(decision)
            except Exception as error:  # noqa: BLE001 - it ends the run, and is raised there
                self._work.fail(error)

    async def _do(self, decision: Ask | Read | Resolve) -> None:
        match decision:
            case Resolve(job=job, result=result):
                if result is not None:
                    self._work.metrics.count(result.state, result.elapsed if result.attempts else None)
                self._work.resolve(job, result)
            case Read(count=count):
                await self._read(count)
            case Ask():
                await self._ask(decision)

    async def _read(self, count: int) -> None:
        jobs: Sequence[Job] | None = None
        try:
            jobs = await self._work.read(count)
        finally:
            if jobs is None:
                self._scheduler.input_ended()
            else:
                self._scheduler.read(jobs, self._now())

    async def _ask(self, question: Ask) -> None:
        failure: ThredfiError | None = _interrupted("the question was cut off")
        try:
            async with asyncio.timeout(question.within) as self._asking:
                await self._work.calls.ask(question.business_id, question.customer_id)
            failure = None
        except ThredfiError as error:
            failure = error
        except TimeoutError:
            pass  # as if the API had not answered
        except asyncio.CancelledError:
            if _is_cancelled():
                raise
        finally:
            self._asking = None
            self._scheduler.witnessed(failure, self._now())

    # -- one call

    async def _call(self, job: Job, within: float | None) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine that runs has one
        self._calling.add(task)
        try:
            result = await (self._work.calls.make(job) if within is None else self._made(job, within))
        except ThredfiError as error:
            self._scheduler.failed(job, error, self._now())
        except asyncio.CancelledError as error:
            if not _is_cancelled():
                # The client raises it, and the run was not cancelled: it is the call that has failed.
                self._scheduler.failed(job, _cancelled_by_client(error), self._now())
                return
            failure = _cut_off(job, error)
            result_ = None if failure is None else failure_of(job, failure)
            self._scheduler.cut(job, result_, self._now())
            if not self._is_cutting or task.uncancel() > 0:
                raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the item has its outcome, and the run ends
            self._broke(job, error)
        else:
            self._scheduler.served(job, result, self._now())
        finally:
            self._calling.discard(task)

    def _broke(self, job: Job, reason: Exception) -> None:
        """End a run in which a call raised what is none of our errors."""
        failure = InternalError(f"the call raised {raised_at(reason)}")
        failure.effect, failure.attempts = effect_of(reason)
        self._scheduler.cut(job, failure_of(job, failure), self._now())
        self._work.fail(reason)

    async def _made(self, job: Job, within: float) -> "ArchiveResult":
        cut: BaseException | None = None
        try:
            async with asyncio.timeout(within):
                try:
                    return await self._work.calls.make(job)
                except asyncio.CancelledError as error:
                    cut = error
                    raise
        except ThredfiError:
            raise  # a client's own timeout is a `TimeoutError` as well
        except TimeoutError:
            failure = None if cut is None else _cut_off(job, cut)
            raise failure or _interrupted("the outage timeout ended before the request was sent") from None

    # -- time

    def _set_timer(self, until: float) -> None:
        assert self._group is not None  # noqa: S101 - workers run after it is known
        if self._timer is not None and not self._timer.done():
            if self._timer_ends <= until:
                return
            self._timer.cancel()
        self._timer_ends = until
        self._timer = self._group.create_task(self._sleep(until))

    async def _sleep(self, until: float) -> None:
        # Not less: the difference of two times may be too small to move a clock on.
        await self._work.clock.sleep(max(_TICK, until - self._now()))
        self._timer_ends = float("inf")
        self._wake_one()


def _is_cancelled() -> bool:
    """Return whether the task that runs was cancelled itself."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _cancelled_by_client(error: asyncio.CancelledError) -> ThredfiError:
    effect, attempts = effect_of(error)
    return _interrupted("the call was cancelled inside the client", effect, attempts)


def _cut_off(job: Job, error: BaseException) -> ThredfiError | None:
    """Return the error of a call that was cut off; None if nothing was sent, so that the item is as it was before."""
    effect, attempts = effect_of(error)
    if effect is Effect.NOT_APPLIED and not attempts:
        return job.error
    return _interrupted("the call was cut off, since the run ended", effect, attempts)


def _interrupted(text: str, effect: Effect = Effect.NOT_APPLIED, attempts: int = 0) -> CallInterruptedError:
    error = CallInterruptedError(text)
    error.transient, error.effect, error.attempts = True, effect, attempts
    return error
