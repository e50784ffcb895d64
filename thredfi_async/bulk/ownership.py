"""Tells whose a file is: what this user alone can write, and what others could have written."""

import os
import stat
from typing import Final

_ROOT: Final = 0
_WRITABLE: Final = stat.S_IWGRP | stat.S_IWOTH
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def problem_of(found: os.stat_result) -> str | None:
    """Return why a file is not this user's alone to write, if it is not.

    Args:
        found: What `lstat` or `fstat` says of it.

    Returns:
        What follows its name in a sentence; None for a file that only this user and root can write.
    """
    if not stat.S_ISREG(found.st_mode):
        return "is a link, a pipe or a device, and no file"
    if found.st_uid not in {_own_id(found), _ROOT}:
        return "belongs to another user"
    if found.st_mode & _WRITABLE and _has_modes():
        return "can be written by other users"
    return None


def is_private(found: os.stat_result) -> bool:
    """Return whether no one but its owner can read a file; true on Windows, which has no modes."""
    return not (found.st_mode & _OTHERS and _has_modes())


def _has_modes() -> bool:
    return hasattr(os, "geteuid")


def _own_id(found: os.stat_result) -> int:
    # Windows has no such ids, and gives 0 for every file.
    return os.geteuid() if _has_modes() else found.st_uid
