"""What keeps a bulk command from starting, in words; nothing was sent by then."""

import contextlib
from collections.abc import Generator
from typing import Final

from thredfi_async import Effect
from thredfi_async.bulk import BulkError, JournalBusyError, JournalError, SourceError
from thredfi_async.cli.exits import ExitCode
from thredfi_async.cli.failure import Failure, FailureError

_HAPPENED: Final[tuple[tuple[type[BulkError], str], ...]] = (
    (JournalBusyError, "The journal is in use"),
    (JournalError, "The journal cannot be used"),
    (SourceError, "The file cannot be used"),
    (BulkError, "The run cannot start"),
)


@contextlib.contextmanager
def refusals() -> Generator[None]:
    """Put in words what goes wrong before anything is sent.

    Yields:
        Nothing.

    Raises:
        FailureError: In the place of a `BulkError`.
    """
    try:
        yield
    except BulkError as error:
        happened = next(words for kind, words in _HAPPENED if isinstance(error, kind))
        raise refused(f"{happened}: {str(error).rstrip('.')}.", kind=type(error).__name__) from error


def refused(sentence: str, *, advice: str | None = None, kind: str = "Refused") -> FailureError:
    """Refuse to start.

    Args:
        sentence: Why.
        advice: What to do next, where the sentence does not say it.
        kind: The error's name, for machines.

    Returns:
        What to raise.
    """
    failure = Failure(kind=kind, sentence=sentence, exit_code=ExitCode.USAGE, effect=Effect.NONE, advice=advice)
    return FailureError(failure)
