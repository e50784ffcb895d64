"""Reads Zstandard as a raw stream that raises an error when data is cut short."""

import io
import sys
from typing import TYPE_CHECKING, Final

from thredfi_async._extras import how_to_install
from thredfi_async.bulk.errors import SourceError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

try:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
except ImportError:
    if sys.version_info >= (3, 14):
        _needed = "a Python that was built with compression.zstd: decompress it first"
    else:
        _needed = f"the package backports.zstd: {how_to_install('bulk')}, or decompress it first"
    raise SourceError(f"a .zst file needs {_needed}") from None

_CHUNK: Final = 1 << 18
"""Bytes read, and bytes decompressed, at a time."""


class ZstdStream(io.RawIOBase):
    """The decompressed bytes of a zstd stream of any number of frames.

    Args:
        name: The name for messages.
        source: The compressed bytes.
    """

    def __init__(self, name: str, source: io.BufferedReader) -> None:
        super().__init__()
        self._name = name
        self._source = source
        self._frame: zstd.ZstdDecompressor | None = None
        self._unused = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill a buffer with decompressed bytes.

        Raises:
            EOFError: The data ends in the middle of a frame.
            SourceError: It is no zstd data, or damaged.
        """
        while not self._ready:
            data = b""
            if self._frame is None or self._frame.needs_input:
                data = self._unused or self._source.read(_CHUNK)
                self._unused = b""
                if not data:
                    if self._frame is not None:
                        raise EOFError
                    return 0
            self._ready = memoryview(self._decompress(data))
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._ready))
        target[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _decompress(self, data: bytes) -> bytes:
        if self._frame is None:
            self._frame = zstd.ZstdDecompressor()
        try:
            made = self._frame.decompress(data, _CHUNK)
        except zstd.ZstdError:
            raise SourceError(f"{self._name} is not what its name says: it is no zstd data, or damaged") from None
        if self._frame.eof:
            self._unused = self._frame.unused_data
            self._frame = None
        return made

    def close(self) -> None:
        """Close the stream below, too."""
        if not self.closed:
            self._source.close()
        super().close()
