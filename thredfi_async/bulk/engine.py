"""The engine of a run: one task owns all others, and none is left when it ends."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from thredfi_async.bulk.crew import Crew, Plan
from thredfi_async.bulk.errors import BulkStoppedError, JournalError
from thredfi_async.bulk.gauges import Gauges, Meter
from thredfi_async.bulk.intake import Intake
from thredfi_async.bulk.items import ArchiveItem, ArchiveResult
from thredfi_async.bulk.job import Job
from thredfi_async.bulk.ledger import Ledger, uninterrupted
from thredfi_async.bulk.outlet import Outlet

BATCH: Final = 256
"""Items that are read together."""
_DRAINED: Final = "drained"
_INTERRUPTED: Final = "interrupted"

MakeLedger = Callable[[Meter, Callable[[Sequence[ArchiveResult]], None]], Ledger]


class Engine:
    """Connects the parts of a run; `ArchiveRun` is its public interface.

    Items pass through the intake (input), the ledger (store), the crew (worker pool), the ledger again, and the outlet
    (results queue). Together, these hold no more than a window of items.

    Args:
        plan: The run's settings.
        intake: Starts to read the items.
        ledger: Makes the store.
    """

    def __init__(self, plan: Plan, intake: Callable[[], Intake], ledger: MakeLedger) -> None:
        """Start nothing yet."""
        self._plan = plan
        self._window = max(4 * BATCH, 4 * plan.concurrency)
        self._meter = Meter()
        self._outlet = Outlet()
        self._ledger = ledger(self._meter, self._outlet.publish)
        self._crew = Crew(plan, self._ledger, self._meter, self._fail)
        self._make_intake = intake
        self._intake: Intake | None = None
        self._room = asyncio.Event()
        self._feeder: asyncio.Task[None] | None = None
        self._reading = False

    # -- for `ArchiveRun`

    async def next_result(self) -> ArchiveResult | None:
        """Return the next result; None at the end.

        Raises:
            BaseException: Why the run stopped; once, after the last result.
        """
        result = await self._outlet.get()
        if self._reading and not self._room.is_set() and self._has_room():
            self._room.set()
        return result

    def drain(self) -> None:
        """Take no new items; those in flight end."""
        if not self._crew.draining:
            self._crew.drain()
            if self._feeder is not None and self._reading:
                self._feeder.cancel()

    def gauges(self) -> Gauges:
        """Return a snapshot of the run."""
        crew, meter = self._crew, self._meter
        p50, p90, p99 = meter.percentiles
        return Gauges(
            done=meter.done,
            by_state=dict(meter.by_state),
            duplicates=meter.duplicates,
            skipped=meter.skipped,
            invalid_lines=self._ledger.invalid_lines,
            in_flight=crew.in_flight,
            waiting=len(crew.lineup),
            concurrency=crew.patience.room(self._plan.concurrency),
            cooldown=crew.patience.wait() or 0.0,
            paused=crew.patience.is_paused,
            retries=meter.retries,
            rate=meter.rate(self._plan.clock.monotonic()),
            p50_ms=p50,
            p90_ms=p90,
            p99_ms=p99,
        )

    # -- the owner

    async def main(self) -> None:
        """Run to the end; keep an error until the next result is asked for, and raise it there."""
        try:
            await self._ledger.begin()
            try:
                await self._supervise()
            finally:
                await uninterrupted(asyncio.ensure_future(self._finish()))
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - it is raised where results are awaited
            # The journal's error holds results that could not be written, so it matters more than any other.
            if self._outlet.error is None or isinstance(error, JournalError):
                self._outlet.error = error
        finally:
            self._outlet.end()

    async def _supervise(self) -> None:
        self._intake = self._make_intake()
        async with asyncio.TaskGroup() as group:
            beside = [self._ledger.run(), self._keep_time(), self._sample()]
            helpers = [group.create_task(self._guarded(each)) for each in beside]
            self._feeder = group.create_task(self._guarded(self._feed(self._intake)))
            workers = [group.create_task(self._guarded(self._crew.work())) for _ in range(self._plan.concurrency)]
            await asyncio.wait([self._feeder, *workers])
            for helper in helpers:
                helper.cancel()

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """Let an error in one task drain the run, and not cut off the calls of the others."""
        try:
            await work
        except Exception as error:  # noqa: BLE001 - it ends the run, and is raised there
            self._fail(error)

    async def _finish(self) -> None:
        how = self._how()
        self._crew.drain()
        try:
            if self._intake is not None:
                await self._intake.aclose()
        finally:
            await self._ledger.end(how)

    def _how(self) -> str | None:
        """Return why the run stops before its end; None if it does not."""
        match self._outlet.error:
            case None if self._crew.draining:
                return _DRAINED
            case None:
                return None if self._crew.is_done else _INTERRUPTED
            case BulkStoppedError() as error:
                return error.cause
            case error:
                return type(error).__name__

    def _fail(self, error: Exception) -> None:
        if self._outlet.error is None:
            self._outlet.error = error
        self.drain()

    # -- items in

    async def _feed(self, intake: Intake) -> None:
        index = 0
        try:
            while not self._crew.draining and (items := await self._read(intake)):
                jobs = [Job(item, number) for number, item in enumerate(items, index)]
                index += len(items)
                self._crew.line_up(await self._ledger.admit(jobs))
        finally:
            self._crew.fed = True
            self._crew.wake()

    async def _read(self, intake: Intake) -> Sequence[ArchiveItem]:
        """Wait for room, and for items; a drain may cancel this wait."""
        self._reading = True
        try:
            while not self._has_room():
                self._room.clear()
                await self._room.wait()
            return await intake.take(BATCH)
        except Exception as error:  # noqa: BLE001 - whatever the iterable raises
            # As at the input's end: items that were read are finished. Then the error is raised.
            self._outlet.error = self._outlet.error or error
            return []
        finally:
            self._reading = False

    def _has_room(self) -> bool:
        held = len(self._crew.lineup) + self._crew.in_flight + self._ledger.held + len(self._outlet)
        return held <= self._window - BATCH

    # -- time

    async def _keep_time(self) -> None:
        """Wake workers when an item may be sent, and stop the run after the outage timeout."""
        crew = self._crew
        while not crew.patience.is_exhausted:
            crew.changed.clear()
            wait = crew.next_moment()
            if wait is not None and wait > 0.0:
                await _first_of(self._plan.clock.sleep(wait), crew.changed.wait())
            else:
                if wait is not None:
                    crew.wake()
                await crew.changed.wait()
        outage_timeout, cause = self._plan.stop.outage_timeout, crew.patience.last
        reason = f"the API has been unavailable for {outage_timeout:g} s ({cause}): resume when it is available again"
        stopped = BulkStoppedError(reason, cause="api_unavailable")
        stopped.__cause__ = cause
        self._fail(stopped)

    async def _sample(self) -> None:
        while True:
            self._meter.tick(self._plan.clock.monotonic())
            self._ledger.sample(self.gauges())
            await asyncio.sleep(1.0)


async def _first_of(*waits: Coroutine[Any, Any, object]) -> None:
    tasks = [asyncio.ensure_future(each) for each in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
