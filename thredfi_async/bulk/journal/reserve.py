"""Keeps room on the disk for the last words of a run: a disk that is full ends it, and its journal is to say so."""

import contextlib
import os
from pathlib import Path
from typing import Final

SIZE: Final = 1 << 20
"""Bytes: the outcomes of what is in flight take less, and so does the reason."""


class Reserve:
    """A file of zeros beside a journal that is open for writing.

    Args:
        journal: The journal's real path, which the caller has locked.
    """

    def __init__(self, journal: str) -> None:
        """Take the room; a disk that has none, or another's file in its place, leaves the journal without."""
        self._file = Path(f"{journal}-reserve")
        self._is_made = self._is_left_behind()
        self.release()
        with contextlib.suppress(OSError):
            descriptor = os.open(self._file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            self._is_made = True
            with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
                file.write(bytes(SIZE))

    def release(self) -> None:
        """Give the room back; a second call does nothing."""
        if self._is_made:
            with contextlib.suppress(OSError):
                self._file.unlink()
        self._is_made = False

    def _is_left_behind(self) -> bool:
        """Return whether a killed run has left it: a regular file of zeros, and nothing that somebody needs."""
        with contextlib.suppress(OSError):
            if self._file.is_file() and self._file.stat().st_size <= SIZE:
                return not any(self._file.read_bytes())
        return False
