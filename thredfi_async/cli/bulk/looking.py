"""What is shown while a file is read before a run, and what is said if that is interrupted."""

import contextlib
import sys
from collections.abc import Generator
from threading import Timer
from typing import Final

from thredfi_async.cli.output import tell
from thredfi_async.cli.session import Session

PATIENCE: Final = 2.0
"""Seconds after which a person is told that a file is being read."""
_SENT: Final = "Interrupted while the file was read; nothing was sent"


@contextlib.contextmanager
def looking(session: Session, name: str, *, journal: bool | None = None) -> Generator[None]:
    """Read a file within this: a person sees that it takes long, and Ctrl-C says what was done by then.

    Args:
        session: What the command is about.
        name: The file, as it was named.
        journal: Whether there is a journal already; None where none would be made.

    Yields:
        Nothing.
    """
    made = {None: "", False: ", and no journal was made", True: ", and the journal is as it was"}[journal]
    before, session.interrupted = session.interrupted, f"{_SENT}{made}."
    timer = Timer(PATIENCE, tell, [f"Reading {name} ..."])
    timer.daemon = True
    if not session.out.json and not session.out.quiet and sys.stderr is not None and sys.stderr.isatty():
        timer.start()
    try:
        yield
        session.interrupted = before
    finally:
        timer.cancel()
