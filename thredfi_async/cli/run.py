"""From the arguments to the exit code: the one place that turns errors into sentences."""

__lazy_modules__: list[str] = [
    "thredfi_async.cli.error_report",
    "thredfi_async.cli.output",
    "thredfi_async.cli.session",
]
import re
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import typer

from thredfi_async import Effect, ThredfiError
from thredfi_async.cli.app import app
from thredfi_async.cli.completion import prepare
from thredfi_async.cli.error_report import (
    ErrorReport,
    ReportedError,
    corrected,
    error_report,
    internal_error,
    interruption,
    warning,
)
from thredfi_async.cli.exit_codes import ExitCode
from thredfi_async.cli.formatting import sentence
from thredfi_async.cli.log_lines import log_lines
from thredfi_async.cli.output import (
    Output,
    OutputError,
    ReaderGoneError,
    abandon_stdout,
    reason,
    report,
    trace,
)
from thredfi_async.cli.session import Session

if TYPE_CHECKING:
    from thredfi_async.cli.command_line import Declared

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
        failure = _in_words(error, session, arguments)
    report(failure, json=session.out.json)
    return failure.exit_code


def _run(arguments: Sequence[str], session: Session) -> int:
    session.out.check()
    prepare()
    try:
        found: Declared | int = app(args=list(arguments), prog_name="thredfi", standalone_mode=False)
    except SystemExit as ended:
        if not ended.code:
            return ExitCode.DONE  # what may come next was told to a shell
        # typer's answer to a closed pipe, while it writes the help.
        raise ReaderGoneError from None
    except OSError as error:
        raise OutputError(reason(error)) from None
    if isinstance(found, int):
        session.out.write("")
        return found
    session.out.quiet, session.log_level = found.verbosity.quiet, found.verbosity.log_level
    for each in found.warnings:
        report(warning(each), json=session.out.json)
    with log_lines(session.log_level, json=session.out.json), warnings.catch_warnings():
        # What it says of a workbook is about how it looks, and in the words of Python.
        warnings.filterwarnings("ignore", category=UserWarning, module="openpyxl")
        code = found.job(session)
    session.out.write("")
    return code


def _in_words(error: Exception, session: Session, arguments: Sequence[str]) -> ErrorReport:
    if isinstance(error, ThredfiError):
        return error_report(error, session)
    if isinstance(error, ReportedError):
        return corrected(error, session, arguments)
    if isinstance(error, _UsageError):
        return _usage(error, session)
    if isinstance(error, OutputError):
        abandon_stdout()
        happened = f"The output cannot be written: {error}."
        return internal_error(
            happened, session, kind="OutputError", code=ExitCode.OUTPUT, advice="fix what stdout goes to"
        )
    # Its text may quote anything.
    happened = "thredfi met an unexpected error."
    advice = "run with --debug to see where, and report it"
    return internal_error(happened, session, kind=type(error).__name__, code=ExitCode.REFUSED, advice=advice)


def _usage(error: Any, session: Session) -> ErrorReport:  # noqa: ANN401 - see _UsageError
    # What is given by mistake for an argument may be a secret.
    happened = _QUOTED_ARGUMENTS.sub(r"\1", str(error.format_message()))
    command = error.ctx.command_path if error.ctx is not None else "thredfi"
    return internal_error(
        sentence(happened), session, kind="UsageError", code=ExitCode.USAGE, advice=f"see: {command} --help"
    )
