"""Opens journals for commands, and says what a user should know of their files."""

import contextlib
from collections.abc import Generator
from pathlib import Path

from thredfi_async.bulk import Journal, JournalError, JournalView, read_journal
from thredfi_async.cli.formatting import command, path_argument
from thredfi_async.cli.output import tell


@contextlib.contextmanager
def writing(path: Path, *, create: bool) -> Generator[Journal]:
    """Open a journal for a command that writes it; say at the end if it is more than one file.

    Args:
        path: The journal.
        create: Whether it is made if it is missing.

    Yields:
        The journal. An error in closing it is ignored: a run that could not be written has reported that.

    Raises:
        JournalError: It cannot be opened, or another user can have written it.
    """
    journal = Journal.open(path, create=create)
    try:
        yield journal
    finally:
        with contextlib.suppress(JournalError):
            journal.close()
        if journal.belongs_together:
            tell(
                "Part of the journal is in a second file, since another program is reading it or the disk is full: "
                f"{' and '.join(journal.belongs_together)} belong together. Copy both; or close that program, or make "
                f"room, and run {command('bulk', 'settle', path_argument(path))}, which leaves one file."
            )


@contextlib.contextmanager
def reading(path: Path) -> Generator[JournalView]:
    """Open a journal for a command that shows it; say who else can have written it.

    Args:
        path: The journal.

    Yields:
        The view.

    Raises:
        JournalError: It cannot be read.
    """
    with read_journal(path) as view:
        if view.distrust is not None:
            tell(f"warning: {view.distrust}; what this journal says may be somebody else's doing")
        yield view


def read_back(journal: Journal) -> JournalView:
    """Read a journal that this command has open for writing, and so has checked already.

    Args:
        journal: The journal.

    Returns:
        The view; use it in `with`.

    Raises:
        JournalError: It cannot be read.
    """
    return JournalView(journal.path, is_checked=True)


def lies_beside(journal: Path, path: Path) -> bool:
    """Return whether a path that a journal brings lies in the journal's own folder, links resolved.

    Args:
        journal: The journal.
        path: What it names.

    Returns:
        Whether it does; a path that cannot be resolved does not.
    """
    try:
        return path.resolve().parent == journal.resolve().parent
    except (OSError, RuntimeError, ValueError):
        return False
