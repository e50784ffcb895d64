"""The lines to paste after a run."""

from pathlib import Path
from typing import Final

from thredfi_async.cli.bulk.ending import Commands
from thredfi_async.cli.bulk.facts import STDIN, Facts
from thredfi_async.cli.bulk.words import command
from thredfi_async.cli.settings import Connection

_PLACEHOLDER: Final = "FILE"
"""Stands for what was on stdin, which nobody can name but the user."""


def commands_of(connection: Connection, journal: Path, facts: Facts, *, source: str | None = None) -> Commands:
    """Write the lines to paste.

    Args:
        connection: How the API was reached; without a setting, as the environment says.
        journal: The journal.
        facts: What it says.
        source: The file's name, where it was given anew.

    Returns:
        The lines.
    """
    if source is None and facts.source == STDIN:
        source = _PLACEHOLDER
    where = [str(journal)] if source in {None, STDIN} else [str(journal), str(source)]
    failures = str(journal.with_suffix(".failures.csv").name)
    return Commands(
        resume=connection.repeated("bulk", "resume", *where),
        report=command("bulk", "report", str(journal), "--failures", failures),
        again=connection.repeated("bulk", "resume", *where, "--failed"),
    )
