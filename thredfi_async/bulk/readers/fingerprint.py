"""Compares a file with the one that a run was begun with, before anything of it is parsed."""

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs

from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.readers.io import CHUNK, reading


@attrs.frozen(kw_only=True)
class Fingerprint:
    """What is known of a file that was read before.

    Args:
        size: Its bytes; None if that is not known.
        sha256: Their SHA-256, in hexadecimal; None if that is not known.
    """

    size: int | None
    sha256: str | None

    def require(self, path: Path, name: str) -> None:
        """Refuse another file, of which no more is read than this one had.

        Args:
            path: The file. Someone else may have named it: a pipe waits for its other end, and a device has no end.
            name: Its name for messages.

        Raises:
            SourceError: It is another file, or none, or cannot be read.
        """
        with reading(name):
            descriptor = os.open(path, _LOOK)
            try:
                problem = self._problem(descriptor)
            finally:
                os.close(descriptor)
        self._refuse(name, problem)

    def require_digest(self, size: int, sha256: str, name: str) -> None:
        """Refuse another folder of parts.

        Args:
            size: The bytes of its parts.
            sha256: The hash of their names and bytes.
            name: Its name for messages.

        Raises:
            SourceError: It is another, or has changed.
        """
        self._refuse(name, self._size_problem(size) or self._hash_problem(lambda: sha256))

    def _refuse(self, name: str, problem: str | None) -> None:
        if problem is not None:
            raise SourceError(f"{name} is not the file that this run was begun with: {problem}")

    def _problem(self, descriptor: int) -> str | None:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return "it is a folder, a pipe or a device"
        return self._size_problem(found.st_size) or self._hash_problem(lambda: _digest(descriptor, found.st_size))

    def _size_problem(self, size: int) -> str | None:
        if self.size is None or self.size == size:
            return None
        return f"it had {self.size:,} bytes then, and has {size:,} now"

    def _hash_problem(self, sha256: Callable[[], str]) -> str | None:
        if self.sha256 is None or self.sha256 == sha256():
            return None
        return "it is as long as it was, and its SHA-256 is another"


_LOOK: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)


def _digest(descriptor: int, size: int) -> str:
    """Return the SHA-256 of so many bytes of a file, and no more, however long it has become."""
    digest = hashlib.sha256()
    while size > 0 and (chunk := os.read(descriptor, min(size, CHUNK))):
        digest.update(chunk)
        size -= len(chunk)
    return digest.hexdigest()
