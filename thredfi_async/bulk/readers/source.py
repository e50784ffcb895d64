"""A file of customers to archive, opened, checked and iterated over."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from uuid import UUID

import attrs

from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.items import ArchiveItem
from thredfi_async.bulk.readers.bad_line import BadLine
from thredfi_async.bulk.readers.columns import Rules
from thredfi_async.bulk.readers.items import identifier
from thredfi_async.bulk.readers.layout import STDIN, Format, Layout, layout_of
from thredfi_async.bulk.readers.passes import Pass, open_pass
from thredfi_async.bulk.readers.rejected import RejectedFile
from thredfi_async.bulk.readers.streams import is_regular, reading
from thredfi_async.bulk.readers.survey import Survey, survey


@attrs.frozen
class Check:
    """What a pass over a whole source found.

    Args:
        items: Records that can become items; a repeated one counts each time.
        bad_lines: Records that cannot.
        first_bad: The first of these.
    """

    items: int
    bad_lines: int
    first_bad: BadLine | None


class Source:
    """A file, or stdin, whose records become `ArchiveItem`s; made by `open_source`.

    Iterate over it for the items: each iteration is a pass over the file, on a thread of the caller's choice, and
    holds one record. Bad records go to `on_bad_line`, on the iterating thread, and to the rejected file. A pass over a
    file raises `SourceError` at its end if the file is not the one that an earlier pass has read.

    Attributes:
        path: The file; None for stdin.
        name: The file as it was named, or `stdin`; for sentences.
        format: `csv`, `jsonl` or `parquet`.
        size: The file's bytes; None where that is not known before the end, as for stdin and pipes.
        has_bodies: Whether the records bring the body; without one, the server's own record is sent.
        repeatable: Whether there can be a second pass; not over stdin or a pipe.
        on_bad_line: Takes each bad record of a pass.
    """

    def __init__(  # noqa: PLR0913 - what `open_source` was given, all by name
        self,
        *,
        path: Path | None,
        layout: Layout,
        business_id: UUID | None,
        rules: Rules,
        rejected: Path | None,
        on_bad_line: Callable[[BadLine], None] | None,
    ) -> None:
        self.path = path
        self.name = STDIN if path is None else str(path)
        self.format: Format = layout.format
        self.on_bad_line = on_bad_line
        self.repeatable = path is not None and is_regular(path, self.name)
        self.size: int | None = path.stat().st_size if path is not None and self.repeatable else None
        self._layout = layout
        self._business_id = business_id
        self._rules = rules
        self._rejected_to = rejected
        self._rejected: RejectedFile | None = None
        self._survey: Survey | None = None
        self._sha256: str | None = None
        self._waiting: Pass | None = self._open()
        self.has_bodies = self._waiting.records.has_bodies
        if self.repeatable:
            self._waiting.close()
            self._waiting = None

    @property
    def rejected(self) -> Path | None:
        """Where bad records have been written; None as long as there were none, or no file was named."""
        return None if self._rejected is None else self._rejected.path

    def sha256(self) -> str | None:
        """Give the SHA-256 of the file's bytes, in hexadecimal, reading it once if no pass has.

        Returns:
            The digest; None for stdin or a pipe that has not been read to its end.

        Raises:
            SourceError: The file cannot be read.
        """
        if self._sha256 is None and self.repeatable:
            self._look()
        return self._sha256

    def count_lines(self) -> int | None:
        """Count the records without a look at what they say, bad ones and blank lines too; in quotes, no line counts.

        Returns:
            The number; None for stdin and pipes.

        Raises:
            SourceError: The file cannot be read.
        """
        return self._look().records if self.repeatable else None

    def check(self) -> Check:
        """Read the whole file, and judge every record; nothing is sent, and bad ones go where a pass takes them.

        Returns:
            What was found.

        Raises:
            SourceError: The file cannot be read, or not twice.
        """
        if not self.repeatable:
            raise SourceError(f"{self.name} can be read only once, so it cannot be checked first: save it to a file")
        items, bad_lines, first_bad = 0, 0, None
        for each in self._records():
            if isinstance(each, BadLine):
                bad_lines += 1
                first_bad = first_bad or each
            else:
                items += 1
        return Check(items, bad_lines, first_bad)

    def must_be(self, *, size: int | None, sha256: str | None) -> None:
        """Refuse a file that is not the one a run was begun with.

        Args:
            size: That file's bytes, as far as known.
            sha256: Its SHA-256, as far as known.

        Raises:
            SourceError: It has changed, or cannot be read.
        """
        if size is not None and self.size is not None and size != self.size:
            raise SourceError(f"{_CHANGED.format(self.name)}: it had {size:,} bytes then, and has {self.size:,} now")
        if sha256 is not None and self.repeatable and sha256 != self.sha256():
            raise SourceError(f"{_CHANGED.format(self.name)}: it is as long as it was, and its SHA-256 is another")

    def __iter__(self) -> Iterator[ArchiveItem]:
        """Yield the items, in the file's order.

        Raises:
            SourceError: The file cannot be read on, has changed since an earlier pass, or is stdin and was read.
        """
        for each in self._records():
            if not isinstance(each, BadLine):
                yield each

    def close(self) -> None:
        """Close what is open of a source that was not iterated over, and the rejected file."""
        if self._waiting is not None:
            self._waiting.close()
            self._waiting = None
        if self._rejected is not None:
            self._rejected.close()

    def _records(self) -> Iterator[ArchiveItem | BadLine]:
        this = self._take_pass()
        self._rejected = self._rejected_file(this.records.header)
        try:
            with reading(self.name):
                for each in this:
                    if isinstance(each, BadLine):
                        self._reject(each)
                    yield each
                self._hold_against(this.sha256())
        finally:
            this.close()
            if self._rejected is not None:
                self._rejected.close()

    def _rejected_file(self, header: bytes) -> RejectedFile | None:
        return None if self._rejected_to is None else RejectedFile(self._rejected_to, self.format, header)

    def _reject(self, bad: BadLine) -> None:
        if self._rejected is not None:
            self._rejected.write(bad)
        if self.on_bad_line is not None:
            self.on_bad_line(bad)

    def _take_pass(self) -> Pass:
        if self.repeatable:
            return self._open()
        if self._waiting is None:
            raise SourceError(f"{self.name} can be read only once; save it to a file to read it again")
        this, self._waiting = self._waiting, None
        return this

    def _look(self) -> Survey:
        if self._survey is None:
            assert self.path is not None  # noqa: S101 - only a file is repeatable
            self._survey = survey(self.path, self.name, self._layout)
            self._hold_against(self._survey.sha256)
        return self._survey

    def _hold_against(self, sha256: str | None) -> None:
        if sha256 is not None and self._sha256 not in {None, sha256}:
            raise SourceError(f"{self.name} was changed while it was being read")
        self._sha256 = self._sha256 or sha256

    def _open(self) -> Pass:
        return open_pass(self.path, self.name, self._layout, self._business_id, self._rules)


_CHANGED: Final = "{} is not the file that this run was begun with"


def open_source(  # noqa: PLR0913 - each by name
    path: str | Path,
    *,
    business_id: UUID | str | None = None,
    format: str | None = None,  # noqa: A002 - what it is called everywhere
    partial: bool = False,
    strict: bool = False,
    rejected: str | Path | None = None,
    on_bad_line: Callable[[BadLine], None] | None = None,
) -> Source:
    """Open a file of customers to archive, and judge its form and its columns.

    Args:
        path: The file, or `-` for stdin.
        business_id: The business of every record, where the file has no such column.
        format: `csv`, `jsonl` or `parquet`; by default what the file's name says. Stdin needs it.
        partial: Whether columns of the body may be missing; their fields are left out of every body then.
        strict: Whether to judge every record first, and refuse a file with a bad one.
        rejected: Where to write bad records, as they stand and with the reason. Personal data; only made when needed.
        on_bad_line: Called with each bad record of a pass, on the thread that iterates.

    Returns:
        The source, to be iterated over.

    Raises:
        SourceError: The file cannot be read, has no records, or not the columns that a run needs; or, with `strict`,
            has a bad record. The sentence names file, line and column, and quotes no value.
    """
    file = None if str(path) == "-" else Path(path)
    name = STDIN if file is None else str(file)
    given = identifier(business_id)
    if business_id is not None and given is None:
        raise SourceError("the business id given for all records must be a UUID")
    source = Source(
        path=file,
        layout=layout_of(name, format),
        business_id=given,
        rules=Rules(business_id_given=given is not None, partial=partial),
        rejected=None if rejected is None else Path(rejected),
        on_bad_line=on_bad_line,
    )
    if strict:
        _refuse_bad(source)
    return source


def _refuse_bad(source: Source) -> None:
    check = source.check()
    if check.first_bad is not None:
        what = "there is a bad line" if check.bad_lines == 1 else f"there are {check.bad_lines:,} bad lines, the first"
        raise SourceError(f"nothing was sent, since {what}: {check.first_bad}")
