"""Keeps a record that is too long to be held, for the file of invalid lines."""

import tempfile
from collections.abc import Iterable, Iterator
from typing import IO, Final

_HELD: Final = 1 << 20
_CHUNK: Final = 1 << 18


class Spool:
    """Keeps the record that is being read, in a file without a name once it is too long to be held.

    Args:
        wanted: Whether records are kept at all.
    """

    def __init__(self, *, wanted: bool) -> None:
        self._wanted = wanted
        self._file: IO[bytes] | None = None
        self._taken: IO[bytes] | None = None

    def begin(self, pieces: Iterable[bytes]) -> None:
        """Begin to keep a record with what was read of it."""
        self.close()
        if self._wanted:
            self._file = tempfile.SpooledTemporaryFile(_HELD)  # noqa: SIM115 - closed with the next one, or at the end
            self._file.writelines(pieces)

    def add(self, piece: bytes) -> None:
        """Keep more of it."""
        if self._file is not None:
            self._file.write(piece)

    def take(self) -> IO[bytes] | None:
        """Return the record, which is there until the next one begins; None if none is kept."""
        self._taken, self._file = self._file, None
        return self._taken

    def close(self) -> None:
        """Drop what is kept."""
        for file in (self._file, self._taken):
            if file is not None:
                file.close()
        self._file = self._taken = None


def pieces_of(file: IO[bytes]) -> Iterator[bytes]:
    """Yield a record that was kept, from its beginning."""
    file.seek(0)
    while piece := file.read(_CHUNK):
        yield piece
