"""Content encodings written by hand, and bombs made of them, with the standard library alone.

No brotli or zstandard package is needed: both formats have "stored" blocks, which hold their bytes unchanged.
A real decoder reads them like any other, and stops exactly where a body is cut.
"""

import functools
import gzip
import struct
import zlib
from typing import Literal

Encoding = Literal["gzip", "br", "zstd"]

MIB = 1 << 20
_GZIP_HEADER = bytes.fromhex("1f8b08000000000000ff")
# Magic, no content size and no checksum, a window of 128 KiB (which is also the largest block).
_ZSTD_HEADER = bytes.fromhex("28b52ffd0038")
_ZSTD_BLOCK = 128 * 1024
_ZSTD_RAW, _ZSTD_RLE = 0, 1
# brotli.Compressor(quality=11, lgwin=24), fed 1 MiB of spaces and flushed, again and again: the first flush
# gives the first of these, and every later one the second.
_BROTLI_FIRST_MIB = bytes.fromhex("afffff875f02241e0b0472ef1f0c")
_BROTLI_NEXT_MIB = bytes.fromhex("faff7ff82500e2b00040f7fec100")
_BROTLI_END = b"\x03"


def encode(encoding: Encoding, body: bytes) -> bytes:
    """Return the body in this encoding, completely well-formed."""
    match encoding:
        case "gzip":
            return gzip.compress(body, mtime=0)
        case "br":
            return _stored_brotli(body)
        case "zstd":
            return _stored_zstd(body)


@functools.cache
def bomb(encoding: Encoding, mebibytes: int = 256) -> bytes:
    """Return a few bytes (gzip: a thousandth) that decompress to so many MiB of spaces, which are blanks in JSON."""
    match encoding:
        case "gzip":
            return _gzip_of_spaces(mebibytes)
        case "br":
            return _BROTLI_FIRST_MIB + _BROTLI_NEXT_MIB * (mebibytes - 1) + _BROTLI_END
        case "zstd":
            block = _zstd_block_header(_ZSTD_RLE, _ZSTD_BLOCK, last=False) + b" "
            return _ZSTD_HEADER + block * (mebibytes * MIB // _ZSTD_BLOCK) + _zstd_end()


def _gzip_of_spaces(mebibytes: int) -> bytes:
    # A full flush resets the window, so that one compressed MiB can be repeated; the checksum covers all.
    spaces = b" " * MIB
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    piece = deflate.compress(spaces) + deflate.flush(zlib.Z_FULL_FLUSH)
    checksum = functools.reduce(lambda crc, _: zlib.crc32(spaces, crc), range(mebibytes), 0)
    return _GZIP_HEADER + piece * mebibytes + b"\x03\x00" + struct.pack("<II", checksum, mebibytes * MIB % 2**32)


def _stored_brotli(body: bytes) -> bytes:
    """RFC 7932: a 16-bit window, stored meta-blocks of up to 64 KiB, an empty last one."""
    out = bytearray()
    for index, block in enumerate(_blocks(body, 1 << 16)):
        # ISLAST=0, MNIBBLES=0 (four of them), MLEN-1, ISUNCOMPRESSED=1. The first follows the window's bit.
        bits = (len(block) - 1) << 3 | 1 << 19
        out += (bits << 1 if index == 0 else bits).to_bytes(3, "little") + block
    return bytes(out) + _BROTLI_END if body else b"\x06"


def _stored_zstd(body: bytes) -> bytes:
    """RFC 8878: raw blocks of up to 128 KiB, an empty last one."""
    raw = (_zstd_block_header(_ZSTD_RAW, len(block), last=False) + block for block in _blocks(body, _ZSTD_BLOCK))
    return _ZSTD_HEADER + b"".join(raw) + _zstd_end()


def _zstd_block_header(kind: int, size: int, *, last: bool) -> bytes:
    return (size << 3 | kind << 1 | last).to_bytes(3, "little")


def _zstd_end() -> bytes:
    return _zstd_block_header(_ZSTD_RAW, 0, last=True)


def _blocks(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]
