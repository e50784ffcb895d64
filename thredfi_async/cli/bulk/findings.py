"""What is said of a file before anything of it is sent: what in it is no customer, and what may be wrong."""

from collections.abc import Mapping, Sequence
from typing import Final

from thredfi_async import Effect
from thredfi_async.bulk.readers import Source
from thredfi_async.bulk.readers.skipped import WITHOUT_IDS, first_numbers
from thredfi_async.cli.bulk.reading import Reading
from thredfi_async.cli.bulk.source import Count, InvalidLines
from thredfi_async.cli.error_report import ErrorReport, ReportedError
from thredfi_async.cli.exit_codes import ExitCode
from thredfi_async.cli.formatting import plural, quoted

_SHOWN: Final = 8
"""Suspicious values that are listed."""


def refuse_unusable(source: Source, counted: Count, bad: InvalidLines, reading: Reading | None = None) -> None:
    """Refuse a file without a customer, or with values that may have been spoiled, before anything is sent.

    Args:
        source: The file.
        counted: What is known of its lines.
        bad: Its invalid lines.
        reading: How it was to be read; None where that cannot be changed.

    Raises:
        ReportedError: It is one of the two.
    """
    if not bad.suspicious:
        if counted.lines == 0:
            first = f" The first line that is none: {bad.first[0]}." if bad.first else ""
            error = _refusal(f"{source.name} has no line that is a customer; nothing was sent.{first}", None)
            error.correct = None if reading is None else reading.correction()
            raise error
        return
    cells = sum(bad.suspicious.values())
    problems = [f"{column}: {what}; {plural(count, 'line')}" for (column, what), count in bad.suspicious.most_common()]
    more = len(problems) - _SHOWN
    raise _refusal(
        f"{source.name} holds {plural(cells, 'value')} that may have been spoiled before; nothing was sent.",
        "add --ids-only to send the server's own records; or correct them in the source; or add --null WORD for a word "
        "that stands for no value; or --as-is to send them as they stand",
        *problems[:_SHOWN],
        *([f"and {more:,} others"] if more > 0 else []),
    )


def warnings_of(source: Source) -> list[str]:
    """Return what a person should look at before a file is sent."""
    name = source.other_business()
    if name is None:
        return []
    column = quoted(f"business_id={name}")
    happened = f"--business-id gives all customers one business, and the column {name} holds other UUIDs"
    return [f"{happened}: if it says the business of each customer, type --column {column} in its place"]


def data_sent(from_file: bool) -> str:
    """Return what is sent for each customer, in words."""
    return "what the file says of each customer" if from_file else "each customer's record as the server has it"


def skipped(lines: Mapping[str, int]) -> list[str]:
    """Return how many lines of a file are no records, each kind in words."""
    found = list[str]()
    for kind, count in lines.items():
        one, several = _KINDS.get(kind, (kind, kind))
        # They may be customers all the same, so that a person has to find them.
        where = f" ({line_numbers(first_numbers(lines, kind), count)})" if kind == WITHOUT_IDS else ""
        found.append(f"{count:,} {one if count == 1 else several}{where}")
    return found


def line_numbers(first: Sequence[int], count: int) -> str:
    """Return where lines stand, such as `lines 5, 9 and 3 others`."""
    more = count - len(first)
    numbers = ", ".join(f"{number:,}" for number in first)
    return f"line{'' if count == 1 else 's'} {numbers}" + (f" and {plural(more, 'other')}" if more > 0 else "")


_KINDS: Final = {
    "blank": ("blank line", "blank lines"),
    "titles": ("title line", "title lines"),
    "headers": ("repeated header", "repeated headers"),
    "comments": ("comment", "comments"),
    "without_ids": ("row without ids", "rows without ids"),
}


def _refusal(sentence: str, advice: str | None, *problems: str) -> ReportedError:
    report = ErrorReport(
        kind="SourceError",
        sentence=sentence,
        exit_code=ExitCode.USAGE,
        effect=Effect.NOT_APPLIED,
        advice=advice,
        problems=problems,
    )
    return ReportedError(report)
