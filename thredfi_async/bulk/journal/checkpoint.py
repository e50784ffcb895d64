"""Moves what was committed from the log into the journal's file, so that this file alone is a journal."""

import logging
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

INTERVAL: Final = 5.0
"""Seconds between two checkpoints of a run: a copy of the file alone, made while it runs, lacks no more than that."""
READERS_WAIT: Final = 5.0
"""Seconds that the end of a run waits for programs that are reading the journal."""

_log: Final = logging.getLogger(__name__)


class Checkpoints:
    """Moves the log into the file, now and then and at the end.

    Args:
        connection: The writer's.
        path: The journal's real path.
        clock: Tells the time, in seconds that only grow.
        wait: Seconds to wait for readers at the end.
    """

    def __init__(self, connection: sqlite3.Connection, path: str, clock: Callable[[], float], wait: float) -> None:
        self._execute = connection.execute
        self._path = path
        self._clock = clock
        self._wait = wait
        self._due = clock() + INTERVAL

    def when_due(self) -> None:
        """Move what no reader holds back, if the last time is long enough ago."""
        if self._clock() >= self._due:
            self.now()

    def now(self) -> None:
        """Move what no reader holds back."""
        # What a disk that is full or fails does not take stays in the log, and is as durable there.
        with suppress(sqlite3.Error):
            self._execute("PRAGMA wal_checkpoint(PASSIVE)")
        self._due = self._clock() + INTERVAL

    def last(self) -> tuple[str, ...]:
        """Move everything and remove the log, so that the journal is one file.

        Returns:
            The files that belong together, the journal first, if a reader or the disk kept the log from being moved;
            none if the journal is complete by itself.
        """
        with suppress(sqlite3.Error):
            self._execute(f"PRAGMA busy_timeout = {round(self._wait * 1000)}")
            self._execute("PRAGMA wal_checkpoint(TRUNCATE)")
            # This fails where a program that reads nothing just now has the journal open; its log is empty by then.
            self._execute("PRAGMA journal_mode = DELETE")
        log = Path(f"{self._path}-wal")
        with suppress(OSError):
            if log.stat().st_size:
                _log.warning(
                    "the journal %s is complete only together with %s: another program reads it, or the disk is full",
                    log.stem,
                    log,
                )
                return self._path, str(log)
        return ()
