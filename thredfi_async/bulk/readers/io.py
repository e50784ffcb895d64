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

from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.readers.format_detection import Compression, DetectedFormat
from thredfi_async.bulk.readers.spool import Spool

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CHUNK: Final = 1 << 18
"""Bytes read at a time."""
_HEAD: Final = 1 << 16
"""Most bytes of a file's beginning that are looked at before it is read."""


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


class _Before(io.RawIOBase):
    """Bytes that were read already, and what follows them."""

    def __init__(self, head: bytes, rest: io.BufferedReader) -> None:
        super().__init__()
        self._head = memoryview(head)
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        target = memoryview(buffer).cast("B")
        if not self._head:
            return self._rest.readinto1(target)
        count = min(len(target), len(self._head))
        target[:count] = self._head[:count]
        self._head = self._head[count:]
        return count

    def close(self) -> None:
        if not self.closed:
            self._rest.close()
        super().close()


def _has_line(head: bytearray) -> bool:
    """Return whether a line ends in here, and something follows, which tells CR LF from CR."""
    end = min((place for place in (head.find(b"\n"), head.find(b"\r")) if place >= 0), default=-1)
    return 0 <= end < len(head) - 4 or (end >= 0 and head[end] == ord("\n"))


class Opened:
    """An open source: its records' bytes, and the hash of the file's own.

    Args:
        name: The name for messages.
        hashing: The file's own bytes.
        compression: The compression to undo, if any.
        keep: Whether records that are too long to be held are kept.
    """

    def __init__(self, name: str, hashing: HashingStream, compression: Compression | None, *, keep: bool) -> None:
        self.name = name
        self.hashing = hashing
        self.spool: Spool = Spool(wanted=keep)
        self.stream: io.BufferedReader = _decompressed(name, io.BufferedReader(hashing, CHUNK), compression)

    def as_text(self, encoding: str, errors: str, newline: str) -> io.TextIOWrapper:
        """Return the bytes as text; it is kept, since it would close the file as soon as no one holds it."""
        self._text = io.TextIOWrapper(self.stream, encoding, errors=errors, newline=newline)
        return self._text

    def head(self) -> bytes:
        """Return the file's beginning, which can be read again: its first line, if that is not too long.

        A pipe is not waited for longer than its first line takes.
        """
        head = bytearray()
        while len(head) < _HEAD and not _has_line(head):
            piece = self.stream.read1(_HEAD - len(head))
            if not piece:
                break
            head += piece
        self.stream = io.BufferedReader(_Before(bytes(head), self.stream), CHUNK)
        return bytes(head)

    def sha256(self) -> str:
        """Return the SHA-256 of the file's own bytes, after reading to their end."""
        while self.hashing.read(CHUNK):
            pass
        return self.hashing.sha256()

    def close(self) -> None:
        """Close the file."""
        self.spool.close()
        with suppress(OSError, EOFError):
            self.stream.close()
        self.hashing.close()


def open_stream(path: Path | None, name: str, compression: Compression | None, *, keep: bool = False) -> Opened:
    """Open a file, or stdin.

    Args:
        path: The file, or None for stdin.
        name: The name for messages.
        compression: The compression to undo, if any.
        keep: Whether records that are too long to be held are kept.

    Returns:
        The open source.

    Raises:
        SourceError: It cannot be opened.
    """
    with reading(name):
        return Opened(name, HashingStream(_raw(path)), compression, keep=keep)


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


def readable(path: Path) -> str:
    """Return a path for people: bytes in it that are not UTF-8 are shown as such."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def can_be_read_again(path: Path, name: str, detected: DetectedFormat) -> bool:
    """Return whether there can be a second pass, as there can over a folder of Parquet files.

    Raises:
        SourceError: There is no such file, or it is a directory.
    """
    return (detected.format == "parquet" and path.is_dir()) or is_regular(path, name)


def is_part(path: Path) -> bool:
    """Return whether a file in a folder is a part of its table; what begins with `_` or `.` is a writer's own."""
    return path.suffix.lower() == ".parquet" and not path.name.startswith(("_", "."))


def size_of(path: Path) -> int:
    """Return how many bytes a file has, or the files of a folder."""
    files = [each for each in path.iterdir() if is_part(each)] if path.is_dir() else [path]
    return sum(each.stat().st_size for each in files)


@contextmanager
def reading(name: str) -> Generator[None]:
    """Turn errors of reading into a sentence."""
    try:
        yield
    except EOFError:
        raise SourceError(f"{name} is cut short: its compressed data ends in the middle") from None
    except (gzip.BadGzipFile, zlib.error):
        raise SourceError(f"{name} is not what its name says: it is no gzip data, or damaged") from None
    except UnicodeError:
        raise SourceError(f"{name} is cut short, or not in the encoding that it was read in: give --encoding") from None
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
