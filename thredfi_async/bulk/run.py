"""`archive_many`, and the run that it returns."""

import asyncio
import os
import warnings
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Final, Self

from thredfi_async import Clock, ConfigurationError, SystemClock, WorkStarted
from thredfi_async._checks.numbers import positive, seconds_or_zero, whole_number
from thredfi_async._jobs.metrics import Metrics, Snapshot
from thredfi_async._jobs.states import ItemState
from thredfi_async._jobs.work import FollowedWork, followers_of
from thredfi_async.bulk.engine.calls import ArchiveClient, Calls, base_url_of
from thredfi_async.bulk.engine.engine import Engine, Plan
from thredfi_async.bulk.engine.limits import Limits
from thredfi_async.bulk.input import Items, input_of
from thredfi_async.bulk.items import ArchiveResult
from thredfi_async.bulk.journal.api import keep_api
from thredfi_async.bulk.journal.files import located
from thredfi_async.bulk.journal.journal import Journal
from thredfi_async.bulk.journal.settings import RunSettings
from thredfi_async.bulk.journal_store import JournalStore
from thredfi_async.bulk.policy import StopPolicy
from thredfi_async.bulk.store import MemoryStore, Publish, Store, uninterrupted

_CONCURRENCY: Final = 100


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
        self._drained = self._closed = self._is_asked = False

    async def __anext__(self) -> ArchiveResult:
        """Return the next result.

        Raises:
            BulkStoppedError: The run stops before its end; all results were given.
            JournalError: The journal cannot be opened or written, or is of a run at another API.
            SourceError: The source cannot be read further; all results of what was read were given.
            RuntimeError: Another task waits for the next result.
            ThredfiError: A setting is wrong.
        """
        if self._closed:
            raise StopAsyncIteration
        if self._is_asked:
            raise RuntimeError("another task iterates over this run: one at a time may")
        engine = self._start()
        self._is_asked = True
        try:
            result = await engine.next_result()
        except asyncio.CancelledError:
            await self.aclose()
            raise
        finally:
            self._is_asked = False
        if result is None:
            await self._end()
            raise StopAsyncIteration
        return result

    def drain(self) -> None:
        """Take no new items, and let those in flight end; the iteration goes on until they have."""
        self._drained = True
        if self._engine is not None:
            self._engine.drain()

    def snapshot(self) -> Snapshot:
        """Return a snapshot of the run, at any time.

        Returns:
            Its progress and speed; zeros before it begins.
        """
        return Snapshot() if self._engine is None else self._engine.snapshot()

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
        """End a run that nothing refers to any more, as after a `break`; warn of one that never began."""
        owner = getattr(self, "_owner", None)
        if owner is None and not (self._closed or self._drained):
            text = "archive_many(...) was never iterated over: nothing was archived (async for result in ...)"
            warnings.warn(text, RuntimeWarning, stacklevel=2, source=self)
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
    request_lifetime: float = 900.0,
    allow_host_change: bool = False,
) -> ArchiveRun:
    """Archive many customers, and give each result as it arrives.

    Memory holds a window of the items and no more. One item's failure never ends the run. An item that comes again is
    sent once. While the API is down the run waits, and probes it.

    Args:
        client: The client; its settings bound each call.
        items: What to archive: an asynchronous iterable, or a synchronous one, which a thread reads.
        concurrency: Most items in flight; 100 by default. The client's own limit holds too.
        journal: Where the run is kept, so that it can be resumed: a path, or an open `Journal`. One that exists is
            resumed: what it knows to be final is neither sent nor given again, so it is refused if it was begun with
            another `base_url`. None, the default, keeps nothing.
        settle: Whether a call whose outcome is not known asks once for the record; true by default.
        stop: When the run stops before its end.
        rate: Most calls that begin in a second; None, the default, for no limit.
        again: Final states whose items a resumed run sends again, such as `ItemState.REJECTED`.
        clock: Tells the time and sleeps; for tests.
        request_lifetime: Seconds for which a request whose answer was lost may still be on its way; 900 by default.
            Only afterwards does a record that is active show that it was not applied, and is a refusal final.
        allow_host_change: Whether a journal that was begun with another `base_url` is resumed all the same, since the
            API itself has moved; false by default.

    Returns:
        The run, which begins when it is iterated over.

    Raises:
        ConfigurationError: A setting is out of range.
        InvalidRequestError: The items are no iterable.
    """
    if concurrency is not None and (problem := whole_number(concurrency)) is not None:
        raise ConfigurationError(f"concurrency {problem}")
    if (problem := seconds_or_zero(request_lifetime)) is not None:
        raise ConfigurationError(f"request_lifetime {problem}")
    time = clock or SystemClock()

    # Absolute from the start: the process may change its folder before the run begins, or while it goes on.
    kept = journal if journal is None or isinstance(journal, Journal) else located(journal)
    settings = RunSettings(rate=rate, concurrency=concurrency, outage_timeout=stop.outage_timeout)

    def store(metrics: Metrics, publish: Publish) -> Store:
        if kept is None:
            return MemoryStore(metrics, publish)
        return JournalStore(
            kept,
            metrics,
            publish,
            again,
            now=time.monotonic,
            settings=settings,
            check=partial(keep_api, base_url=base_url_of(client), allow_host_change=allow_host_change),
        )

    plan = Plan(
        limits=Limits(concurrency=concurrency or _CONCURRENCY, stop=stop, rate=checked_rate(rate)),
        calls=partial(_calls, client, settle=settle, lifetime=request_lifetime, now=time.monotonic),
        clock=time,
        input=input_of(items),
        store=store,
        work=partial(FollowedWork.begin, followers_of(client), WorkStarted(kind="run", name="archive")),
    )
    # The engine belongs to the event loop in which the run begins.
    return ArchiveRun(partial(Engine, plan))


def _calls(
    client: ArchiveClient, metrics: Metrics, *, settle: bool, lifetime: float, now: Callable[[], float]
) -> Calls:
    return Calls(client, settle=settle, lifetime=lifetime, now=now, metrics=metrics)


def checked_rate(rate: float | None) -> float | None:
    """Return the calls a second, or None for no limit.

    Raises:
        ConfigurationError: It is no positive number.
    """
    if rate is not None and (problem := positive("calls a second")(rate)) is not None:
        raise ConfigurationError(f"rate {problem}")
    return rate
