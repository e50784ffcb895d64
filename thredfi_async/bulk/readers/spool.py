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

    def begin(self, pieces: Iterable[bytes]) -> None:
        """Begin to keep a record with what was read of it."""
        if self._wanted:
            self._file = tempfile.SpooledTemporaryFile(_HELD)  # noqa: SIM115 - closed by the one who takes it
            self._file.writelines(pieces)

    def add(self, piece: bytes) -> None:
        """Keep more of it."""
        if self._file is not None:
            self._file.write(piece)

    def take(self) -> IO[bytes] | None:
        """Return the record, to be closed; None if none is kept."""
        taken, self._file = self._file, None
        return taken


def pieces_of(file: IO[bytes]) -> Iterator[bytes]:
    """Yield a record that was kept, from its beginning."""
    file.seek(0)
    while piece := file.read(_CHUNK):
        yield piece
