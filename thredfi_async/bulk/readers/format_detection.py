"""Detects a file's format from its name."""

from pathlib import Path, PurePath
from typing import Final, Literal

import attrs

from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.reading_options import FORMATS, Format

Compression = Literal["gzip", "zstd"]

STDIN: Final = "stdin"
"""The name of stdin in messages."""
_FORMATS: Final[dict[str, Format]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".xlsx": "excel",
    ".xlsm": "excel",
    ".xls": "excel",
    ".parquet": "parquet",
}
_COMPRESSIONS: Final[dict[str, Compression]] = {".gz": "gzip", ".zst": "zstd"}
_OTHERS: Final = {
    ".numbers": "export it from Numbers as CSV",
    ".ods": "save it as .xlsx or as CSV",
    ".xlsb": "save it as .xlsx or as CSV",
    **dict.fromkeys((".htm", ".html", ".xml", ".slk", ".dif"), "open it in a spreadsheet, and save it as CSV"),
    **dict.fromkeys((".pdf", ".doc", ".docx", ".rtf"), "export the list as CSV"),
    **dict.fromkeys((".zip", ".tar", ".tgz", ".7z", ".rar", ".bz2", ".xz"), "unpack it, and name the file within"),
    **dict.fromkeys((".avro", ".orc", ".feather", ".arrow", ".dta", ".sav", ".rds"), "write it as Parquet or as CSV"),
    **dict.fromkeys((".sql", ".sqlite", ".sqlite3", ".mdb", ".accdb", ".iif", ".qbo"), "export the list as CSV"),
    ".db": "it may be a journal: thredfi bulk resume goes on with one",
}
_KNOWN: Final = "a name that ends in .csv, .tsv, .jsonl, .json, .xlsx or .parquet (.gz or .zst may follow text)"


@attrs.frozen
class DetectedFormat:
    """How to read a file.

    Args:
        format: The format of the records.
        compression: The compression to undo first, if any.
    """

    format: Format
    compression: Compression | None

    @property
    def is_text(self) -> bool:
        """Whether the file is text, read from end to end."""
        return self.format in {"csv", "jsonl", "json"}


def format_of(name: str) -> tuple[Format | None, Compression | None]:
    """Return the format and the compression that a file's name says, as far as it does."""
    suffixes = [suffix.lower() for suffix in PurePath(name).suffixes]
    compression = _COMPRESSIONS.get(suffixes.pop()) if suffixes and suffixes[-1] in _COMPRESSIONS else None
    return _FORMATS.get(suffixes[-1]) if suffixes else None, compression


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
    chosen, compression = format_of(name)
    if given is not None:
        if given not in FORMATS:
            raise SourceError(f"format must be one of {', '.join(FORMATS)}")
        chosen = given
    elif chosen is None and Path(name).is_dir() and name != STDIN:
        chosen = "parquet"  # a folder of parts
    if chosen is None and name == STDIN:
        raise SourceError("which format does stdin have? Give --format csv, jsonl or json")
    if chosen is None:
        advice = _OTHERS.get(PurePath(name).suffix.lower())
        if advice is not None:
            raise SourceError(f"{name} cannot be read: {advice}")
        raise SourceError(f"{name}: which format is this? Give --format {', '.join(FORMATS)}, or {_KNOWN}")
    if chosen in {"parquet", "excel"} and compression is not None:
        which = "Parquet" if chosen == "parquet" else "a workbook"
        raise SourceError(f"{name}: {which} is compressed inside; undo the {compression} around it first")
    return DetectedFormat(chosen, compression)
