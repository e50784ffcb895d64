"""Finds out how a file's text is written: its encoding, and how its lines end."""

import codecs
import re
from typing import Final

import attrs

from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.readers.io import Opened
from thredfi_async.bulk.reading_options import Format, is_single_byte

_MARKS: Final = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_UTF_32: Final = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_MAGIC: Final = {
    b"\x1f\x8b": "is compressed with gzip; a file's name has to end in .gz, and stdin has to be decompressed first",
    b"\x28\xb5": "is compressed with zstd; a file's name has to end in .zst, and stdin has to be decompressed first",
    b"PK\x03\x04": "is a workbook or a ZIP archive: if it is a workbook, its name has to end in .xlsx, or give "
    "--format excel; if not, unpack it",
    b"PAR1": "is Parquet, going by its first bytes; the format that was given says otherwise: give --format parquet",
    b"\xd0\xcf\x11\xe0": "is an old workbook: its name has to end in .xls, or give --format excel",
    b"%PDF": "is a PDF; export the list as CSV",
}
_MARKUP: Final = ("<!doctype html", "<html", "<?xml", "<table", "<meta", "<style", "mime-version:")
_JSON: Final = re.compile(r"\s*(?:\[\s*[\[{]|\{\s*\"|\[\s*\"[^\"]{0,99}\"\s*[,\]]\s*$)")
_DOCUMENT: Final = re.compile(r"\s*(?:\[|\{[ \t]*\r?\n)")
_LOOKED_AT: Final = 400
_SHARE: Final = 0.4
"""Least part of every other byte that is zero in UTF-16: most of what stands in a header is ASCII."""


@attrs.frozen
class TextForm:
    """How text is written.

    Args:
        encoding: Python's name.
        mark: The byte order mark in front.
        line_end: The last character of a line: a line feed, or a carriage return where that alone ends lines.
    """

    encoding: str
    mark: bytes = b""
    line_end: str = "\n"

    @property
    def errors(self) -> str:
        """How bytes that are no text are read; as lone surrogates, where that leaves all others as they are."""
        return "surrogateescape" if self.encoding == "utf-8" or is_single_byte(self.encoding) else "strict"

    @property
    def is_ascii_based(self) -> bool:
        """Whether the bytes of line ends and quotes are those of ASCII, and mean nothing else."""
        return self.errors == "surrogateescape"


def form_of(opened: Opened, given: str | None, format: Format) -> TextForm:  # noqa: A002 - what it is called everywhere
    """Find out how a file's text is written, from its beginning, and skip a byte order mark.

    Args:
        opened: The file, nothing of which was read.
        given: The encoding that the caller named, if any.
        format: Which of the formats that are text it has to be.

    Returns:
        The form.

    Raises:
        SourceError: It is no text, text of another kind, or written otherwise than the caller said.
    """
    head = opened.head()
    if head.startswith(_UTF_32):
        raise SourceError(f"{opened.name} is UTF-32; save it as UTF-8")
    mark = next((each for each in _MARKS if head.startswith(each)), b"")
    found = _MARKS.get(mark) or _without_mark(head)
    encoding = given or found or "utf-8"
    if encoding == "utf-16":
        encoding = found or "utf-16-le"
    if mark and encoding != found:
        raise SourceError(
            f"{opened.name} begins with the mark of {found}, and --encoding says {encoding}: leave it out"
        )
    opened.stream.read(len(mark))
    text = head[len(mark) :].decode(encoding, "replace")
    if (problem := other_format(head) or _other_kind(text, format)) is not None:
        raise SourceError(f"{opened.name} {problem}")
    return TextForm(encoding, mark, _line_end(text))


def _without_mark(head: bytes) -> str | None:
    """Return which UTF-16 it is, by its zeros; None if it is not."""
    sample = head[:_LOOKED_AT]
    half = len(sample) // 2
    if half == 0:
        return None
    even, odd = sample[0::2].count(0) / half, sample[1::2].count(0) / half
    if odd >= _SHARE and even < _SHARE / 2:
        return "utf-16-le"
    return "utf-16-be" if even >= _SHARE and odd < _SHARE / 2 else None


def _other_kind(text: str, format: Format) -> str | None:  # noqa: A002 - as above
    """Return which other kind of text a file is, by its beginning; None if it may be the one that is expected."""
    if format == "csv" and _JSON.match(text):
        return "is JSON, going by its beginning: give --format json"
    if format == "jsonl" and _DOCUMENT.match(text):
        return "is one JSON document, and has no object on each line: give --format json"
    if format == "json" and text.strip() and not text.lstrip().startswith(("[", "{")):
        return "is no JSON, which begins with [ or {: if it is CSV, give --format csv"
    return None


def other_format(head: bytes) -> str | None:
    """Return which format a file has that is no text of records, by its first bytes; None if it may be one."""
    mark = next((each for each in _MARKS if head.startswith(each)), b"")
    encoding = _MARKS.get(mark) or _without_mark(head) or "utf-8"
    start = head[len(mark) :].decode(encoding, "replace").lstrip()[:15].lower()
    if start.startswith(_MARKUP):
        return "is a web page or XML, whatever its name says: open it in a spreadsheet and save it as CSV"
    return next((problem for magic, problem in _MAGIC.items() if head.startswith(magic)), None)


def _line_end(text: str) -> str:
    """Return how the first line ends, outside of quotes: in CSV, a cell of the header can hold a line end."""
    quoted = False
    for position, character in enumerate(text):
        if character == '"':
            quoted = not quoted
        elif not quoted and character in "\r\n":
            alone = character == "\r" and text[position + 1 : position + 2] not in {"\n", ""}
            return "\r" if alone else "\n"
    return "\n"
