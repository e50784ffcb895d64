"""Formats figures and commands for people."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from thredfi_async._checks.text import printable

LABELS: Final = {
    "archived": "archived",
    "already_archived": "archived already",
    "rejected": "rejected",
    "failed": "failed",
    "unknown": "unknown",
    "pending": "without an outcome yet",
}
"""The label of each outcome, in display order."""
_UNITS: Final = ("bytes", "kB", "MB", "GB", "TB")
_STEP: Final = 1000
_MINUTE: Final = 60
_HOUR: Final = 3600


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: `1 line`, `10,000 lines`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def size(count: int) -> str:
    """Return how large a file is."""
    value, unit = float(count), _UNITS[0]
    for unit in _UNITS:
        if value < _STEP or unit == _UNITS[-1]:
            break
        value /= _STEP
    return plural(count, "byte") if unit == _UNITS[0] else f"{value:.1f} {unit}"


def duration(seconds: float) -> str:
    """Return how long something takes: `4.2 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < _MINUTE - 0.5:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004 - two figures are enough
    whole = round(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR:,} h {whole % _HOUR // _MINUTE} min"


def outcomes(states: Mapping[str, int]) -> str:
    """Return the counts of the outcomes; zeros are left out, except for archived."""
    counted = [(label, states.get(name, 0)) for name, label in LABELS.items()]
    return ", ".join(f"{count:,} {label}" for label, count in counted if count or label == "archived")


def command(*parts: str) -> str:
    """Return a line to paste into a shell; nothing in it needs an escape to be shown."""
    return " ".join(map(_quoted, ("thredfi", *parts)))


def _quoted(part: str) -> str:
    """Return an argument in quotes that the shell takes away; what a terminal must not get is written as its bytes."""
    if printable(part) == part:
        return shlex.quote(part)
    return f"$'{''.join(map(_escaped, part))}'"


def _escaped(character: str) -> str:
    if character in "'\\":
        return f"\\{character}"
    if printable(character) == character:
        return character
    # As bytes, since not every shell knows \u; three octal digits, since \x may take in what follows.
    try:
        spelled = os.fsencode(character)
    except UnicodeEncodeError:  # half a pair, which names no file
        spelled = character.encode("utf-8", "surrogatepass")
    return "".join(f"\\{byte:03o}" for byte in spelled)


def path_argument(path: str | Path) -> str:
    """Return a path as an argument: one that begins with `-` would be taken for an option."""
    return f"./{path}" if str(path).startswith("-") and str(path) != "-" else str(path)
