"""The last words of a run: to stdout, or to stderr if nobody hears those."""

from thredfi_async.cli.bulk.display import event
from thredfi_async.cli.bulk.ending import Ending
from thredfi_async.cli.output import Output, OutputError, ReaderGoneError, abandon_stdout, tell


def conclude(ending: Ending, out: Output, *, unheard: OutputError | ReaderGoneError | None = None) -> int:
    """Say how a run ended.

    Args:
        ending: How it did.
        out: Stdout.
        unheard: Why stdout is of no use, if that is known already.

    Returns:
        The exit code: a run's is that of its outcomes, whether or not anybody hears of them.
    """
    if unheard is None:
        try:
            if out.json:
                event(out, "summary", **ending.as_json())
            else:
                out.show(ending.as_text(), wrap=False)
        except (OutputError, ReaderGoneError) as error:
            unheard = error
    if unheard is not None:
        abandon_stdout()
        why = str(unheard) or "nobody reads it any more"
        tell(f"The output cannot be written: {why}.", ending.as_text())
    return ending.exit_code
