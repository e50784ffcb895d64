"""`archive_many`, and the run that it returns."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from thredfi_async import Clock, ConfigurationError, SystemClock
from thredfi_async._checks.numbers import positive, whole_number
from thredfi_async._jobs.states import ItemState
from thredfi_async.bulk.calls import ArchiveClient, Calls
from thredfi_async.bulk.crew import Plan, RateLimit
from thredfi_async.bulk.durable import JournalLedger
from thredfi_async.bulk.engine import Engine
from thredfi_async.bulk.gauges import Gauges, Meter
from thredfi_async.bulk.intake import Items, intake_of
from thredfi_async.bulk.items import ArchiveResult
from thredfi_async.bulk.journal.journal import Journal
from thredfi_async.bulk.ledger import Ledger, MemoryLedger, uninterrupted
from thredfi_async.bulk.policy import StopPolicy

_CONCURRENCY = 100


class ArchiveRun(AsyncIterator[ArchiveResult]):
    """A run: iterate over it for the results, in the order in which they arrive.

    It begins when the first result is asked for, and one task owns all its work. While no results are taken, it pauses
    once its window is full. It is over, with nothing left running, after the last result, after `aclose`, at the end of
    `async with`, and when the iteration is cancelled; calls in flight are then cut off, and unknown in a journal. After
    a `break`, the run ends once nothing refers to it any more; in `async with`, or with `contextlib.aclosing`, it has
    ended when the block is left.
    """

    def __init__(self, engine: Callable[[], Engine]) -> None:
        """Start nothing yet."""
        self._make = engine
        self._engine: Engine | None = None
        self._owner: asyncio.Task[None] | None = None
        self._drained = self._closed = False

    async def __anext__(self) -> ArchiveResult:
        """Return the next result.

        Raises:
            BulkStoppedError: The run stops before its end; all results were given.
            JournalError: The journal cannot be opened or written.
            SourceError: The source cannot be read further; all results of what was read were given.
            ThredfiError: A setting is wrong.
        """
        if self._closed:
            raise StopAsyncIteration
        engine = self._start()
        try:
            result = await engine.next_result()
        except asyncio.CancelledError:
            await self.aclose()
            raise
        if result is None:
            await self._end()
            raise StopAsyncIteration
        return result

    def drain(self) -> None:
        """Take no new items, and let those in flight end; the iteration goes on until they have."""
        self._drained = True
        if self._engine is not None:
            self._engine.drain()

    def gauges(self) -> Gauges:
        """Return a snapshot of the run, at any time.

        Returns:
            Its progress and speed; zeros before it begins.
        """
        return Gauges() if self._engine is None else self._engine.gauges()

    async def aclose(self) -> None:
        """End the run now, and cut off calls in flight; a second call does nothing."""
        self._closed = True
        await self._end()

    async def __aenter__(self) -> Self:
        """Begin the run."""
        self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the run."""
        await self.aclose()

    def __del__(self) -> None:
        """End a run that nothing refers to any more, as after a `break`."""
        owner = getattr(self, "_owner", None)
        if owner is not None and not owner.done() and not owner.get_loop().is_closed():
            owner.get_loop().call_soon_threadsafe(owner.cancel)

    def _start(self) -> Engine:
        if self._engine is None:
            self._engine = self._make()
            if self._drained:
                self._engine.drain()
            # The task refers to the engine, not to this object, which is so freed when the caller drops it.
            self._owner = asyncio.create_task(self._engine.main(), name="thredfi-bulk")
        return self._engine

    async def _end(self) -> None:
        if self._owner is not None:
            self._owner.cancel()
            await uninterrupted(asyncio.ensure_future(asyncio.wait([self._owner])))


def archive_many(  # noqa: PLR0913 - one client, its items, and the settings of a run by name
    client: ArchiveClient,
    items: Items,
    *,
    concurrency: int | None = None,
    journal: str | os.PathLike[str] | Journal | None = None,
    settle: bool = True,
    stop: StopPolicy = StopPolicy(),  # noqa: B008 - frozen
    rate: float | None = None,
    again: Sequence[ItemState] = (),
    clock: Clock | None = None,
) -> ArchiveRun:
    """Archive many customers, and give each result as it arrives.

    Memory holds a window of the items and no more. One item's failure never ends the run. An item that comes again is
    sent once. While the API is down the run waits, and probes it.

    Args:
        client: The client; its settings bound each call.
        items: What to archive: an asynchronous iterable, or a synchronous one, which a thread reads.
        concurrency: Most items in flight; 100 by default. The client's own limit holds too.
        journal: Where the run is kept, so that it can be resumed: a path, or an open `Journal`. One that exists is
            resumed: what it knows to be final is neither sent nor given again. None, the default, keeps nothing.
        settle: Whether a call whose outcome is not known asks once for the record; true by default.
        stop: When the run stops before its end.
        rate: Most calls that begin in a second; None, the default, for no limit. It needs the extra `bulk`.
        again: Final states whose items a resumed run sends again, such as `ItemState.REJECTED`.
        clock: Tells the time and sleeps; for tests.

    Returns:
        The run, which begins when it is iterated over.

    Raises:
        ConfigurationError: A setting is out of range.
        InvalidRequestError: The items are no iterable.
    """
    if concurrency is not None and (problem := whole_number(concurrency)) is not None:
        raise ConfigurationError(f"concurrency {problem}")

    def ledger(meter: Meter, publish: Callable[[Sequence[ArchiveResult]], None]) -> Ledger:
        return MemoryLedger(meter, publish) if journal is None else JournalLedger(journal, meter, publish, again)

    plan = Plan(
        calls=Calls(client, settle=settle),
        concurrency=concurrency or _CONCURRENCY,
        stop=stop,
        rate=rate_limit(rate),
        clock=clock or SystemClock(),
    )
    # The engine belongs to the event loop in which the run begins.
    return ArchiveRun(partial(Engine, plan, intake_of(items), ledger))


def rate_limit(rate: float | None) -> RateLimit | None:
    """Return a limit of so many calls a second.

    Args:
        rate: Calls a second, or None for no limit.

    Returns:
        The limit.

    Raises:
        ConfigurationError: It is no positive number, or the package that limits is missing.
    """
    if rate is None:
        return None
    if (problem := positive("calls a second")(rate)) is not None:
        raise ConfigurationError(f"rate {problem}")
    try:
        from aiolimiter import AsyncLimiter  # noqa: PLC0415 - of the extra `bulk`
    except ImportError:
        raise ConfigurationError('rate needs aiolimiter: pip install "thredfi-async[bulk]"') from None
    # Bursts of a tenth of a second's calls: a whole second's would arrive at once.
    burst = max(1.0, rate / 10)
    return AsyncLimiter(burst, burst / rate)
