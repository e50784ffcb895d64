"""Decompresses gzip in bounded time and memory."""

import re
import zlib
from typing import Final

_FIRST_STEP: Final = 512
_LONGEST_STEP: Final = 65_536
_PADDING: Final = re.compile(rb"\x00*+")


def gunzip(body: bytes, bound: int) -> tuple[bytes, str | None]:
    """Decompress every member of a gzip body.

    aiohttp's own decompression is not bounded in time: a small body may become gigabytes in one step.
    """
    plain, at = bytearray(), 0
    view = memoryview(body)
    while at < len(body):
        member, step = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16), _FIRST_STEP
        while not member.eof:
            piece = view[at : at + step]
            if not piece:
                return bytes(plain), "is cut short"
            try:
                plain += member.decompress(piece, bound + 1 - len(plain))
            except zlib.error:
                return b"", "is not the gzip that it is said to be"
            if len(plain) > bound:
                return bytes(plain[:bound]), f"is longer than max_body_bytes ({bound})"
            # What is left behind the member's end is copied each time: little, while members are small.
            at += len(piece) - len(member.unused_data)
            step = min(2 * step, _LONGEST_STEP)
        padding = _PADDING.match(body, at)
        at = at if padding is None else padding.end()
    return bytes(plain), None
