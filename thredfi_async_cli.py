"""The start of the `thredfi` command, outside the package: importing that takes a moment, in which Ctrl-C may come."""

_INTERRUPTED = 130


def main() -> int:
    """Run the `thredfi` command, and end without a stack trace if it is interrupted while it is being loaded.

    Returns:
        The exit code.
    """
    try:
        from thredfi_async.cli import main as run  # noqa: PLC0415 - see the module's docstring
    except KeyboardInterrupt:
        return _INTERRUPTED
    return run()
