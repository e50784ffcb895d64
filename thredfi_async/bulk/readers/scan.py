"""Scans a whole file for its size, its hash, and about how many records it has."""

import hashlib
from pathlib import Path
from typing import Final

import attrs

from thredfi_async.bulk.readers.format_detection import DetectedFormat
from thredfi_async.bulk.readers.io import CHUNK, Opened, open_stream, reading

_QUOTE: Final = b'"'


@attrs.frozen
class Scan:
    """The result of a scan.

    Args:
        size: The file's bytes.
        sha256: Their SHA-256, in hexadecimal.
        records: How many records there are, blank lines and invalid ones included.
    """

    size: int
    sha256: str
    records: int


def scan(path: Path, name: str, detected: DetectedFormat) -> Scan:
    """Read a file once, without parsing its records.

    Args:
        path: The file.
        name: Its name for messages.
        detected: How it is read.

    Returns:
        What was found.

    Raises:
        SourceError: It cannot be read.
    """
    if detected.format == "parquet":
        # Imported on use: the extra `parquet` brings it.
        from thredfi_async.bulk.readers.parquet_records import count_rows  # noqa: PLC0415 - of the extra `parquet`

        size, sha256 = _hashed(path, name)
        return Scan(size, sha256, count_rows(path, name))
    opened = open_stream(path, name, detected.compression)
    with reading(name):
        try:
            ends = _line_ends(opened, outside_quotes=detected.format == "csv")
        finally:
            opened.close()
    headers = 1 if detected.format == "csv" else 0
    return Scan(opened.hashing.passed, opened.hashing.sha256(), max(0, ends - headers))


def _hashed(path: Path, name: str) -> tuple[int, str]:
    with reading(name), path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return file.tell(), digest.hexdigest()


def _line_ends(opened: Opened, *, outside_quotes: bool) -> int:
    """Count line ends, in CSV those that end a record: as many quotes have been closed as opened."""
    count, quoted, last = 0, 0, b"\n"
    while chunk := opened.stream.read(CHUNK):
        last = chunk[-1:]
        if outside_quotes and (quoted or _QUOTE in chunk):
            # Every second part stands outside of quotes; a quote within quotes is written twice, and changes nothing.
            parts = chunk.split(_QUOTE)
            chunk = b"".join(parts[quoted::2])
            quoted ^= (len(parts) - 1) % 2
        count += chunk.count(b"\n")
    return count + (last != b"\n")
