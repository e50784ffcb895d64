"""Scans a whole file for its size, its hash, about how many records it has, and whether all of it is text."""

import codecs
import hashlib
import re
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Final

import attrs

from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.readers.columns import Rules
from thredfi_async.bulk.readers.format_detection import DetectedFormat
from thredfi_async.bulk.readers.io import CHUNK, Opened, open_stream, reading
from thredfi_async.bulk.readers.json_text import objects_of
from thredfi_async.bulk.readers.text import TextForm, form_of
from thredfi_async.bulk.reading_options import ReadingOptions, is_single_byte

_QUOTE: Final = b'"'
_LIKELY: Final = "windows-1252"


class EncodingError(SourceError):
    """The file's text is not in the encoding that it was read in.

    Attributes:
        likely: The encoding that it may have; None if there is none to propose.
        samples: Words of the file as they would be read then, to show to the person who has the file; personal data.
    """

    def __init__(self, summary: str, *, likely: str | None, samples: tuple[str, ...] = ()) -> None:
        """Take the sentence and the proposal."""
        super().__init__(summary)
        self.likely: str | None = likely
        self.samples: tuple[str, ...] = samples


@attrs.frozen
class Scan:
    """The result of a scan.

    Args:
        size: The file's bytes.
        sha256: Their SHA-256, in hexadecimal.
        records: How many records there are, blank lines and invalid ones included.
        is_text: Whether all of it is in the encoding that it was read in, and not its ids alone.
    """

    size: int
    sha256: str
    records: int
    is_text: bool = True


def scan(path: Path, name: str, detected: DetectedFormat, rules: Rules) -> Scan:
    """Read a source once, without making items of it.

    Args:
        path: The file, or the folder.
        name: Its name for messages.
        detected: How it is read.
        rules: What the caller said about it.

    Returns:
        What was found.

    Raises:
        SourceError: It cannot be read.
        EncodingError: It is text in another encoding than the caller said, or than UTF-8.
    """
    match detected.format:
        case "parquet":
            # Imported on use: the extra `parquet` brings it.
            from thredfi_async.bulk.readers.parquet_parts import count_all  # noqa: PLC0415 - as it says

            size, sha256 = digest_of_parts(path, name) if path.is_dir() else _hashed(path, name)
            return Scan(size, sha256, count_all(path, name))
        case "excel":
            from thredfi_async.bulk.readers.workbook_records import count_rows  # noqa: PLC0415 - of the extra `excel`

            size, sha256 = _hashed(path, name)
            return Scan(size, sha256, count_rows(path, name, rules.options))
        case _:
            return _scan_text(path, name, detected, rules)


def _scan_text(path: Path, name: str, detected: DetectedFormat, rules: Rules) -> Scan:
    opened = open_stream(path, name, detected.compression)
    with reading(name):
        try:
            form = form_of(opened, rules.options.encoding, detected.format)
            text = _Text(name, form, rules.options)
            ends = _line_ends(text.checked(opened), form, outside_quotes=detected.format == "csv")
        finally:
            opened.close()
    headers = 1 if detected.format == "csv" else 0
    records = max(0, ends - headers)
    if detected.format == "json":
        with reading(name), closing(open_stream(path, name, detected.compression)) as again:
            records = sum(1 for _ in objects_of(again, rules))
    return Scan(opened.hashing.passed, opened.hashing.sha256(), records, text.is_sound)


def digest_of_parts(path: Path, name: str) -> tuple[int, str]:
    """Return the size of a folder's parts, and the hash of their names and hashes; nothing is parsed.

    Raises:
        SourceError: The folder has none, or one of them cannot be read.
    """
    from thredfi_async.bulk.readers.parquet_parts import parts_of  # noqa: PLC0415 - the extra `parquet` brings it

    size, digest = 0, hashlib.sha256()
    for part in parts_of(path, name):
        more, sha256 = _hashed(part, str(part))
        size += more
        digest.update(f"{part.name}\0{sha256}\0".encode(errors="surrogateescape"))
    return size, digest.hexdigest()


def _hashed(path: Path, name: str) -> tuple[int, str]:
    with reading(name), path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return file.tell(), digest.hexdigest()


class _Text:
    """Checks text as it passes, and gives it in an encoding in which line ends and quotes are bytes."""

    def __init__(self, name: str, form: TextForm, options: ReadingOptions) -> None:
        self._name = name
        self._form = form
        self._given = options.encoding
        self._ids_only = options.ids_only
        self._decoder = codecs.getincrementaldecoder(form.encoding)(form.errors)
        self._as_utf8 = codecs.getincrementaldecoder("utf-8")("strict") if is_single_byte(form.encoding) else None
        self._line = 1
        self._first_wrong: int | None = None
        self._strays: set[str] = set()
        self._has_wide = False
        self._samples: list[str] = []

    @property
    def is_sound(self) -> bool:
        """Whether there was nothing by now that is none."""
        return self._first_wrong is None

    def checked(self, opened: Opened) -> Iterator[bytes]:
        """Yield a file's text, piece by piece, and raise at its end if it is none."""
        while chunk := opened.stream.read(CHUNK):
            if self._form.is_ascii_based and chunk.isascii() and not self._decoder.getstate()[0]:
                self._line += chunk.count(self._form.line_end.encode())
                yield chunk
            else:
                yield self._decoded(chunk)
        yield self._decoded(b"", final=True)
        self._conclude()

    def _decoded(self, chunk: bytes, *, final: bool = False) -> bytes:
        try:
            text = self._decoder.decode(chunk, final)
        except UnicodeDecodeError:
            self._first_wrong = self._line
            self._conclude()
            raise
        seen = set(text)
        strays = {each for each in seen if ord(each) in _STRAYS}
        if strays and self._first_wrong is None:
            place = min(map(text.index, strays))
            self._first_wrong = self._line + text.count(self._form.line_end, 0, place)
        if strays and len(self._samples) < _SAMPLES:
            words = (
                word.encode("utf-8", "surrogateescape") for word in _BREAKS.split(text) if not strays.isdisjoint(word)
            )
            found = {word.decode(_LIKELY, "replace")[:_LONGEST]: None for word in islice(words, _WORDS)}
            self._samples = list({**dict.fromkeys(self._samples), **found})[:_SAMPLES]
        self._strays |= strays
        self._has_wide = self._has_wide or any(ord(each) > _ASCII for each in seen - strays)
        self._line += text.count(self._form.line_end)
        if self._as_utf8 is not None:
            try:
                self._as_utf8.decode(chunk, final)
            except UnicodeDecodeError:
                self._as_utf8 = None
        return chunk if self._form.is_ascii_based else text.encode()

    def _conclude(self) -> None:
        """Refuse text in another encoding: some lines must not be read, and others not, for their letters."""
        if self._as_utf8 is not None and self._has_wide:
            raise EncodingError(
                f"{self._name} is UTF-8 text, and --encoding says {self._given}, in which its letters would be others: "
                "leave --encoding out",
                likely=None,
            )
        if self._first_wrong is None or (self._ids_only and self._form.errors == "surrogateescape"):
            return
        where = f"{self._name}, line {self._first_wrong}"
        if self._given is not None or self._form.encoding != "utf-8":
            raise EncodingError(f"{where}: is not {self._form.encoding} text: {_SAVE}", likely=None)
        is_likely = not self._has_wide and self._strays.isdisjoint(_UNUSED)
        if not is_likely:
            also = ", and other lines are" if self._has_wide else ""
            raise EncodingError(f"{where}: is not UTF-8 text{also}, so that none is read: {_SAVE}", likely=None)
        raise EncodingError(
            f"{where}: is not UTF-8 text. It may be Windows-1252, as Excel writes it: add --encoding {_LIKELY} if it "
            f"is; or {_SAVE}",
            likely=_LIKELY,
            samples=tuple(self._samples),
        )


_ASCII: Final = 0x7F
_BREAKS: Final = re.compile(r'[\s,;|"]+')
_SAMPLES: Final = 5
_WORDS: Final = 100
_LONGEST: Final = 60
_STRAYS: Final = range(0xDC80, 0xDD00)
"""What a byte is read as that is no text."""
_UNUSED: Final = frozenset("\udc81\udc8d\udc8f\udc90\udc9d")
"""Bytes that are no character in Windows-1252."""
_SAVE: Final = "save the file as UTF-8, or add --ids-only, which takes the ids alone"


def _line_ends(chunks: Iterator[bytes], form: TextForm, *, outside_quotes: bool) -> int:
    """Count line ends, in CSV those that end a record: as many quotes have been closed as opened."""
    count, quoted, end, last = 0, 0, form.line_end.encode(), b""
    for chunk in chunks:
        if not chunk:
            continue
        last = chunk[-1:]
        outside = chunk
        if outside_quotes and (quoted or _QUOTE in chunk):
            # Every second part stands outside of quotes; a quote within quotes is written twice, and changes nothing.
            parts = chunk.split(_QUOTE)
            outside = b"".join(parts[quoted::2])
            quoted ^= (len(parts) - 1) % 2
        count += outside.count(end)
    return count + (last not in {end, b""})
