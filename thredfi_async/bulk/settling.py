"""Asks the API about every item of a journal whose outcome is not known: a run that only asks."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial
from typing import Final

import attrs

from thredfi_async import Clock, SystemClock, WorkStarted
from thredfi_async._jobs.metrics import Metrics
from thredfi_async._jobs.states import ItemState
from thredfi_async._jobs.work import FollowedWork, followers_of
from thredfi_async.bulk.engine.calls import ArchiveClient, Questions, base_url_of
from thredfi_async.bulk.engine.engine import Engine, Plan
from thredfi_async.bulk.engine.job import Job
from thredfi_async.bulk.engine.limits import Limits
from thredfi_async.bulk.errors import BulkStoppedError, StillActiveError
from thredfi_async.bulk.input import input_of
from thredfi_async.bulk.items import ArchiveItem, ArchiveResult
from thredfi_async.bulk.journal.api import keep_api
from thredfi_async.bulk.journal.ends import SETTLED, is_interruption
from thredfi_async.bulk.journal.journal import Journal
from thredfi_async.bulk.journal_store import JournalStore
from thredfi_async.bulk.policy import StopPolicy
from thredfi_async.bulk.run import ArchiveRun, checked_rate
from thredfi_async.bulk.store import Publish

_CHUNK: Final = 512
_STOP: Final = StopPolicy(failure_ratio=None)


@attrs.define
class Settlement:
    """How far settling has come.

    Args:
        asked: Items that were asked about.
        archived: Those that turned out archived.
        still_active: Those that are not archived; they stay unknown, since a request may still be on its way, and a
            resumed run sends them.
        unanswered: Those that the API gave no customer for; they stay unknown.
    """

    asked: int = 0
    archived: int = 0
    still_active: int = 0
    unanswered: int = 0

    def count(self, result: ArchiveResult) -> None:
        """Count what was found of one item."""
        self.asked += 1
        self.archived += result.state is ItemState.ARCHIVED
        self.still_active += isinstance(result.error, StillActiveError)
        self.unanswered = self.asked - self.archived - self.still_active


async def settle(  # noqa: PLR0913 - one client, one journal, and the settings of a run by name
    client: ArchiveClient,
    journal: Journal,
    *,
    concurrency: int = 20,
    rate: float | None = None,
    stop: StopPolicy = _STOP,
    on_progress: Callable[[Settlement], None] | None = None,
    clock: Clock | None = None,
    allow_host_change: bool = False,
) -> Settlement:
    """Get the record of every item whose outcome is not known, and write what it shows; change nothing at the API.

    Args:
        client: The client.
        journal: The journal, open for writing.
        concurrency: Most questions in flight; 20 by default.
        rate: Most questions that begin in a second; None, the default, for no limit.
        stop: When to stop before the end; while the API is unavailable it is probed, for `outage_timeout` seconds.
        on_progress: Called now and then with how far it has come.
        clock: Tells the time and sleeps; for tests.
        allow_host_change: Whether the journal may be of a run that was begun with another `base_url`, since the API
            itself has moved; false by default.

    Returns:
        What was found.

    Raises:
        BulkStoppedError: The API refuses the credentials, or is unavailable; what was found is written.
        JournalError: The journal cannot be written, or is of a run at another API.
    """
    plan = Plan(
        limits=Limits(concurrency=concurrency, stop=stop, rate=checked_rate(rate)),
        calls=partial(_questions, client),
        clock=clock or SystemClock(),
        input=input_of(_unsettled(journal)),
        store=partial(
            _SettlingStore,
            journal,
            check=partial(keep_api, base_url=base_url_of(client), allow_host_change=allow_host_change),
        ),
        work=partial(FollowedWork.begin, followers_of(client), WorkStarted(kind="run", name="settle")),
    )
    found = Settlement()
    try:
        async with ArchiveRun(partial(Engine, plan)) as run:
            async for result in run:
                found.count(result)
                if on_progress is not None and found.asked % _CHUNK == 0:
                    on_progress(found)
    except BulkStoppedError as stopped:
        await asyncio.to_thread(_note, journal, str(stopped).rstrip("."))
        raise
    finally:
        if on_progress is not None:
            on_progress(found)
    await asyncio.to_thread(_note, journal, None)
    return found


def _note(journal: Journal, stopped: str | None) -> None:
    """Write how it ended where the run is not at its end: nothing of an interruption is left once all was asked."""
    run = journal.run
    why = SETTLED if stopped is None and is_interruption(run.get("stopped_reason")) else stopped
    if why is not None and not run.keys() & {"finished_at", "queue"}:
        journal.describe(stopped_reason=why)


def _questions(client: ArchiveClient, metrics: Metrics) -> Questions:
    return Questions(client, metrics=metrics)


@attrs.frozen
class _Unsettled(ArchiveItem):
    """An item whose outcome is not known, and its place in the journal."""

    row: int = attrs.field(default=0, kw_only=True)


async def _unsettled(journal: Journal) -> AsyncGenerator[ArchiveItem]:
    after = -(2**62)
    while rows := await asyncio.to_thread(journal.unsettled, after, _CHUNK):
        for row, business_id, customer_id in rows:
            yield _Unsettled(business_id, customer_id, row=row)
        after = rows[-1][0]


class _SettlingStore(JournalStore):
    """Writes what was found into a journal that belongs to another run."""

    def __init__(
        self, journal: Journal, metrics: Metrics, publish: Publish, *, check: Callable[[Journal], None]
    ) -> None:
        """Take over an open journal."""
        super().__init__(journal, metrics, publish, is_session=False, check=check)

    async def admit(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """Take all jobs: the journal has them."""
        for job in jobs:
            assert isinstance(job.item, _Unsettled)  # noqa: S101 - this store has one input
            job.row = job.item.row
            job.before, job.doubt_since = ItemState.UNKNOWN, 0.0
        return jobs

    def give_back(self, job: Job) -> None:
        """Do nothing: it stays unknown."""
