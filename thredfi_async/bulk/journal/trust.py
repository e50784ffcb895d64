"""Decides how far a journal may be trusted, and takes it away from other users before it is written."""

from pathlib import Path

from thredfi_async.bulk.errors import JournalError
from thredfi_async.bulk.journal.files import BESIDE
from thredfi_async.bulk.ownership import is_private, problem_of


def distrust(path: str) -> str | None:
    """Return who else can have written a journal, as a sentence without a full stop.

    Args:
        path: The journal's real path.

    Returns:
        None if only this user and root can; the sentence names the file.
    """
    for file in (f"{path}{ending}" for ending in ("", *BESIDE)):
        try:
            found = Path(file).lstat()
        except OSError:
            continue
        problem = problem_of(found)
        if problem is not None:
            return f"{file} {problem}"
    return None


def require_own(path: str) -> None:
    """Refuse to write a journal that another user can have written, and make its files private.

    Args:
        path: The journal's real path, where there is a file.

    Raises:
        JournalError: Another user can have written it, or it has a second name.
    """
    problem = distrust(path)
    if problem is not None:
        raise JournalError(
            f"{problem}, so what stands in it may be somebody else's doing: look at it with `thredfi bulk report`, "
            "and to go on with it, make a copy that is yours alone (mode 600)"
        )
    found = Path(path).stat()
    if found.st_nlink > 1:
        # Each name has a log and a lock of its own, so that SQLite cannot keep two writers apart.
        raise JournalError(
            f"the journal {path} has a second name, a hard link, under which another run could write it at the same "
            "time: remove one of the two names, or make a copy"
        )
    if not is_private(found):
        Path(path).chmod(0o600)
