"""Reads a journal, while it is written or afterwards, without a lock and without changes."""

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID

from thredfi_async._jobs.states import ItemState
from thredfi_async.bulk.journal.files import check_header, translated, uri_of
from thredfi_async.bulk.journal.rows import InvalidLineRow, NotArchivedRow, Sample

_FAILURES: Final = """
SELECT position, business_id, customer_id, state, code, attempts, ended_at FROM items
WHERE state IN ('rejected', 'failed', 'unknown') ORDER BY position
"""


class JournalView:
    """Reads a journal; a run may be writing it, and each query sees what was committed at that time.

    Args:
        path: The journal's file.

    Raises:
        JournalError: It is missing, damaged, foreign, or of a newer version.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the file for reading."""
        self.path: str = os.fspath(path)
        with translated(self.path, "read"):
            self._connection = sqlite3.connect(uri_of(self.path, mode="ro"), uri=True, isolation_level=None)
            try:
                check_header(self._connection, self.path)
            except BaseException:
                self._connection.close()
                raise

    @property
    def run(self) -> Mapping[str, str]:
        """What is known of the run: id, created_at, host, source_path and the like."""
        return dict(self._rows("SELECT key, value FROM run ORDER BY key"))

    def totals(self) -> Mapping[str, int]:
        """Count the items by state; `pending` is among the states only after a run was killed, or while one runs."""
        return dict(self._rows("SELECT state, count(*) FROM items GROUP BY state ORDER BY state"))

    def not_archived(self) -> Iterator[NotArchivedRow]:
        """Iterate over the items that are not archived, in the input's order, in constant memory."""
        for position, business, customer, state, code, attempts, ended_at in self._rows(_FAILURES):
            yield NotArchivedRow(
                position=position,
                business_id=UUID(bytes=business),
                customer_id=UUID(bytes=customer),
                state=ItemState(state),
                code=code,
                attempts=attempts,
                ended_at=ended_at,
            )

    def by_reason(self) -> Mapping[tuple[str, str | None], int]:
        """Count the items that are not archived by state and code, the most frequent first."""
        rows = self._rows(
            "SELECT state, code, count(*) FROM items WHERE state IN ('rejected', 'failed', 'unknown', 'pending') "
            "GROUP BY state, code ORDER BY count(*) DESC, state, code"
        )
        return {(state, code): count for state, code, count in rows}

    def by_business(self) -> Mapping[UUID, Mapping[str, int]]:
        """Count the items by business and state."""
        found: dict[UUID, dict[str, int]] = {}
        rows = self._rows("SELECT business_id, state, count(*) FROM items GROUP BY business_id, state")
        for business, state, count in rows:
            found.setdefault(UUID(bytes=business), {})[state] = count
        return found

    def samples(self) -> Iterator[Sample]:
        """Iterate over the samples of the gauges, the oldest first."""
        names = ", ".join(Sample.__annotations__)
        for row in self._rows(f"SELECT {names} FROM samples ORDER BY at"):  # noqa: S608 - the class's own names
            yield Sample(**dict(zip(Sample.__annotations__, row, strict=True)))

    def invalid_lines(self) -> Iterator[InvalidLineRow]:
        """Iterate over the invalid lines of the source."""
        for row in self._rows('SELECT line, "column", reason FROM invalid_lines ORDER BY line'):
            yield InvalidLineRow(*row)

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

    def _rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        with translated(self.path, "read"), closing(self._connection.execute(query)) as rows:
            yield from rows


def read_journal(path: str | os.PathLike[str]) -> JournalView:
    """Open a journal for reading; use it in `with`.

    Args:
        path: The journal's file.

    Returns:
        The view.

    Raises:
        JournalError: It is missing, damaged, foreign, or of a newer version.
    """
    return JournalView(path)
