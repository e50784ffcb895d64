"""A file of customers to archive, opened, checked and iterated over."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from uuid import UUID

import attrs

from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.items import ArchiveItem
from thredfi_async.bulk.readers.candidates import other_business
from thredfi_async.bulk.readers.columns import Rules
from thredfi_async.bulk.readers.fingerprint import Fingerprint
from thredfi_async.bulk.readers.format_detection import STDIN, DetectedFormat, detect_format
from thredfi_async.bulk.readers.invalid_line import InvalidLine
from thredfi_async.bulk.readers.invalid_lines_file import InvalidLinesFile, check_place
from thredfi_async.bulk.readers.io import can_be_read_again, readable, reading, size_of
from thredfi_async.bulk.readers.items import identifier
from thredfi_async.bulk.readers.layout import Layout, layout_of
from thredfi_async.bulk.readers.read_session import ReadSession, open_session
from thredfi_async.bulk.readers.scan import Scan, digest_of_parts, scan
from thredfi_async.bulk.reading_options import Format, ReadingOptions


@attrs.frozen
class Check:
    """What a pass over a whole source found.

    Args:
        items: Records that can become items; a repeated one counts each time.
        invalid_lines: Records that cannot.
        first_invalid: The first of these.
        suspicious: Values among the latter that may have been spoiled, by column and by what they hold.
        skipped: Lines that are no records: `blank`, `titles`, `headers` that come again, `comments`, `without_ids`.
    """

    items: int
    invalid_lines: int
    first_invalid: InvalidLine | None
    suspicious: Mapping[tuple[str, str], int] = attrs.field(factory=dict[tuple[str, str], int])
    skipped: Mapping[str, int] = attrs.field(factory=dict[str, int])


class Source:
    """A file, or stdin, whose records become `ArchiveItem`s; made by `open_source`.

    Iterate over it for the items: each iteration is a pass over the file, on a thread of the caller's choice, and
    holds one record. Invalid records go to `on_invalid_line`, on the iterating thread, and to the file of invalid
    lines. A pass over a file raises `SourceError` at its end if an earlier pass has read another file.

    Attributes:
        path: The file; None for stdin.
        name: The file as it was named, or `stdin`; for messages.
        format: `csv`, `jsonl`, `json`, `excel` or `parquet`.
        options: How it is read.
        layout: How it is written, and what its columns become.
        size: The file's bytes; None where that is not known before the end, as for stdin and pipes.
        has_bodies: Whether the records bring the body; without one, the server's own record is sent.
        repeatable: Whether there can be a second pass; not over stdin or a pipe.
        on_invalid_line: Takes each invalid record of a pass.
        skipped: Lines of the last pass so far that are no records, by what they are.
    """

    def __init__(  # noqa: PLR0913 - what `open_source` was given, all by name
        self,
        *,
        path: Path | None,
        detected: DetectedFormat,
        business_id: UUID | None,
        rules: Rules,
        invalid_lines: Path | None,
        on_invalid_line: Callable[[InvalidLine], None] | None,
    ) -> None:
        self.path = path
        self.name: str = STDIN if path is None else readable(path)
        self.format: Format = detected.format
        self.options: ReadingOptions = rules.options
        self.on_invalid_line = on_invalid_line
        self.repeatable: bool = path is not None and can_be_read_again(path, self.name, detected)
        self.size: int | None = size_of(path) if path is not None and self.repeatable else None
        self._detected, self._business_id = detected, business_id
        self._rules, self._invalid_lines_to = rules, invalid_lines
        if invalid_lines is not None:
            check_place(invalid_lines, detected.format)
        self._invalid: InvalidLinesFile | None = None
        self._scan: Scan | None = None
        self._sha256: str | None = None
        self.skipped: Mapping[str, int] = {}
        if self.repeatable and detected.is_text:
            # Before the columns are looked at: a header in another encoding would be called wrong.
            self._look()
        self._waiting: ReadSession | None = self._open()
        self.layout: Layout = layout_of(self._waiting.records)
        self.has_bodies: bool = self.layout.columns.has_bodies
        if self.repeatable:
            self._waiting.close()
            self._waiting = None

    @property
    def invalid_lines_path(self) -> Path | None:
        """Where invalid records have been written; None as long as there were none, or no file was named."""
        return None if self._invalid is None else self._invalid.path

    def sha256(self) -> str | None:
        """Return the SHA-256 of the file's bytes, in hexadecimal; read the file if no pass has.

        Returns:
            The digest; None for stdin or a pipe that has not been read to its end.

        Raises:
            SourceError: The file cannot be read.
        """
        if self._sha256 is None and self.repeatable:
            self._look()
        return self._sha256

    @property
    def is_text(self) -> bool:
        """Whether all of it is in its encoding; where ids alone are taken, other text need not be."""
        return self._scan is None or self._scan.is_text

    def count_lines(self) -> int | None:
        """Count the records without parsing them, blank and invalid lines included; no line in quotes counts.

        Returns:
            The number; None for stdin and pipes.

        Raises:
            SourceError: The file cannot be read.
        """
        return self._look().records if self.repeatable else None

    def check(self) -> Check:
        """Read the whole file and check every record; nothing is sent, and invalid ones go where a pass puts them.

        Returns:
            What was found.

        Raises:
            SourceError: The file cannot be read, or not twice.
        """
        if not self.repeatable:
            raise SourceError(f"{self.name} can be read only once, so it cannot be checked first: save it to a file")
        items, invalid_lines, first_invalid = 0, 0, None
        spoiled = Counter[tuple[str, str]]()
        for each in self._records():
            if isinstance(each, InvalidLine):
                invalid_lines += 1
                first_invalid = first_invalid or each
                spoiled.update(each.suspicious)
            else:
                items += 1
        return Check(items, invalid_lines, first_invalid, spoiled, dict(self.skipped))

    def __iter__(self) -> Iterator[ArchiveItem]:
        """Yield the items, in the file's order.

        Raises:
            SourceError: The file cannot be read on, has changed since an earlier pass, or is stdin and was read.
        """
        for each in self._records():
            if not isinstance(each, InvalidLine):
                yield each

    def other_business(self) -> str | None:
        """Return a left-out column that looks like the business of each customer, if one was given for all."""
        left_out, given = self.layout.columns.left_out, self._business_id
        if given is None or not left_out or self.path is None or not self.repeatable:
            return None
        options = attrs.evolve(self.options, sheet=self.layout.sheet)
        return other_business(self.path, self.name, self._detected, options=options, left_out=left_out, given=given)

    def close(self) -> None:
        """Close a source that was not iterated over, and the file of invalid lines."""
        if self._waiting is not None:
            self._waiting.close()
            self._waiting = None
        if self._invalid is not None:
            self._invalid.close()

    def _records(self) -> Iterator[ArchiveItem | InvalidLine]:
        this = self._take_pass()
        self.skipped = this.records.skipped
        self._invalid = self._invalid_lines_file(this.records.header)
        try:
            with reading(self.name):
                for each in this:
                    if isinstance(each, InvalidLine):
                        self._reject(each)
                    yield each
                self._hold_against(this.sha256())
        finally:
            this.close()
            if self._invalid is not None:
                self._invalid.close()

    def _invalid_lines_file(self, header: bytes) -> InvalidLinesFile | None:
        if self._invalid_lines_to is None:
            return None
        return InvalidLinesFile(self._invalid_lines_to, self.layout, header)

    def _reject(self, bad: InvalidLine) -> None:
        if self._invalid is not None:
            self._invalid.write(bad)
        if self.on_invalid_line is not None:
            self.on_invalid_line(bad)

    def _take_pass(self) -> ReadSession:
        if self.repeatable:
            return self._open()
        if self._waiting is None:
            raise SourceError(f"{self.name} can be read only once; save it to a file to read it again")
        this, self._waiting = self._waiting, None
        return this

    def _look(self) -> Scan:
        if self._scan is None:
            assert self.path is not None  # noqa: S101 - only a file is repeatable
            self._scan = scan(self.path, self.name, self._detected, self._rules)
            self._hold_against(self._scan.sha256)
        return self._scan

    def _hold_against(self, sha256: str | None) -> None:
        if sha256 is not None and self._sha256 not in {None, sha256}:
            raise SourceError(f"{self.name} was changed while it was being read")
        self._sha256 = self._sha256 or sha256

    def _open(self) -> ReadSession:
        return open_session(self.path, self.name, self._detected, self._business_id, self._rules)


def open_source(  # noqa: PLR0913 - each by name
    path: str | Path,
    *,
    business_id: UUID | str | None = None,
    format: str | None = None,  # noqa: A002 - what it is called everywhere
    allow_missing_fields: bool = False,
    strict: bool = False,
    invalid_lines: str | Path | None = None,
    on_invalid_line: Callable[[InvalidLine], None] | None = None,
    options: ReadingOptions | None = None,
    expected: Fingerprint | None = None,
) -> Source:
    """Open a file of customers to archive, and check its format, its encoding and its columns.

    Args:
        path: The file, a folder of Parquet files, or `-` for stdin.
        business_id: The business of every record, where the file has no such column.
        format: `csv`, `jsonl`, `json`, `excel` or `parquet`; by default what the file's name says. Stdin needs it.
        allow_missing_fields: Whether columns of the body may be missing; their fields are left out of every body then.
        strict: Whether to check every record first, and refuse a file with an invalid one.
        invalid_lines: Where to write invalid records, as they are, with the reason. Personal data; made only if needed.
        on_invalid_line: Called with each invalid record of a pass, on the thread that iterates.
        options: How the file is read, where its form does not say it.
        expected: The file that it has to be, byte by byte; looked at before anything of it is parsed.

    Returns:
        The source, to be iterated over.

    Raises:
        SourceError: The file cannot be read, has no records, lacks columns that a run needs, or is not the one
            expected; or, with `strict`, has an invalid record. The message names file, line and column, and quotes no
            value.
        EncodingError: The file is text in another encoding than UTF-8, or than the options say.
    """
    file = None if str(path) == "-" else Path(path)
    given = identifier(business_id)
    if business_id is not None and given is None:
        raise SourceError("the business id given for all records must be a UUID")
    detected = detect_format(STDIN if file is None else str(file), format)
    if expected is not None and file is not None:
        _require(expected, file, detected)
    source = Source(
        path=file,
        detected=detected,
        business_id=given,
        rules=Rules(given is not None, allow_missing_fields, options or ReadingOptions(), invalid_lines is not None),
        invalid_lines=None if invalid_lines is None else Path(invalid_lines),
        on_invalid_line=on_invalid_line,
    )
    if strict:
        _refuse_invalid_lines(source)
    return source


def _require(expected: Fingerprint, file: Path, detected: DetectedFormat) -> None:
    name = readable(file)
    if detected.format == "parquet" and file.is_dir():
        expected.require_digest(*digest_of_parts(file, name), name)
    else:
        expected.require(file, name)


def _refuse_invalid_lines(source: Source) -> None:
    check = source.check()
    if check.first_invalid is not None:
        several = f"there are {check.invalid_lines:,} invalid lines, the first"
        what = "there is an invalid line" if check.invalid_lines == 1 else several
        raise SourceError(f"nothing was sent, since {what}: {check.first_invalid}")
