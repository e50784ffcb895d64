"""Reads a journal, while it is written or afterwards, without a lock and without changes."""

import datetime as dt
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from uuid import UUID

from thredfi_async._jobs.states import ItemState
from thredfi_async.bulk.errors import JournalError
from thredfi_async.bulk.journal.connect import require_sqlite
from thredfi_async.bulk.journal.facts import check_facts
from thredfi_async.bulk.journal.files import NOT_OURS, located, translated, uri_of
from thredfi_async.bulk.journal.format import check_format, distrusting
from thredfi_async.bulk.journal.lock import is_locked
from thredfi_async.bulk.journal.rows import InvalidLineRow, NotArchivedRow, Sample
from thredfi_async.bulk.journal.settings import KEY, RunSettings
from thredfi_async.bulk.journal.trust import distrust

_FAILURES: Final = """
SELECT position, line, business_id, customer_id, state, code, attempts, ended_at FROM items
WHERE state IN ('rejected', 'failed', 'unknown') ORDER BY position
"""
_GAUGES: Final = tuple(Sample.__annotations__)
T = TypeVar("T")

_STEPS: Final = 10_000
"""Steps of SQLite's machine between two looks at how many there were."""
_STEPS_A_BYTE: Final = 10
"""More than any query here takes for the rows that fit into a byte of the file."""


class JournalView:
    """Reads a journal; a run may be writing it, and each query sees what was committed at that time.

    Args:
        path: The journal's file.
        is_checked: Whether its values were checked already; false by default.

    Attributes:
        path: The file, as it was named.
        distrust: Who else than this user can have written it, as a sentence; None if no one can.

    Raises:
        JournalError: It is missing, damaged, foreign, or of another format.
    """

    def __init__(self, path: str | os.PathLike[str], *, is_checked: bool = False) -> None:
        """Open the file for reading."""
        require_sqlite()
        self.path: str = os.fspath(path)
        self._file = located(path)
        with translated(self.path, "read"):
            uri = uri_of(self.path, mode="ro")
            if Path(self._file).stat().st_size == 0:
                raise JournalError(f"the journal {self.path} is empty: no run has begun to write it")
            self.distrust: str | None = distrust(self._file)
            self._connection = sqlite3.connect(uri, uri=True, isolation_level=None)
            try:
                self._steps = 0
                self._connection.set_progress_handler(self._goes_on_for_ever, _STEPS)
                distrusting(self._connection)
                if not is_checked:
                    check_format(self._connection, self.path)
                    _ = self.run
            except BaseException:
                self._connection.close()
                raise

    @property
    def run(self) -> Mapping[str, str]:
        """What is known of the run: id, created_at, host, source_path and the like."""
        return check_facts(dict(self._rows("SELECT key, value FROM run ORDER BY key", _pair)), self.path)

    @property
    def settings(self) -> RunSettings:
        """The settings that the run keeps; all None for one that keeps none."""
        return RunSettings.of(self.run.get(KEY))

    @property
    def is_being_written(self) -> bool:
        """Whether a process has it open for writing, which a run does until its end."""
        return is_locked(self._file)

    def totals(self) -> Mapping[str, int]:
        """Count the items by state; `pending` is among the states only after a run was killed, or while one runs."""
        return dict(self._rows("SELECT state, count(*) FROM items GROUP BY state ORDER BY state", _pair))

    def not_archived(self) -> Iterator[NotArchivedRow]:
        """Iterate over the items that are not archived, in the input's order, in constant memory."""
        return self._rows(_FAILURES, _not_archived)

    def finished_run(self) -> Mapping[str, str]:
        """Return what the journal says of the run, finished when the last customer's outcome was written.

        A later session that had nothing left to do ends later, and moves nothing.
        """
        run = dict(self.run)
        last = next(self._rows("SELECT max(ended_at) FROM items", _time), None)
        if last is not None and run.get("finished_at"):
            run["finished_at"] = dt.datetime.fromtimestamp(last, dt.UTC).isoformat(timespec="seconds")
        return run

    def by_reason(self) -> Mapping[tuple[str, str | None], int]:
        """Count the items that are not archived by state and code, the most frequent first."""
        query = (
            "SELECT state, code, count(*) FROM items WHERE state IN ('rejected', 'failed', 'unknown', 'pending') "
            "GROUP BY state, code ORDER BY count(*) DESC, state, code"
        )
        return dict(self._rows(query, _reason))

    def by_business(self) -> Mapping[UUID, Mapping[str, int]]:
        """Count the items by business and state."""
        found: dict[UUID, dict[str, int]] = {}
        query = "SELECT business_id, state, count(*) FROM items GROUP BY business_id, state"
        for business, state, count in self._rows(query, _business):
            found.setdefault(business, {})[state] = count
        return found

    def samples(self) -> Iterator[Sample]:
        """Iterate over the samples of the gauges, the oldest first."""
        query = f"SELECT {', '.join(_GAUGES)} FROM samples ORDER BY at"  # noqa: S608 - the class's own names
        return self._rows(query, _sample)

    def invalid_lines(self) -> Iterator[InvalidLineRow]:
        """Iterate over the invalid lines of the source."""
        return self._rows('SELECT line, "column", reason FROM invalid_lines ORDER BY line', InvalidLineRow)

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        self._connection.close()

    def __enter__(self) -> Self:
        """Return the view itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def _rows(self, query: str, make: Callable[..., T]) -> Iterator[T]:
        self._steps = 0
        with translated(self.path, "read"):
            rows = self._connection.execute(query)
            try:
                for row in rows:
                    yield make(*row)
            except (ValueError, TypeError):
                # It was sound when it was opened, so that this was written since, and by no run.
                raise JournalError(f"the journal {self.path} cannot be read: {NOT_OURS}") from None
            finally:
                with suppress(sqlite3.ProgrammingError):  # the view was closed before the iteration came to its end
                    rows.close()

    def _goes_on_for_ever(self) -> bool:
        """Return whether a query takes more steps than the file's rows can: a damaged tree may lead in circles."""
        self._steps += _STEPS
        size = sum(file.stat().st_size for file in map(Path, (self._file, f"{self._file}-wal")) if file.exists())
        return self._steps > _STEPS_A_BYTE * (size + _STEPS)


def _pair(key: Any, value: Any) -> tuple[Any, Any]:  # noqa: ANN401 - columns
    return key, value


def _reason(state: Any, code: Any, count: Any) -> tuple[tuple[str, str | None], int]:  # noqa: ANN401 - columns
    return (state, code), count


def _time(seconds: Any) -> float | None:  # noqa: ANN401 - a column
    return None if seconds is None else float(seconds)


def _business(key: Any, state: Any, count: Any) -> tuple[UUID, str, int]:  # noqa: ANN401 - columns
    return UUID(bytes=key), state, count


def _sample(*row: Any) -> Sample:  # noqa: ANN401 - columns
    return Sample(**dict(zip(_GAUGES, row, strict=True)))


def _not_archived(*row: Any) -> NotArchivedRow:  # noqa: ANN401 - columns
    position, line, business, customer, state, code, attempts, ended_at = row
    return NotArchivedRow(
        position=position,
        line=line,
        business_id=UUID(bytes=business),
        customer_id=UUID(bytes=customer),
        state=ItemState(state),
        code=code,
        attempts=attempts,
        ended_at=ended_at,
    )


def read_journal(path: str | os.PathLike[str]) -> JournalView:
    """Open a journal for reading; use it in `with`.

    Args:
        path: The journal's file.

    Returns:
        The view.

    Raises:
        JournalError: It is missing, damaged, foreign, or of another format.
    """
    return JournalView(path)
