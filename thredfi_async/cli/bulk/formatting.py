"""Formats figures for people."""

import shlex
from collections.abc import Mapping
from typing import Final

from thredfi_async.cli.bulk.moment import LABELS, Moment, Pace

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


def going(moment: Moment, pace: Pace) -> str:
    """Return how a run is going: its rate, the time that is left, and what holds it back."""
    parts = [f"{pace.rate:,.0f}/s"]
    left = pace.left(moment)
    if left is not None and moment.done < (moment.total or 0):
        parts.append(f"{duration(left)} left")
    if not moment.paused:
        parts.append(f"{moment.in_flight:,} in flight of at most {moment.concurrency:,}")
    if moment.retries:
        parts.append(plural(moment.retries, "extra request"))
    if moment.paused:
        next_ = f", the next in {duration(moment.cooldown)}" if moment.cooldown > 0.0 else ""
        parts.append(f"PAUSED: the API is unavailable, and one request at a time checks whether it is back{next_}")
    elif moment.cooldown > 0.0:
        parts.append(f"the API asked to wait: {duration(moment.cooldown)}")
    return ", ".join(parts)


def command(*parts: str) -> str:
    """Return a line to paste into a shell."""
    return shlex.join(["thredfi", *parts])
