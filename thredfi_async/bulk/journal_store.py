"""Stores a run in a journal, in batched transactions on one thread; publishes a result once committed."""

import asyncio
import os
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple, TypeVar

from thredfi_async._jobs.metrics import Metrics, Snapshot
from thredfi_async._jobs.states import ItemState
from thredfi_async.bulk.engine.job import Job
from thredfi_async.bulk.errors import JournalError
from thredfi_async.bulk.items import ArchiveResult
from thredfi_async.bulk.journal.journal import Journal
from thredfi_async.bulk.journal.rows import Sample
from thredfi_async.bulk.journal.schema import PENDING
from thredfi_async.bulk.journal.settings import RunSettings
from thredfi_async.bulk.journal.store import Known, Settled, Store
from thredfi_async.bulk.store import Publish, uninterrupted

T = TypeVar("T")

_PACE: Final = 0.02
"""Seconds between transactions: a result waits this long at most, and a busy run writes a hundred at a time."""


_LONGEST: Final = 1e9
"""Seconds to the next probe that a sample says at most, whatever an API asks for."""


class Unsent(NamedTuple):
    """Where a job is that was not started, and the state that it had before; None for a new one."""

    row: int
    before: str | None


_Admission = tuple[Sequence[Job], "asyncio.Future[Sequence[Job]]"]


class JournalStore:
    """Keeps a run in a journal.

    Args:
        journal: A path, opened and closed with the run, or a journal that its owner closes.
        metrics: Counts items that are repeated or final already.
        publish: Takes results.
        again: Final states whose items are sent again all the same.
        now: Tells the time that jobs are told of, in monotonic seconds.
        is_session: Whether this is a session of the journal's run; one that only asks leaves its course as it is.
        settings: The run's, which a journal that is named by its path keeps.
        check: Called with the open journal before anything is written; raises if it is not for this run.
    """

    def __init__(  # noqa: PLR0913 - the parts of a store, and its settings by name
        self,
        journal: str | os.PathLike[str] | Journal,
        metrics: Metrics,
        publish: Publish,
        again: Collection[ItemState] = (),
        *,
        now: Callable[[], float] = time.monotonic,
        is_session: bool = True,
        settings: RunSettings | None = None,
        check: Callable[[Journal], None] = lambda _: None,
    ) -> None:
        """Open nothing yet."""
        self._given = journal
        self._now = now
        self._is_session = is_session
        self._settings, self._check = settings, check
        self._metrics = metrics
        self._publish = publish
        self._done = frozenset(state.value for state in ItemState if state.is_final and state not in again)
        self._thread = ThreadPoolExecutor(1, "thredfi-bulk-journal")
        self._journal: Journal | None = None
        self._admissions: list[_Admission] = []
        self._rows: list[Settled] = []
        self._results: list[ArchiveResult] = []
        self._unsent: dict[bytes, Unsent] = {}
        self._sample: Sample | None = None
        self._work = asyncio.Event()
        self._broken: JournalError | None = None

    @property
    def invalid_lines(self) -> int:
        """Invalid lines of the source that were reported to the journal."""
        return 0 if self._journal is None else self._journal.invalid_lines

    async def begin(self) -> None:
        """Open the journal, and begin a session."""
        try:
            await uninterrupted(asyncio.ensure_future(self._begin()))
        except BaseException:
            await self._close()
            raise

    async def run(self) -> None:
        """Write what is pending, at intervals, until cancelled.

        Raises:
            JournalError: It cannot be written.
        """
        while True:
            await self._work.wait()
            self._work.clear()
            try:
                # In a task of its own, so that a cancellation does not lose track of what was committed.
                await uninterrupted(asyncio.ensure_future(self._flush()))
            except JournalError as error:
                self._broken = error
                for _, answer in self._admissions:
                    if not answer.done():
                        answer.set_exception(error)
                raise
            await asyncio.sleep(_PACE)

    async def admit(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """Take jobs in with the next transaction."""
        if self._broken is not None:
            raise self._broken
        answer: asyncio.Future[Sequence[Job]] = asyncio.get_running_loop().create_future()
        self._admissions.append((jobs, answer))
        self._work.set()
        try:
            return await answer
        except asyncio.CancelledError:
            if answer.done() and not answer.cancelled():
                for job in answer.result():
                    self.give_back(job)
            raise

    def settle(self, job: Job, result: ArchiveResult) -> None:
        """Write a result with the next transaction, and publish it then."""
        self._results.append(result)
        self._note(job, result.state, result.code)

    def give_back(self, job: Job) -> None:
        """Let a job that was not started be as it was before, at the end."""
        self._unsent[_key(job)] = Unsent(job.row, None if job.before is None else job.before.value)

    def sample(self, snapshot: Snapshot) -> None:
        """Write a snapshot with the next transaction."""
        self._sample = _sample_of(snapshot) if self._is_session else None
        self._work.set()

    async def end(self, how: str | None) -> None:
        """Write what is left, and close the journal.

        Raises:
            JournalError: Something could not be written; the error has the results.
        """
        try:
            await self._flush(last=True, how=how)
        except JournalError as error:
            raise self._told(error) from error
        finally:
            await self._close()

    def _note(self, job: Job, state: ItemState, code: str | None) -> None:
        elapsed = round(job.elapsed * 1000)
        self._rows.append(Settled(job.row, state.value, job.attempts, code, elapsed, time.time()))
        self._work.set()

    async def _flush(self, *, last: bool = False, how: str | None = None) -> None:
        """Write all that is pending in one transaction; if that fails, it stays pending."""
        admissions, self._admissions = self._admissions, []
        rows, results, sample = self._rows[:], self._results[:], self._sample
        wanted = [jobs for jobs, answer in admissions if not answer.done()]
        answers = [answer for _, answer in admissions if not answer.done()]
        try:
            admitted = await self._in_thread(self._write, [] if last else wanted, rows, sample, last, how)
        except JournalError as error:
            for answer in answers:
                if not answer.done():
                    answer.set_exception(error)
            raise
        del self._rows[: len(rows)], self._results[: len(results)]
        self._sample = None if self._sample is sample else self._sample
        for answer, jobs in zip(answers, admitted, strict=False):
            if answer.done():
                for job in jobs:
                    self.give_back(job)
            else:
                answer.set_result(jobs)
        if results:
            self._publish(results)

    async def _begin(self) -> None:
        self._journal = await self._in_thread(self._open)

    # -- in the thread

    def _open(self) -> Journal:
        journal = self._given if isinstance(self._given, Journal) else Journal.open(self._given)
        try:
            self._check(journal)
            if self._is_session:
                journal.begin()
            if self._settings is not None and journal is not self._given:
                journal.keep(self._settings)
        except BaseException:
            if journal is not self._given:
                journal.close()
            raise
        return journal

    def _write(
        self,
        admissions: Sequence[Sequence[Job]],
        rows: Sequence[Settled],
        sample: Sample | None,
        last: bool,  # noqa: FBT001 - passed on by position
        how: str | None,
    ) -> list[Sequence[Job]]:
        assert self._journal is not None  # noqa: S101 - `begin` comes first
        with self._journal.transaction(sample) as store:
            store.settle(rows)
            admitted = [self._admit(store, self._journal, jobs) for jobs in admissions]
            if last and self._unsent:
                before = {row: state for row, state in self._unsent.values() if state is not None}
                store.release({key: row for key, (row, _) in self._unsent.items()}, before)
        if last and self._is_session:
            self._journal.finish(how)
        return admitted

    def _admit(self, store: Store, journal: Journal, jobs: Sequence[Job]) -> Sequence[Job]:
        known = store.admit(jobs[0].index, [_key(job) for job in jobs], [job.item.line for job in jobs])
        wanted = [job for job, row in zip(jobs, known, strict=True) if self._is_wanted(job, row, store.session)]
        again = [job.row for job in wanted if job.before is not None]
        if again:
            store.retake(again)
        for job in wanted:
            job.key = journal.key_of(job.item.business_id, job.item.customer_id)
        return wanted

    def _is_wanted(self, job: Job, known: Known, session: int) -> bool:
        job.row = known.position
        if known.state is None:
            return True
        if known.session == session:
            self._metrics.duplicates += 1
            return False
        if known.state in self._done:
            self._metrics.skipped += 1
            return False
        # One that is pending in a run over a queue may be sent by a worker.
        job.before = ItemState.UNKNOWN if known.state == PENDING else ItemState(known.state)
        if job.before is ItemState.UNKNOWN:
            sent_at = time.time() if known.ended_at is None else known.ended_at
            job.doubt_since = self._now() - max(0.0, time.time() - sent_at)
        return True

    # -- threads and ends

    async def _in_thread(self, function: Callable[..., T], *args: Any) -> T:  # noqa: ANN401 - passed on
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)

    async def _close(self) -> None:
        journal, self._journal = self._journal, None
        try:
            if journal is not None and journal is not self._given:
                await uninterrupted(asyncio.ensure_future(self._in_thread(journal.close)))
        finally:
            self._thread.shutdown(wait=False)

    def _told(self, error: JournalError) -> JournalError:
        count = len(self._results)
        if not count:
            return error
        outcomes = "1 outcome" if count == 1 else f"{count:,} outcomes"
        summary = f"{error}; {outcomes} could not be written: a resumed run asks the API about them before it sends any"
        return JournalError(summary, unrecorded=self._results)


def _sample_of(snapshot: Snapshot) -> Sample:
    counts = {state.value: snapshot.by_state.get(state, 0) for state in ItemState}
    return Sample(
        at=time.time(),
        done=snapshot.done,
        **counts,
        in_flight=snapshot.in_flight,
        concurrency=snapshot.concurrency,
        requests=snapshot.requests,
        retries=snapshot.retries,
        cooldown=min(snapshot.cooldown, _LONGEST),
        paused=snapshot.paused,
        p50_ms=snapshot.p50_ms,
        p90_ms=snapshot.p90_ms,
        p99_ms=snapshot.p99_ms,
    )


def _key(job: Job) -> bytes:
    return job.item.customer_id.bytes + job.item.business_id.bytes
