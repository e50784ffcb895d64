"""Writes how a run ended: to stdout, or to stderr if that cannot be written."""

from collections.abc import Mapping
from typing import Any, Protocol

from rich.console import Group

from thredfi_async.cli.bulk.display import event
from thredfi_async.cli.output import Output, OutputError, ReaderGoneError, abandon_stdout, tell


class Ended(Protocol):
    """How a command of many customers ended."""

    @property
    def exit_code(self) -> int:
        """Its exit code."""
        ...

    def as_json(self) -> Mapping[str, Any]:
        """Return it for machines."""
        ...

    def as_text(self) -> Group:
        """Return it for people."""
        ...


def conclude(ended: Ended, out: Output, *, unheard: OutputError | ReaderGoneError | None = None) -> int:
    """Write how a run ended.

    Args:
        ended: How it did.
        out: Stdout.
        unheard: Why stdout cannot be written, if that is known already.

    Returns:
        The exit code: that of the run's outcomes, even if they cannot be written.
    """
    if unheard is None:
        try:
            if out.json:
                event(out, "summary", **ended.as_json())
            else:
                out.show(ended.as_text(), wrap=False)
        except (OutputError, ReaderGoneError) as error:
            unheard = error
    if unheard is not None:
        abandon_stdout()
        why = str(unheard) or "its reader has closed it"
        tell(f"The output cannot be written: {why}.", ended.as_text())
    return ended.exit_code
