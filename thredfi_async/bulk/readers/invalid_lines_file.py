"""Writes the file of invalid lines: records as they stood, with the reason in front, to be fixed and read again."""

import csv
import io
import os
from pathlib import Path

from thredfi_async._checks.text import spreadsheet_cell
from thredfi_async._codec.json import dumps
from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.ownership import problem_of
from thredfi_async.bulk.readers.columns import INVALID_COLUMNS
from thredfi_async.bulk.readers.format_detection import Format
from thredfi_async.bulk.readers.invalid_line import InvalidLine


class InvalidLinesFile:
    """The file for invalid records; it is created with the first one, and only its owner can read it.

    A second pass over the same source writes the same bytes, so it continues where an interrupted pass stopped. If the
    file holds anything else, it is left alone, and the records go to a file beside it, with a number in its name.

    Args:
        path: The file.
        form: The format of the source; Parquet's records are written as JSON Lines.
        header: The source's header, as it stands there.
    """

    def __init__(self, path: Path, form: Format, header: bytes) -> None:
        self._path = path
        self._csv = form == "csv"
        self._header = _csv_line(*INVALID_COLUMNS) + b"," + _ended(header) if self._csv else b""
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
            self._write(_csv_record(bad) if self._csv else _jsonl_record(bad))
        except OSError as error:
            raise SourceError(f"cannot write {self._path}: {error.strerror or type(error).__name__}") from None

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()

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

    def _write(self, record: bytes) -> None:
        assert self._file is not None  # noqa: S101 - for the type checker
        if self._behind:
            there = self._file.read(len(record))
            if there == record:
                return
            if not record.startswith(there):
                self._start_beside()  # which writes the header
                if record is not self._header:
                    self._write(record)
                return
            # The file ends here, perhaps in the middle of a record.
            self._behind = False
            self._file.seek(-len(there), os.SEEK_CUR)
        view = memoryview(record)
        while view:
            view = view[self._file.write(view) :]

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


def check_place(path: Path) -> None:
    """Refuse a file for invalid lines before anything is read, if it leads elsewhere or others can write it.

    Args:
        path: Where it is to be; it need not exist.

    Raises:
        SourceError: It is a link, a pipe or a device, another user's, one that others can write, or has a second name.
    """
    try:
        found = path.lstat()
    except OSError:
        return
    _require_own(path, found)


def _require_own(path: Path, found: os.stat_result) -> None:
    problem = problem_of(found) or ("has a second name, a hard link" if found.st_nlink > 1 else None)
    if problem is not None:
        raise SourceError(f"cannot write invalid lines to {path}: it {problem}; name another file")


def _csv_record(bad: InvalidLine) -> bytes:
    return _csv_line(str(bad.line), bad.column or "", bad.reason) + b"," + _ended(bad.raw)


def _csv_line(*cells: str) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(map(spreadsheet_cell, cells))
    return text.getvalue().encode()


def _jsonl_record(bad: InvalidLine) -> bytes:
    """Add the reason to an object, or wrap what is not one."""
    reason = dumps(dict(zip(INVALID_COLUMNS, (bad.line, bad.column, bad.reason), strict=True)))
    raw = bad.raw.strip()
    if not raw.startswith(b"{"):
        return reason[:-1] + b',"raw":' + dumps(raw.decode(errors="backslashreplace")) + b"}\n"
    inside = raw[1:]
    comma = b"" if inside.lstrip().startswith(b"}") else b","
    return reason[:-1] + comma + inside + b"\n"


def _ended(raw: bytes) -> bytes:
    return raw.rstrip(b"\r\n") + b"\n"
