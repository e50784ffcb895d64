"""Zstandard, as a raw stream that says when data is cut short."""

import io
from typing import Final

from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.readers.streams import Buffer

try:
    import zstandard
except ImportError:
    raise SourceError(
        "a .zst file needs the package zstandard: pip install 'thredfi-async[bulk]', or decompress it first"
    ) from None

_FED: Final = 1024
"""Bytes decompressed at a time: a block of 4 can stand for 128 KiB, so that one step makes 32 MiB at most."""


class ZstdStream(io.RawIOBase):
    """The decompressed bytes of a zstd stream of any number of frames.

    `zstandard`'s own stream reader ends without a word where a frame is cut short; its decompression object tells.

    Args:
        name: The name for sentences.
        source: The compressed bytes.
    """

    def __init__(self, name: str, source: io.BufferedReader) -> None:
        super().__init__()
        self._name = name
        self._source = source
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._fed = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill a buffer with decompressed bytes.

        Raises:
            EOFError: The data ends in the middle of a frame.
            SourceError: It is no zstd data, or damaged.
        """
        while not self._ready:
            if not self._fed:
                self._fed = self._source.read(_FED)
            if not self._fed:
                if self._frame is not None:
                    raise EOFError
                return 0
            self._ready = memoryview(self._step())
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._ready))
        target[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _step(self) -> bytes:
        if self._frame is None:
            self._frame = zstandard.ZstdDecompressor().decompressobj()
        try:
            made = self._frame.decompress(self._fed)
        except zstandard.ZstdError:
            raise SourceError(f"{self._name} is not what its name says: it is no zstd data, or damaged") from None
        self._fed = self._frame.unused_data if self._frame.eof else b""
        if self._frame.eof:
            self._frame = None
        return made

    def close(self) -> None:
        """Close what is below, too."""
        if not self.closed:
            self._source.close()
        super().close()
