"""Writes the file of invalid lines: records as they stood, with the reason in front, to be fixed and read again."""

import codecs
import csv
import io
import os
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO

from thredfi_async._checks.text import spreadsheet_cell
from thredfi_async._codec.json import dumps
from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.ownership import problem_of
from thredfi_async.bulk.readers.columns import INVALID_COLUMNS
from thredfi_async.bulk.readers.format_detection import format_of
from thredfi_async.bulk.readers.invalid_line import InvalidLine
from thredfi_async.bulk.readers.layout import Layout
from thredfi_async.bulk.readers.spool import pieces_of
from thredfi_async.bulk.readers.text import TextForm
from thredfi_async.bulk.reading_options import Format


class InvalidLinesFile:
    """The file for invalid records; it is created with the first one, and only its owner can read it.

    A second pass over the same source writes the same bytes, so it continues where an interrupted pass stopped. If the
    file holds anything else, it is left alone, and the records go to a file beside it, with a number in its name.

    Args:
        path: The file.
        layout: How the source is written: lines of CSV are written as they stand there, rows of a workbook as CSV, and
            all others as JSON Lines.
        header: The source's header, as it stands there.
    """

    def __init__(self, path: Path, layout: Layout, header: bytes) -> None:
        self._path = path
        self._is_table = layout.is_table
        self._separator = layout.separator
        self._form = layout.form or TextForm("utf-8")
        self._header = self._form.mark + self._line(INVALID_COLUMNS, header) if self._is_table else b""
        self._file: io.FileIO | None = None
        self._behind = False

    @property
    def path(self) -> Path | None:
        """Where the records are; None as long as there are none."""
        return self._path if self._file is not None else None

    def write(self, bad: InvalidLine) -> None:
        """Add a record.

        Raises:
            SourceError: The file cannot be made or written.
        """
        try:
            if self._file is None:
                self._start(self._path, os.O_CREAT)
            # Begun again in another file, if this one says something else.
            while not all(self._write(piece) for piece in self._pieces(bad)):
                pass
        except OSError as error:
            raise SourceError(f"cannot write {self._path}: {error.strerror or type(error).__name__}") from None

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()

    def _pieces(self, bad: InvalidLine) -> Iterator[bytes]:
        """Yield a record with the reason in front, the parts of one that is too long to be held one by one."""
        if not self._is_table:
            yield from [_jsonl_record(bad)] if bad.long is None else _long_jsonl_record(bad, bad.long)
            return
        cells = (str(bad.line), bad.column or "", bad.reason)
        if bad.long is None:
            yield self._line(cells, bad.raw)
            return
        yield self._cells(cells)
        last = b""
        for last in pieces_of(bad.long):
            yield last
        yield self._end_of(last)

    def _line(self, cells: Iterable[str], record: bytes) -> bytes:
        """Return a record with cells in front, in the encoding of the source, with its separator and its line end."""
        return self._cells(cells) + record + self._end_of(record)

    def _cells(self, cells: Iterable[str]) -> bytes:
        text = io.StringIO()
        csv.writer(text, lineterminator="", delimiter=self._separator).writerow(map(spreadsheet_cell, cells))
        return (text.getvalue() + self._separator).encode(self._form.encoding, "replace")

    def _end_of(self, record: bytes) -> bytes:
        """Return the line end that a record lacks; empty if it has one."""
        encoding, end = self._form.encoding, self._form.line_end
        ends = tuple(each.encode(encoding) for each in ("\n", "\r"))
        return b"" if record.endswith(ends) else end.encode(encoding)

    def _start(self, path: Path, flags: int) -> None:
        made = os.open(path, os.O_RDWR | flags | _AS_IT_IS, 0o600)
        # Without a buffer, so that a kill loses no record that was reported.
        self.close()
        self._path, self._file = path, io.FileIO(made, "r+b")
        # Again, and of what was opened: it may have been replaced since the run began.
        found = os.fstat(made)
        _require_own(path, found)
        self._behind = found.st_size > 0
        self._write(self._header)

    def _write(self, record: bytes) -> bool:
        """Write a part of a record, or find it there; return whether it went to the same file as what was before it."""
        assert self._file is not None  # noqa: S101 - for the type checker
        if self._behind:
            there = self._file.read(len(record))
            if there == record:
                return True
            if not record.startswith(there):
                self._start_beside()  # which writes the header
                return False
            # The file ends here, perhaps in the middle of a record.
            self._behind = False
            self._file.seek(-len(there), os.SEEK_CUR)
        view = memoryview(record)
        while view:
            view = view[self._file.write(view) :]
        return True

    def _start_beside(self) -> None:
        number = 2
        while True:
            try:
                self._start(self._path.with_name(f"{self._path.stem}-{number}{self._path.suffix}"), _NEW)
            except FileExistsError:
                number += 1
            else:
                return


_NEW = os.O_CREAT | os.O_EXCL
_AS_IT_IS = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""No link is followed, and no pipe waited for."""


def check_place(path: Path, source: Format) -> None:
    """Refuse a file for invalid lines before anything is read, if it leads elsewhere or others can write it.

    Args:
        path: Where it is to be; it need not exist.
        source: The source's format, which says what is written.

    Raises:
        SourceError: Its name says another format than is written there; or it is a link, a pipe or a device, another
            user's, one that others can write, or has a second name.
    """
    written: Format = "csv" if source in {"csv", "excel"} else "jsonl"
    named, compression = format_of(path.name)
    if (named is not None and named != written) or compression is not None:
        ending = "csv, as CSV" if written == "csv" else "jsonl, as JSON Lines"
        raise SourceError(
            f"cannot write invalid lines to {path}: they are written in another format than its name says, and could "
            f"not be read again. Name a file that ends in .{ending}"
        )
    try:
        found = path.lstat()
    except OSError:
        return
    _require_own(path, found)


def _require_own(path: Path, found: os.stat_result) -> None:
    problem = problem_of(found) or ("has a second name, a hard link" if found.st_nlink > 1 else None)
    if problem is not None:
        raise SourceError(f"cannot write invalid lines to {path}: it {problem}; name another file")


def _jsonl_record(bad: InvalidLine) -> bytes:
    """Add the reason to an object, or wrap what is not one."""
    reason = dumps(dict(zip(INVALID_COLUMNS, (bad.line, bad.column, bad.reason), strict=True)))
    raw = bad.raw.strip()
    if not raw.startswith(b"{"):
        return reason[:-1] + b',"raw":' + dumps(raw.decode(errors="backslashreplace")) + b"}\n"
    inside = raw[1:]
    comma = b"" if inside.lstrip().startswith(b"}") else b","
    return reason[:-1] + comma + inside + b"\n"


def _long_jsonl_record(bad: InvalidLine, long: IO[bytes]) -> Iterator[bytes]:
    reason = dumps(dict(zip(INVALID_COLUMNS, (bad.line, bad.column, bad.reason), strict=True)))
    pieces = pieces_of(long)
    first = next(pieces).lstrip()
    if first.startswith(b"{"):
        yield reason[:-1] + b"," + first[1:]
        last = first
        for last in pieces:
            yield last
        yield b"" if last.endswith(b"\n") else b"\n"
        return
    decode = codecs.getincrementaldecoder("utf-8")("backslashreplace").decode
    yield reason[:-1] + b',"raw":"'
    for piece in chain([first], pieces):
        yield dumps(decode(piece))[1:-1]
    yield b'"}\n'
