"""Detects a file's format from its name."""

from pathlib import PurePath
from typing import Final, Literal, get_args

import attrs

from thredfi_async.bulk.errors import SourceError

Format = Literal["csv", "jsonl", "parquet"]
Compression = Literal["gzip", "zstd"]

STDIN: Final = "stdin"
"""The name of stdin in messages."""
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
"""The formats that can be read."""
_FORMATS: Final[dict[str, Format]] = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
_COMPRESSIONS: Final[dict[str, Compression]] = {".gz": "gzip", ".zst": "zstd"}
_KNOWN: Final = "a name that ends in .csv, .jsonl or .parquet (.gz or .zst may follow the first two)"


@attrs.frozen
class DetectedFormat:
    """How to read a file.

    Args:
        format: The format of the records.
        compression: The compression to undo first, if any.
    """

    format: Format
    compression: Compression | None


def detect_format(name: str, given: str | None) -> DetectedFormat:
    """Decide how a file is read.

    Args:
        name: The file's name, or `stdin`.
        given: The format that the caller named, if any; it wins over the name.

    Returns:
        The format and the compression.

    Raises:
        SourceError: Neither names the format, or there is no such format.
    """
    suffixes = [suffix.lower() for suffix in PurePath(name).suffixes]
    compression = _COMPRESSIONS.get(suffixes.pop()) if suffixes and suffixes[-1] in _COMPRESSIONS else None
    if given is not None:
        if given not in FORMATS:
            raise SourceError(f"format must be one of {', '.join(FORMATS)}")
        chosen: Format | None = given
    else:
        chosen = _FORMATS.get(suffixes[-1]) if suffixes else None
    if chosen is None and name == STDIN:
        raise SourceError("which format does stdin have? Give csv or jsonl")
    if chosen is None:
        raise SourceError(f"{name}: which format is this? Give one of {', '.join(FORMATS)}, or {_KNOWN}")
    if chosen == "parquet" and compression is not None:
        raise SourceError(f"{name}: Parquet is compressed inside; undo the {compression} around it first")
    return DetectedFormat(chosen, compression)
