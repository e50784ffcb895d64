"""Files as Windows has them: one that is open can neither be removed nor be replaced."""

import os
from pathlib import Path
from typing import Any

import pytest

_MOST = 512
"""Descriptors that are looked at."""


def is_open(path: Path | str) -> bool:
    """Return whether this process has a file open, under whatever name."""
    found = os.stat(path)  # noqa: PTH116 - as it is compared
    for descriptor in range(3, _MOST):
        try:
            other = os.fstat(descriptor)
        except OSError:
            continue
        if (found.st_dev, found.st_ino) == (other.st_dev, other.st_ino):
            return True
    return False


def lock_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse to remove, rename or replace what is open, as Windows does."""
    unlink, replace = Path.unlink, Path.replace

    def require_closed(path: Path | str) -> None:
        if os.path.lexists(path) and not Path(path).is_symlink() and is_open(path):
            raise PermissionError(13, "The process cannot access the file because it is being used", str(path))

    def unlink_closed(self: Path, *args: Any, **kwargs: Any) -> None:
        require_closed(self)
        unlink(self, *args, **kwargs)

    def replace_closed(self: Path, target: Path | str) -> Path:
        require_closed(self)
        require_closed(target)
        return replace(self, target)

    monkeypatch.setattr(Path, "unlink", unlink_closed)
    monkeypatch.setattr(Path, "replace", replace_closed)
