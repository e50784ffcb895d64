"""The commands to paste after a run."""

from pathlib import Path
from typing import Final

from thredfi_async.cli.bulk.ending import Commands, Next
from thredfi_async.cli.bulk.formatting import command
from thredfi_async.cli.bulk.journal_metadata import STDIN, JournalMetadata
from thredfi_async.cli.settings import Connection

_PLACEHOLDER: Final = "FILE"
"""Stands for what was on stdin, which only the user can name."""


def commands_of(
    connection: Connection, journal: Path, facts: JournalMetadata, *, source: str | None = None
) -> Commands:
    """Return the commands to paste.

    Args:
        connection: How the API was reached; without a setting, as the environment says.
        journal: The journal.
        facts: What it says.
        source: The file's name, where it was given anew.

    Returns:
        The commands.
    """
    if source is None and facts.source == STDIN:
        source = _PLACEHOLDER
    where = [str(journal)] if source in {None, STDIN} else [str(journal), str(source)]
    failures = str(journal.with_suffix(".not-archived.csv").name)
    invalid_lines = None if facts.invalid_lines is None else Path(facts.invalid_lines)
    if invalid_lines is not None and invalid_lines.exists():
        fixed = ["bulk", "archive", str(invalid_lines), "--journal", str(journal.with_suffix(".fixed.db"))]
        fixed += ["--business-id", facts.business_id] if facts.business_id else []
        bad = Next(
            why=f"fix the invalid lines in {invalid_lines.name}, then run that file with",
            command=connection.repeated(*fixed),
        )
    else:
        bad = Next(why="see the invalid lines with", command=command("bulk", "report", str(journal)))
    resume = connection.repeated("bulk", "resume", *where)
    if facts.queue is not None:
        # Its workers go on by themselves; their outcomes have to be collected.
        resume = command("bulk", "collect", "--journal", str(journal), "--stream", facts.queue, "--until-done")
    return Commands(
        resume=resume,
        report=command("bulk", "report", str(journal), "--not-archived", failures),
        again=connection.repeated("bulk", "resume", *where, "--include-rejected"),
        bad=bad,
    )
