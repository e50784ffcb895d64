"""Asks the API about every item of a journal whose outcome is not known."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

import attrs

from thredfi_async import ThredfiError
from thredfi_async._jobs.states import ItemState
from thredfi_async._outcomes import code_of, says_archived
from thredfi_async.bulk.calls import ArchiveClient
from thredfi_async.bulk.errors import BulkStoppedError
from thredfi_async.bulk.journal.journal import Journal
from thredfi_async.bulk.journal.store import Settled
from thredfi_async.bulk.judgement import stops

STILL_ACTIVE: Final = "still_active"
_CHUNK: Final = 512
_IN_A_ROW: Final = 20


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


async def settle(
    client: ArchiveClient,
    journal: Journal,
    *,
    concurrency: int = 20,
    on_progress: Callable[[Settlement], None] | None = None,
) -> Settlement:
    """Get the record of every item whose outcome is not known, and write what it shows; change nothing at the API.

    Args:
        client: The client.
        journal: The journal, open for writing.
        concurrency: Most questions in flight; 20 by default.
        on_progress: Called now and then with how far it has come.

    Returns:
        What was found.

    Raises:
        BulkStoppedError: The API refuses the credentials, or has failed many times in a row; what was found is written.
        JournalError: The journal cannot be written.
    """
    work = _Settling(client, on_progress)
    after = -(2**62)
    while rows := await asyncio.to_thread(journal.unsettled, after, _CHUNK):
        after = rows[-1][0]
        await work.ask(rows, concurrency)
        await asyncio.to_thread(_write, journal, work.rows)
        work.rows.clear()
        if work.stopped is not None:
            raise work.stopped
    return work.found


class _Settling:
    def __init__(self, client: ArchiveClient, on_progress: Callable[[Settlement], None] | None) -> None:
        self._get = client.customers.get
        self._on_progress = on_progress
        self._failed_in_a_row = 0
        self.found = Settlement()
        self.rows: list[Settled] = []
        self.stopped: BulkStoppedError | None = None

    async def ask(self, rows: Sequence[tuple[int, UUID, UUID]], concurrency: int) -> None:
        waiting = deque(rows)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(concurrency, len(rows))):
                group.create_task(self._work(waiting))
        if self._on_progress is not None:
            self._on_progress(self.found)

    async def _work(self, waiting: "deque[tuple[int, UUID, UUID]]") -> None:
        while waiting and self.stopped is None:
            await self._ask_one(*waiting.popleft())

    async def _ask_one(self, position: int, business_id: UUID, customer_id: UUID) -> None:
        began = time.monotonic()
        state, code, attempts = ItemState.UNKNOWN, None, 1
        self.found.asked += 1
        try:
            customer = await self._get(business_id, customer_id)
        except ThredfiError as error:
            code, attempts = code_of(error), error.attempts
            self.found.unanswered += 1
            self._failed(error)
        else:
            self._failed_in_a_row = 0
            if says_archived(customer.is_archived, customer.status):
                state = ItemState.ARCHIVED
                self.found.archived += 1
            else:
                code = STILL_ACTIVE
                self.found.still_active += 1
        elapsed = round((time.monotonic() - began) * 1000)
        self.rows.append(Settled(position, state.value, attempts, code, elapsed, time.time()))

    def _failed(self, error: ThredfiError) -> None:
        stopped = stops(error)
        if stopped is None and error.transient:
            self._failed_in_a_row += 1
            if self._failed_in_a_row >= _IN_A_ROW:
                reason = f"the API failed {_IN_A_ROW} times in a row ({error}): settle again when it is available"
                stopped = BulkStoppedError(reason, cause="api_unavailable")
        elif stopped is None:
            self._failed_in_a_row = 0
        if stopped is not None and self.stopped is None:
            stopped.__cause__ = error
            self.stopped = stopped


def _write(journal: Journal, rows: Sequence[Settled]) -> None:
    with journal.transaction() as store:
        store.settle(rows)
