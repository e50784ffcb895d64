"""The journal's rows, as its one writer changes them, without regard to threads or the event loop."""

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

from thredfi_async._codec.json import dumps, loads
from thredfi_async._jobs.states import ItemState
from thredfi_async.bulk.journal import statements
from thredfi_async.bulk.journal.ends import KILLED
from thredfi_async.bulk.journal.rows import Outcome
from thredfi_async.bulk.journal.schema import PENDING

RECENT: Final = 20_000
"""So many ids are kept in memory, at about 150 bytes each, before they are indexed together."""


_Place = tuple[int, int | None]
"""An item's position in the input, and its line in the source."""


class Known(NamedTuple):
    """The row of an item that is to be added.

    `state` is the state before; None for a new item. `session` is the one that took the item last, and `ended_at` when
    its state was written, in unix seconds.
    """

    position: int
    state: str | None
    session: int
    ended_at: float | None = None


class Settled(NamedTuple):
    """What is written for an item that has ended, in the order of the statement."""

    position: int
    state: str
    attempts: int
    code: str | None
    elapsed_ms: int
    ended_at: float


class Store:
    """Rows of one journal that is open for writing.

    Args:
        connection: To the file, in autocommit mode.
        session: The number that rows get when they are taken in.
        recent: How many ids are kept in memory before they are indexed.
    """

    def __init__(self, connection: sqlite3.Connection, session: int, recent: int = RECENT) -> None:
        """Mark rows that were never settled, and load those that have not been indexed."""
        self.session = session
        self._connection = connection
        self._execute = connection.execute
        self._limit = recent
        self._recent: dict[bytes, int] = {}
        self._execute(statements.INTERRUPTED)
        self._execute(statements.KILLED, (KILLED,))
        self.reload()

    def reload(self) -> None:
        """Load the rows that have not been indexed, as after a transaction that was rolled back."""
        self._recent = dict(self._execute(statements.UNINDEXED))

    def admit(self, first: int, ids: Sequence[bytes], lines: Sequence[int | None] = ()) -> list[Known]:
        """Add items that follow each other in the input.

        Args:
            first: The first one's place.
            ids: Customer's and business's id of each, 32 bytes.
            lines: The line of the source on which each stands; none by default, for a source without lines.

        Returns:
            What was known of each; new ones were added, and all others are unchanged.
        """
        rows = self._look(ids)
        new: dict[bytes, _Place] = {}
        for number, key in enumerate(ids):
            if key not in rows:
                new.setdefault(key, (first + number, lines[number] if lines else None))
        for key, position in self._insert(new).items() if new else ():
            rows[key] = Known(position, None, self.session)
        answers: list[Known] = []
        for key in ids:
            known = rows[key]
            answers.append(known)
            # If it comes once more, this session has taken it.
            rows[key] = Known(known.position, known.state or PENDING, self.session, known.ended_at)
        return answers

    def retake(self, positions: Iterable[int]) -> None:
        """Take items again that an earlier session has left without a final state."""
        self._execute(statements.RETAKE, {"session": self.session, "positions": _json(positions)})

    def release(self, ids: Mapping[bytes, int], before: Mapping[int, str] | None = None) -> None:
        """Release items that were added and never sent.

        Args:
            ids: Their positions, by their ids.
            before: By position, the states of those that had one before; failed by default.
        """
        positions = _json(ids.values())
        for state in sorted(set(before.values())) if before else ():
            as_before = _json(position for position, each in (before or {}).items() if each == state)
            self._execute(statements.RESTORE_AS, (state, as_before))
        self._execute(statements.FORGET, (positions,))
        self._execute(statements.RESTORE, (positions,))
        left = {row[0] for row in self._one(statements.LOOK, {"positions": positions})}
        for key, position in ids.items():
            if position not in left:
                self._recent.pop(key, None)

    def settle(self, rows: Sequence[Settled]) -> None:
        """Write the outcomes of items."""
        size = statements.CHUNK
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            padding = statements.PADDING * (size - len(part))
            self._execute(statements.SETTLE, [*chain.from_iterable(part), *padding])

    def known(self, ids: Sequence[bytes]) -> Collection[bytes]:
        """Return which of these ids, 32 bytes each as for `admit`, are items of this journal."""
        return self._look(ids).keys()

    def record(self, outcomes: Iterable[Outcome], now: float) -> int:
        """Write outcomes by their ids, unless a more certain one is known; return how many rows have changed."""
        changed = 0
        for outcome in outcomes:
            key = outcome.customer_id.bytes + outcome.business_id.bytes
            known = self._look([key]).get(key)
            position = self._end() if known is None else known.position
            changed += self._execute(statements.UPSERT, _upsert(position, outcome, self.session, now)).rowcount
            if known is None:
                self._recent[key] = position
                self.index_if_many()
        return changed

    def index_if_many(self, *, now: bool = False) -> None:
        """Index the ids in memory, if they are many or `now` is set."""
        if len(self._recent) >= self._limit or (now and self._recent):
            lowest = min((position for position in self._recent.values() if position >= 0), default=0)
            self._execute(statements.INDEX, (lowest,))
            self._recent.clear()

    def _look(self, ids: Sequence[bytes]) -> dict[bytes, Known]:
        found: dict[bytes, Known] = {}
        recent = {self._recent[key]: key for key in ids if key in self._recent}
        if recent:
            for known in map(Known._make, self._one(statements.LOOK, {"positions": _json(recent)})):
                found[recent[known.position]] = known
        others = [key for key in ids if key not in found] if recent else ids
        if others:
            asked = {"count": len(others), "ids": b"".join(others)}
            for number, *known in self._one(statements.FIND, asked):
                found[others[number]] = Known._make(known)
        return found

    def _insert(self, new: dict[bytes, _Place]) -> dict[bytes, int]:
        """Insert new rows, and return where they are."""
        values = {"ids": b"".join(new), "places": _json(new.values()), "session": self.session}
        inserted = self._execute(statements.INSERT, values).rowcount
        positions = {key: position for key, (position, _) in new.items()}
        if inserted < len(new):
            # The input is not the one of an earlier session: other items have these places.
            positions = {key: self._place(key, *place) for key, place in new.items()}
        self._recent.update(positions)
        return positions

    def _place(self, key: bytes, position: int, line: int | None) -> int:
        if self._execute(statements.WHOSE, (position,)).fetchone() == (key,):
            return position
        (lowest,) = self._execute(statements.LOWEST).fetchone()
        values = {"ids": key, "places": _json([(lowest - 1, line)]), "session": self.session}
        self._execute(statements.INSERT, values)
        return int(lowest) - 1

    def _end(self) -> int:
        (highest,) = self._execute("SELECT coalesce(max(position), -1) FROM items").fetchone()
        return int(highest) + 1

    def _one(self, query: str, values: Mapping[str, Any]) -> list[Any]:
        (text,) = self._execute(query, values).fetchone()
        rows: list[Any] = loads(text)
        return rows


def _json(values: Iterable[int | _Place]) -> str:
    return dumps(list(values)).decode()


def _upsert(position: int, outcome: Outcome, session: int, now: float) -> tuple[Any, ...]:
    return (
        position,
        outcome.business_id.bytes,
        outcome.customer_id.bytes,
        ItemState(outcome.state).value,
        session,
        outcome.attempts,
        outcome.code,
        None if outcome.elapsed is None else round(outcome.elapsed * 1000),
        now if outcome.ended_at is None else outcome.ended_at,
    )
