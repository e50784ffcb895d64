"""A record that cannot become an item, and why."""

import attrs


@attrs.frozen
class InvalidLine:
    """A record that cannot become an item; `str` gives its place and the reason, and no values.

    Args:
        file: The file's name, or `stdin`.
        line: The line on which the record begins, from 1; in Parquet, the row.
        column: The column that is wrong, if it is one.
        reason: What is wrong, without the value.
        raw: The record as it stood in the file; personal data, and hidden in `repr`.
    """

    file: str
    line: int
    column: str | None
    reason: str
    raw: bytes = attrs.field(default=b"", repr=False)

    def __str__(self) -> str:
        """Return its place and the reason."""
        return f"{location(self.file, self.line, self.column)}: {self.reason}"


@attrs.frozen
class RecordError:
    """What is wrong with a record whose place is not known yet.

    Args:
        column: The column, if it is one.
        reason: The reason, without the value.
    """

    column: str | None
    reason: str


def location(file: str, line: int | None = None, column: str | None = None) -> str:
    """Return a place in a file, as all messages show it."""
    parts = [file]
    if line is not None:
        parts.append(f"line {line}")
    if column is not None:
        parts.append(f"column {column}")
    return ", ".join(parts)
