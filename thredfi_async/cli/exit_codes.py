"""The exit codes, and which one an error leads to; how a bulk run ends is decided in `bulk/verdict.py`."""

import enum
from typing import Final

from thredfi_async import ConfigurationError, Effect, InvalidRequestError, ThredfiError


class ExitCode(enum.IntEnum):
    """How `thredfi` ends."""

    DONE = 0
    """Done; for `archive`, the customer is archived."""
    REFUSED = 1
    """The API said no or could not be reached, and nothing was changed; or a check of the demo failed.

    For `bulk`: not everything is archived, since customers were rejected or have failed, or lines are invalid; the
    others are.
    """
    USAGE = 2
    """The arguments, the settings, the body or the file cannot be used."""
    UNKNOWN = 3
    """The customer, or some of a bulk run's, may be archived or not."""
    STOPPED = 4
    """A bulk run stopped before its end, and can be resumed."""
    BROKER = 5
    """The broker of the queue cannot be reached, or refuses."""
    OUTPUT = 6
    """Stdout, or a file of results, cannot be written."""
    INTERRUPTED = 130
    """Ctrl-C; a bulk run takes SIGTERM and SIGHUP for it too, and can be resumed."""


EXIT_CODES: Final = {
    ExitCode.DONE: "done; for archive: the customer is archived",
    ExitCode.REFUSED: "the API said no or could not be reached, and nothing was changed; for bulk: not everything is "
    "archived, and the rest is",
    ExitCode.USAGE: "usage, settings, body or file cannot be used; nothing was sent",
    ExitCode.UNKNOWN: "outcome unknown: the customer may be archived or not",
    ExitCode.STOPPED: "a bulk run stopped before its end: resume it",
    ExitCode.BROKER: "the queue's broker (NATS) cannot be reached, or refuses",
    ExitCode.OUTPUT: "stdout, or a file of results, cannot be written; stderr says what is known",
    ExitCode.INTERRUPTED: "interrupted with Ctrl-C; stderr says what is known",
}
"""What `thredfi --help` says of each."""


def exit_code(error: ThredfiError) -> ExitCode:
    """Return the exit code of a command whose call ended in an error.

    Args:
        error: The error.

    Returns:
        The code. The effect comes first: whatever went wrong, an archived customer is what was asked for.
    """
    if error.effect is Effect.APPLIED:
        return ExitCode.DONE
    if error.effect is Effect.UNKNOWN:
        return ExitCode.UNKNOWN
    return ExitCode.USAGE if isinstance(error, InvalidRequestError | ConfigurationError) else ExitCode.REFUSED
