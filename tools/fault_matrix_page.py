"""Writes the page of the fault matrix in docs/: `nox -s fault_matrix_page`."""

from dataclasses import fields
from pathlib import Path
from typing import Final

from fault_matrix import MATRIX, Call, Row, often

PAGE: Final = Path(__file__).parents[1] / "docs" / "explanation" / "fault-matrix.md"

_INTRODUCTION: Final = """\
<!-- Written by `nox -s fault_matrix_page`, from the table that the tests run; change it there. -->

# The fault matrix

Each row is one archive call against a faulty server, over real sockets, on asyncio and on uvloop.
The tests compare the call's end with the table, and its effect with what the server did.

- **ends**: the error, or `archived`, with the call's [effect](effects-and-retries.md).
  An archived call is APPLIED if the server's own answer to a POST says so.
  It is UNKNOWN if a GET had to show it after an attempt that may have done it, and NOT_APPLIED if it was so before.
- **attempts**: the requests that the call counted, including those that found no connection.
- **received**: the requests whose headers the server read, in order.
  The question at the end is sent a second time if its connection breaks.
- **applied**: how often the server archived.

Unless a row says otherwise, the client has its defaults: 4 attempts, settling, a full retry budget.
"""
_COLUMNS: Final = ("fault", "position", "how often", "ends", "effect", "attempts", "received", "applied")


def markdown() -> str:
    """Return the page that shows the table."""
    parts = [_INTRODUCTION]
    for section, rows in MATRIX.items():
        lines = [_COLUMNS, ("---",) * len(_COLUMNS), *(_cells(row) for row in rows)]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        parts.append(f"## {section}\n\n{table}\n")
    return "\n".join(parts)


def _cells(row: Row) -> tuple[str, ...]:
    brought = [
        f"{each.name}={value}" for each in fields(Call) if (value := getattr(row.call, each.name)) != each.default
    ]
    name = f"{row.name} (`{', '.join(brought)}`)" if brought else row.name
    ends = row.ends
    parts = (part.partition("*") for part in ends.received.split())
    received = ", ".join(f"{count} {kind}" if count else kind for kind, _, count in parts) or "nothing"
    return (name, row.at, often(row.times), ends.how, ends.effect, str(ends.attempts), received, str(ends.applied))


if __name__ == "__main__":
    PAGE.write_text(markdown(), "utf-8")
