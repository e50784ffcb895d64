"""The question before a run on a host where customers may be real."""

import sys

import typer

from thredfi_async._checks.text import printable
from thredfi_async.cli.bulk.endpoint import Endpoint
from thredfi_async.cli.bulk.preflight_errors import preflight_error


def confirm(target: Endpoint, customers: str, *, yes: bool, stdin_is_taken: bool, json: bool) -> None:
    """Ask whether to go on, unless nothing real is at stake or the answer was given before.

    Args:
        target: Where the run sends to.
        customers: How many customers it is about, in words.
        yes: Whether `--yes` was given.
        stdin_is_taken: Whether stdin is the source, so that no answer can come from there.
        json: Whether a machine started it, which answers no questions.

    Raises:
        ReportedError: No one can be asked, or the answer was no; nothing was sent.
    """
    if yes or not target.needs_confirmation:
        return
    if json or stdin_is_taken or not _somebody_is_there():
        advice = "look at what it would do with --dry-run, then add --yes"
        raise preflight_error(
            f"This needs a yes, and there is no one to ask: it would archive at {target}.", advice=advice
        )
    if not typer.confirm(printable(f"Archive {customers} at {target}?"), err=True):
        raise preflight_error("The answer was no, so nothing was sent.")


def _somebody_is_there() -> bool:
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))
