"""A record that cannot become an item, and why."""

from typing import IO

import attrs


@attrs.frozen
class InvalidLine:
    """A record that cannot become an item; `str` gives its place and the reason, and no values.

    Args:
        file: The file's name, or `stdin`.
        line: The line on which the record begins, from 1; the row in Parquet and in a workbook, and in a JSON array
            which object it is.
        column: The column that is wrong, if it is one.
        reason: What is wrong, without the value.
        raw: The record as it stood in the file; personal data, hidden in `repr`; empty if it is too long to be held.
        long: The record, if it is, as long as it is being written to the file of invalid lines.
        suspicious: What may have been spoiled before it came here, as pairs of a column and what it holds; empty for
            a record that is simply wrong.
    """

    file: str
    line: int
    column: str | None
    reason: str
    raw: bytes = attrs.field(default=b"", repr=False)
    suspicious: tuple[tuple[str, str], ...] = ()
    long: IO[bytes] | None = attrs.field(default=None, repr=False, eq=False)

    def __str__(self) -> str:
        """Return its place and the reason."""
        return f"{location(self.file, self.line, self.column)}: {self.reason}"


@attrs.frozen
class RecordError:
    """What is wrong with a record whose place is not known yet.

    Args:
        column: The column, if it is one.
        reason: The reason, without the value.
        suspicious: What may have been spoiled, as in `InvalidLine`.
    """

    column: str | None
    reason: str
    suspicious: tuple[tuple[str, str], ...] = ()

    def at(self, file: str, line: int, raw: bytes = b"", long: IO[bytes] | None = None) -> InvalidLine:
        """Return it for a record whose place is known."""
        return InvalidLine(file, line, self.column, self.reason, raw, self.suspicious, long)


def location(file: str, line: int | None = None, column: str | None = None) -> str:
    """Return a place in a file, as all messages show it."""
    parts = [file]
    if line is not None:
        parts.append(f"line {line}")
    if column is not None:
        parts.append(f"column {column}")
    return ", ".join(parts)
