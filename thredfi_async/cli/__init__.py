"""The `thredfi` command; needs the extra `cli` (typer and rich)."""

import contextlib
import gc
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Final

from thredfi_async._extras import how_to_install

_USAGE: Final = 2
_INTERRUPTED: Final = 130
_YOUNG: Final = 10_000
"""New objects before the garbage collector runs; Python's own 700 are fewer than a bulk run holds."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the `thredfi` command.

    Args:
        argv: Its arguments, without the program's name; the process's own by default.

    Returns:
        The exit code, as `thredfi --help` lists them.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    if argv is None and arguments[:1] == ["worker"]:
        return _ended_by_sigterm(arguments)
    return _main(arguments, is_ours=argv is None)


def _ended_by_sigterm(arguments: list[str]) -> int:
    """Run a worker, and let SIGTERM be its regular end also before it has begun to work, and after its end."""
    signal.signal(signal.SIGTERM, _end)
    try:
        return _main(arguments, is_ours=True)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _end(*_: object) -> None:
    with contextlib.suppress(Exception):  # stdout may be being written to, closed or missing
        sys.stdout.flush()
    os._exit(0)


def _main(arguments: list[str], *, is_ours: bool) -> int:
    try:
        # Imported here, so that an error in it, such as a missing extra, becomes one sentence.
        from thredfi_async.cli.run import run  # noqa: PLC0415
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:  # noqa: BLE001 - whatever it is, a user gets a sentence
        return _cannot_start(error, debug="--debug" in arguments)
    if is_ours:
        # The process is ours, and cycles are rare: looking for them less often saves a tenth of a run.
        gc.set_threshold(_YOUNG)
    try:
        code = run(arguments)
    except KeyboardInterrupt:  # a second one, while the first was being reported
        code = _INTERRUPTED
    if code == _INTERRUPTED and is_ours:
        # All is reported. Python would still wait for a name look-up that hangs in a thread.
        os._exit(code)
    return code


def _cannot_start(error: Exception, *, debug: bool) -> int:
    missing = error.name.partition(".")[0] if isinstance(error, ModuleNotFoundError) and error.name else None
    if missing in {"typer", "rich"}:
        sentence = f"{missing} is not installed: {how_to_install('cli')}"
    else:
        sentence = "thredfi cannot start: run with --debug to see why, or install it anew"
    # print() would write to stdout if there were no stderr.
    if sys.stderr is not None:
        print(f"error: {sentence}", file=sys.stderr)  # noqa: T201 - rich may be what is missing
        if debug:
            traceback.print_exception(error)
    return _USAGE
