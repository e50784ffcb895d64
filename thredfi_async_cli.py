"""The start of the `thredfi` command, outside the package: importing that takes a while, and a signal may come."""

import os
import signal
import sys

_INTERRUPTED = 130


def main() -> int:
    """Run the `thredfi` command, and end without a stack trace if it is interrupted while it is being loaded.

    SIGTERM is the regular end of a worker, also then.

    Returns:
        The exit code.
    """
    if sys.argv[1:2] == ["worker"]:
        signal.signal(signal.SIGTERM, _end)
    try:
        from thredfi_async.cli import main as run  # noqa: PLC0415 - see the module's docstring
    except KeyboardInterrupt:
        return _INTERRUPTED
    return run()


def _end(*_: object) -> None:
    os._exit(0)
