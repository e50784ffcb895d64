"""A journal that is open for writing: created, locked, and changed in transactions."""

import datetime as dt
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import UUID, uuid5

import attrs

from thredfi_async.bulk.errors import JournalError
from thredfi_async.bulk.journal import statements
from thredfi_async.bulk.journal.checkpoint import READERS_WAIT, Checkpoints
from thredfi_async.bulk.journal.connect import connect, require_sqlite
from thredfi_async.bulk.journal.facts import INVALID_LINES, ITEMS, check_facts, encodable
from thredfi_async.bulk.journal.files import NOT_OURS, identity_of, located, translated, uri_of
from thredfi_async.bulk.journal.lock import WriterLock
from thredfi_async.bulk.journal.reserve import Reserve
from thredfi_async.bulk.journal.rows import InvalidLineRow, Outcome, Sample
from thredfi_async.bulk.journal.settings import KEY, RunSettings
from thredfi_async.bulk.journal.store import Store


class Journal:
    """The one writer of a journal, from any thread, one call at a time.

    Open it with `Journal.open`, and use it in `with`, or call `close`.

    Attributes:
        path: The file's real path: absolute, so that the process may change its folder.
        id: The run's own UUID; idempotency keys derive from it.
        invalid_lines: Invalid lines of the source that were noted since it was opened.
        belongs_together: After `close`, the files that have to be copied together, the journal first, if a program that
            reads it kept its log from being moved into it; else none: it is one file.
    """

    def __init__(self, path: str, lock: WriterLock, connection: sqlite3.Connection, checkpoints: Checkpoints) -> None:
        """Take over what `open` has made."""
        self.path: str = path
        self.belongs_together: tuple[str, ...] = ()
        self._lock = lock
        self._connection = connection
        self._checkpoints = checkpoints
        self._mutex = threading.RLock()
        self._reserve = Reserve(path)
        self._rejected: deque[InvalidLineRow] = deque()
        self._identity = identity_of(path)
        self._stale = False
        facts = self.run
        if "id" not in facts:
            raise JournalError(f"the journal {path} cannot be read: it does not say which run's it is; {NOT_OURS}")
        self.id: UUID = UUID(facts["id"])
        self.invalid_lines: int = 0
        with self._transaction():
            self.rows: Store = Store(connection, int(facts.get("sessions", "0")))

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        create: bool = True,
        readers_wait: float = READERS_WAIT,
        clock: Callable[[], float] = time.monotonic,
    ) -> Self:
        """Open a journal for writing; it is locked for as long as it is open.

        Args:
            path: The file.
            create: Whether it is made if it is missing; true by default.
            readers_wait: Seconds that `close` waits for programs that are reading it; 5 by default.
            clock: Tells the time, in seconds that only grow; for tests.

        Returns:
            The journal.

        Raises:
            JournalBusyError: Another run is writing it.
            JournalError: It is missing, damaged, foreign, of another format, cannot be written, or another user can
                have written it.
        """
        require_sqlite()
        named, real = os.fspath(path), located(path)
        if not create or Path(real).exists():
            uri_of(named, mode="rw")
        lock = WriterLock(real, named)
        try:
            with translated(named, "written"):
                connection = connect(real)
                try:
                    return cls(real, lock, connection, Checkpoints(connection, real, clock, readers_wait))
                except BaseException:
                    connection.close()
                    raise
        except BaseException:
            lock.release()
            raise

    @property
    def run(self) -> Mapping[str, str]:
        """What is known of the run: id, created_at, host, source_path and the like."""
        with self._mutex, translated(self.path, "read"):
            return check_facts(dict(self._connection.execute("SELECT key, value FROM run")), self.path)

    @property
    def settings(self) -> RunSettings:
        """The settings that were kept; all None for a run that kept none."""
        return RunSettings.of(self.run.get(KEY))

    def keep(self, settings: RunSettings) -> None:
        """Write the settings of the run.

        Args:
            settings: The settings, in the place of those that were kept before.

        Raises:
            JournalError: They cannot be written.
        """
        self.describe(**{KEY: settings.as_fact()})

    def key_of(self, business_id: UUID, customer_id: UUID) -> str:
        """Return an item's idempotency key, the same in every session."""
        return str(uuid5(self.id, f"{business_id}/{customer_id}"))

    def describe(self, **facts: str | float | None) -> None:
        """Write facts about the run, into the journal's file itself; one that is None is left out.

        Args:
            **facts: Such as `source_path`; a fact that was written before is written over.

        Raises:
            JournalError: It cannot be written.
        """
        with self._transaction(of_facts=True):
            self._describe({name: str(fact) for name, fact in facts.items() if fact is not None})

    def begin(self) -> None:
        """Begin a session: items that are added from now on belong to it.

        Raises:
            JournalError: It cannot be written.
        """
        with self._transaction(of_facts=True):
            self.rows.session += 1
            self._describe({"sessions": str(self.rows.session)})
            self._connection.execute("DELETE FROM run WHERE key IN ('finished_at', 'stopped_reason', 'stopped_cause')")

    def finish(self, why: str | None) -> None:
        """End a session.

        Args:
            why: Why it ends before the run's end; None at its end.

        Raises:
            JournalError: It cannot be written.
        """
        if why is None:
            with self._transaction():
                self._connection.execute(statements.COUNTED, (ITEMS, INVALID_LINES))
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        self.describe(**{"finished_at": now} if why is None else {"stopped_reason": why})

    def reject_line(self, line: int, column: str | None, reason: str) -> None:
        """Note an invalid line of the source; the next transaction writes it.

        Args:
            line: Its number, from 1.
            column: Which column is wrong, if it is one.
            reason: Why, without the value.
        """
        self._rejected.append(InvalidLineRow(line, column, reason))
        self.invalid_lines += 1

    def record(self, outcomes: Iterable[Outcome], facts: Mapping[str, str] | None = None) -> int:
        """Record outcomes that come from elsewhere, in one transaction.

        It can be repeated: a final state stays, except that a success replaces a rejection, and unknown does not
        become failed.

        Args:
            outcomes: The outcomes, by the items' ids.
            facts: About the run, to be written with them.

        Returns:
            How many rows were new or have changed.

        Raises:
            JournalError: It cannot be written, and nothing was.
        """
        with self._transaction():
            changed = self.rows.record(outcomes, time.time())
            self._describe(facts or {})
            return changed

    @contextmanager
    def transaction(self, sample: Sample | None = None) -> Generator[Store]:
        """Change rows, all or none; they are durable when the context is left.

        Args:
            sample: The gauges of this moment, to be written with them.

        Yields:
            The rows.

        Raises:
            JournalError: It cannot be written, and nothing was.
        """
        with self._transaction():
            yield self.rows
            self.rows.index_if_many()
            if sample is not None:
                self._connection.execute(statements.SAMPLE, sample.values())

    def unsettled(self, after: int, count: int) -> Sequence[tuple[int, UUID, UUID]]:
        """Return items whose outcome is not known, in their order: position, business and customer.

        Args:
            after: The position to go on after.
            count: How many at most.
        """
        with self._mutex, translated(self.path, "read"):
            found = self._connection.execute(statements.UNSETTLED, (after, count))
            return [(position, UUID(bytes=business), UUID(bytes=customer)) for position, business, customer in found]

    def close(self) -> None:
        """Sync the file and release the lock; a second call does nothing."""
        with self._mutex:
            try:
                if self._is_open() and self._is_in_place():
                    # Ids that are not indexed now are indexed when the journal is opened again.
                    with suppress(JournalError), self._transaction():
                        self.rows.index_if_many(now=True)
                    self.belongs_together = self._checkpoints.last()
            finally:
                self._connection.close()
                self._reserve.release()
                self._lock.release()

    def __enter__(self) -> Self:
        """Return the journal itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    @contextmanager
    def _transaction(self, *, of_facts: bool = False) -> Generator[None]:
        with self._mutex, translated(self.path, "written"):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                if self._stale:
                    self.rows.reload()
                    self._stale = False
                while self._rejected:
                    self._connection.execute(statements.NOTE_INVALID_LINE, attrs.astuple(self._rejected.popleft()))
                yield
                self._connection.execute("COMMIT")
                # A copy of the file alone is to say whose outcomes it has, and how the run ended.
                self._checkpoints.now() if of_facts else self._checkpoints.when_due()
            except BaseException as error:
                self._stale = True
                if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                    self._reserve.release()  # for the outcomes of what is in flight, and the reason of the end
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise
            if not self._is_in_place():
                # SQLite goes on writing to a file that has no name any more.
                raise JournalError(
                    f"the journal {self.path} was deleted or replaced while it was being written: "
                    "what was written last is lost; begin a new one, customers that are archived stay so"
                )

    def _describe(self, facts: Mapping[str, str]) -> None:
        written = [(name, encodable(name, fact, self.path)) for name, fact in facts.items()]
        self._connection.executemany(statements.DESCRIBE, written)

    def _is_open(self) -> bool:
        try:
            self._connection.execute("SELECT 1")
        except sqlite3.ProgrammingError:
            return False
        return True

    def _is_in_place(self) -> bool:
        return identity_of(self.path) == self._identity
