"""Reads the bytes of a file or of stdin, hashes them as they pass, and decompresses them."""

import gzip
import hashlib
import io
import os
import stat
import sys
import zlib
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, cast

import attrs

from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.readers.format_detection import Compression

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CHUNK: Final = 1 << 18
"""Bytes read at a time."""
_MAGIC: Final = {
    b"\x1f\x8b": "is compressed with gzip; a file's name has to end in .gz, and stdin has to be decompressed first",
    b"\x28\xb5": "is compressed with zstd; a file's name has to end in .zst, and stdin has to be decompressed first",
    b"\xff\xfe": "is UTF-16; save it as UTF-8",
    b"\xfe\xff": "is UTF-16; save it as UTF-8",
    b"PK": "is a ZIP archive or a spreadsheet; save it as CSV",
    b"PA": "is Parquet, going by its first bytes; the format that was given says otherwise",
}
_BOM: Final = b"\xef\xbb\xbf"


class HashingStream(io.RawIOBase):
    """A raw stream that hashes and counts the bytes that pass.

    Args:
        raw: Where the bytes come from; closed with this.
    """

    def __init__(self, raw: io.RawIOBase) -> None:
        super().__init__()
        self._raw = raw
        self._digest = hashlib.sha256()
        self.passed: int = 0

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int | None:
        """Fill a buffer, and count and hash what came."""
        count = self._raw.readinto(buffer)
        if count:
            self._digest.update(memoryview(buffer)[:count])
            self.passed += count
        return count

    def sha256(self) -> str:
        """Return the SHA-256 of what has passed, in hexadecimal."""
        return self._digest.hexdigest()

    def close(self) -> None:
        """Close the stream below, too."""
        if not self.closed:
            self._raw.close()
        super().close()


class Opened:
    """An open source: its records' bytes, and the hash of the file's own.

    Args:
        name: The name for messages.
        hashing: The file's own bytes.
        compression: The compression to undo, if any.
    """

    def __init__(self, name: str, hashing: HashingStream, compression: Compression | None) -> None:
        self.name = name
        self.hashing = hashing
        self.stream: io.BufferedReader = _decompressed(name, io.BufferedReader(hashing, CHUNK), compression)

    def skip_mark(self) -> None:
        """Skip a byte order mark, and refuse what its first bytes show not to be UTF-8 text.

        Raises:
            SourceError: It is something else.
        """
        first = self.stream.peek(len(_BOM))
        if first.startswith(_BOM):
            self.stream.read(len(_BOM))
        elif (problem := _MAGIC.get(first[:2])) is not None:
            raise SourceError(f"{self.name} {problem}")

    def sha256(self) -> str:
        """Return the SHA-256 of the file's own bytes, after reading to their end."""
        while self.hashing.read(CHUNK):
            pass
        return self.hashing.sha256()

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError, EOFError):
            self.stream.close()
        self.hashing.close()


def open_stream(path: Path | None, name: str, compression: Compression | None) -> Opened:
    """Open a file, or stdin.

    Args:
        path: The file, or None for stdin.
        name: The name for messages.
        compression: The compression to undo, if any.

    Returns:
        The open source.

    Raises:
        SourceError: It cannot be opened.
    """
    with reading(name):
        return Opened(name, HashingStream(_raw(path)), compression)


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
        if problem is not None:
            raise SourceError(f"{name} is not the file that this run was begun with: {problem}")

    def _problem(self, descriptor: int) -> str | None:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return "it is a folder, a pipe or a device"
        if self.size is not None and self.size != found.st_size:
            return f"it had {self.size:,} bytes then, and has {found.st_size:,} now"
        if self.sha256 is not None and self.sha256 != _digest(descriptor, found.st_size):
            return "it is as long as it was, and its SHA-256 is another"
        return None


_LOOK: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)


def _digest(descriptor: int, size: int) -> str:
    """Return the SHA-256 of so many bytes of a file, and no more, however long it has become."""
    digest = hashlib.sha256()
    while size > 0 and (chunk := os.read(descriptor, min(size, CHUNK))):
        digest.update(chunk)
        size -= len(chunk)
    return digest.hexdigest()


def is_regular(path: Path, name: str) -> bool:
    """Return whether a path can be read more than once, which a pipe cannot.

    Raises:
        SourceError: There is no such file, or it is a directory.
    """
    with reading(name):
        mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise SourceError(f"cannot read {name}: it is a directory")
    return stat.S_ISREG(mode)


@contextmanager
def reading(name: str) -> Generator[None]:
    """Turn errors of reading into a sentence."""
    try:
        yield
    except EOFError:
        raise SourceError(f"{name} is cut short: its compressed data ends in the middle") from None
    except (gzip.BadGzipFile, zlib.error):
        raise SourceError(f"{name} is not what its name says: it is no gzip data, or damaged") from None
    except OSError as error:
        raise SourceError(f"cannot read {name}: {error.strerror or type(error).__name__}") from None


def _raw(path: Path | None) -> io.RawIOBase:
    if path is not None:
        return io.FileIO(path, "rb")
    if sys.stdin is None:
        raise OSError(0, "stdin is closed")
    # A descriptor of our own: this must neither fill the buffer of `sys.stdin` nor close it.
    return io.FileIO(os.dup(sys.stdin.fileno()), "rb")


def _decompressed(name: str, stream: io.BufferedReader, compression: Compression | None) -> io.BufferedReader:
    match compression:
        case "gzip":
            return io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=cast("IO[bytes]", stream))), CHUNK)
        case "zstd":
            # Imported on use: the extra `bulk` brings it.
            from thredfi_async.bulk.readers.zstd import ZstdStream  # noqa: PLC0415 - of the extra `bulk`

            return io.BufferedReader(ZstdStream(name, stream), CHUNK)
        case None:
            return stream
