"""Keeps room on the disk for the last words of a run: a disk that is full ends it, and its journal is to say so."""

import contextlib
from pathlib import Path
from typing import Final

from thredfi_async.bulk.journal.files import create_private

SIZE: Final = 1 << 20
"""Bytes: the outcomes of what is in flight take less, and so does the reason."""


class Reserve:
    """A file of zeros beside a journal that is open for writing.

    Args:
        journal: The journal's real path, which the caller has locked.
    """

    def __init__(self, journal: str) -> None:
        """Take the room; a disk that has none is met by the first thing that is written, too."""
        self._file = Path(f"{journal}-reserve")
        # A killed run has left one behind; what another made under this name is not written to.
        self.release()
        with contextlib.suppress(OSError):
            create_private(str(self._file))
            self._file.write_bytes(bytes(SIZE))

    def release(self) -> None:
        """Give the room back; a second call does nothing."""
        with contextlib.suppress(OSError):
            self._file.unlink()
