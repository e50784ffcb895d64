"""From the arguments to the exit code: the one place that turns errors into sentences."""

__lazy_modules__ = [
    "thredfi_async.cli.error_report",
    "thredfi_async.cli.output",
    "thredfi_async.cli.session",
]
import contextlib
import logging
import re
import sys
from collections.abc import Generator, Sequence
from typing import Any, Final, cast

import typer

from thredfi_async import Effect, ThredfiError
from thredfi_async.cli.app import app
from thredfi_async.cli.error_report import ErrorReport, ReportedError, error_report, internal_error, interruption
from thredfi_async.cli.exit_codes import ExitCode
from thredfi_async.cli.output import (
    Output,
    OutputError,
    PrintableFormatter,
    ReaderGoneError,
    abandon_stdout,
    reason,
    report,
    trace,
)
from thredfi_async.cli.session import Job, Session

# The class is private to typer or click, depending on the version.
_UsageError: Final = cast("type[Exception]", typer.BadParameter.__base__)
_QUOTED_ARGUMENTS: Final = re.compile(r"(unexpected extra argument\S*) \(.*\)", re.DOTALL)


def run(arguments: Sequence[str]) -> int:
    """Run the command.

    Args:
        arguments: Its arguments.

    Returns:
        The exit code.
    """
    flags = arguments[: arguments.index("--")] if "--" in arguments else arguments
    session = Session(out=Output(json="--json" in flags), debug="--debug" in flags)
    with _logs(shown=session.debug):
        try:
            return _run(arguments, session)
        except (KeyboardInterrupt, typer.Abort):
            failure = interruption(session)
        except ReaderGoneError:
            abandon_stdout()
            return ExitCode.UNKNOWN if session.known.effect is Effect.UNKNOWN else ExitCode.DONE
        except Exception as error:  # noqa: BLE001 - no stack trace reaches the user unless it is asked for
            if session.debug:
                trace(error)
            failure = _in_words(error, session)
        report(failure, json=session.out.json)
        return failure.exit_code


def _run(arguments: Sequence[str], session: Session) -> int:
    session.out.check()
    try:
        job: Job | int = app(args=list(arguments), prog_name="thredfi", standalone_mode=False)
    except SystemExit:
        # typer's and rich's answer to a closed pipe, while they write the help.
        raise ReaderGoneError from None
    except OSError as error:
        raise OutputError(reason(error)) from None
    code = job if isinstance(job, int) else job(session)
    session.out.write("")
    return code


def _in_words(error: Exception, session: Session) -> ErrorReport:
    if isinstance(error, ThredfiError):
        return error_report(error, session)
    if isinstance(error, ReportedError):
        return error.failure
    if isinstance(error, _UsageError):
        return _usage(error, session)
    if isinstance(error, OutputError):
        abandon_stdout()
        sentence = f"The output cannot be written: {error}."
        return internal_error(
            sentence, session, kind="OutputError", code=ExitCode.USAGE, advice="fix what stdout goes to"
        )
    # Its text may quote anything.
    sentence = f"thredfi met an unexpected error: {type(error).__name__}."
    advice = "run with --debug to see where, and report it"
    return internal_error(sentence, session, kind=type(error).__name__, code=ExitCode.REFUSED, advice=advice)


def _usage(error: Any, session: Session) -> ErrorReport:  # noqa: ANN401 - see _UsageError
    # What is given by mistake for an argument may be a secret.
    sentence = _QUOTED_ARGUMENTS.sub(r"\1", str(error.format_message())).rstrip(".")
    command = error.ctx.command_path if error.ctx is not None else "thredfi"
    return internal_error(
        f"{sentence}.", session, kind="UsageError", code=ExitCode.USAGE, advice=f"see: {command} --help"
    )


@contextlib.contextmanager
def _logs(*, shown: bool) -> Generator[None]:
    """Show all logs, or none: without a handler of our own, Python would write warnings to stderr."""
    root = logging.getLogger()
    handler = logging.StreamHandler() if shown and sys.stderr is not None else logging.NullHandler()
    handler.setFormatter(PrintableFormatter("%(relativeCreated)d ms %(name)s: %(message)s"))
    level = root.level
    root.addHandler(handler)
    if shown:
        root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
