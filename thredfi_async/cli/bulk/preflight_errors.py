"""Errors that keep a bulk command from starting; nothing was sent by then."""

import contextlib
from collections.abc import Generator

from thredfi_async import Effect
from thredfi_async.cli.error_report import ErrorReport, ReportedError
from thredfi_async.cli.exit_codes import ExitCode
from thredfi_async.cli.formatting import sentence


@contextlib.contextmanager
def preflight_errors() -> Generator[None]:
    """Turn errors before anything is sent into sentences.

    Yields:
        Nothing.

    Raises:
        ReportedError: In the place of a `BulkError`.
    """
    # Imported here, so that commands that have nothing to do with it do not load SQLite.
    from thredfi_async.bulk import BulkError, JournalError, SourceError  # noqa: PLC0415 - slow, and not for every command

    try:
        yield
    except BulkError as error:
        match error:
            case JournalError():
                happened = ""  # it begins with the journal
            case SourceError():
                happened = "The file cannot be used: "
            case _:
                happened = "The run cannot start: "
        text = str(error)
        if text.startswith(("the ", "there ")):
            text = text[0].upper() + text[1:]
        raise preflight_error(sentence(f"{happened}{text}"), kind=type(error).__name__) from error


def preflight_error(
    happened: str, *, advice: str | None = None, kind: str = "Refused", code: ExitCode = ExitCode.USAGE
) -> ReportedError:
    """Return the error of a command that cannot start.

    Args:
        happened: Why, in a sentence.
        advice: What to do next, where the sentence does not say it.
        kind: The error's name, for machines.
        code: How the command ends.

    Returns:
        The error to raise.
    """
    failure = ErrorReport(kind=kind, sentence=happened, exit_code=code, effect=Effect.NOT_APPLIED, advice=advice)
    return ReportedError(failure)
