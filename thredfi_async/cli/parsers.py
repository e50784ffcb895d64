"""Durations and rates, as they are written on a command line."""

import math
import re
from typing import Final

import typer

_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|min|m|h|d)?", re.ASCII)
_RATE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?:/(s|min|m|h))?", re.ASCII)
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, None: 1.0}


def seconds(text: str) -> float:
    """Read a duration.

    Args:
        text: Such as `20ms`, `1.5s`, `2` (seconds), `1min` or `30d`.

    Returns:
        Seconds.

    Raises:
        typer.BadParameter: It is no duration.
    """
    match = _DURATION.fullmatch(str(text).strip())
    if match is None:
        raise typer.BadParameter("give a duration such as 20ms, 1.5s, 2 or 1min")
    return float(match[1]) * _SECONDS[match[2]]


def per_second(text: str) -> float:
    """Read a rate.

    Args:
        text: Such as `100/s`, `600/min` or `100` (a second).

    Returns:
        How many a second.

    Raises:
        typer.BadParameter: It is no rate.
    """
    match = _RATE.fullmatch(str(text).strip())
    if match is None or float(match[1]) == 0:
        raise typer.BadParameter("give a rate above 0 such as 100/s or 600/min")
    return float(match[1]) / _SECONDS[match[2]]


def rate_limit(text: str) -> float:
    """Read a limit on a rate.

    Args:
        text: As for `per_second`, or `none` for no limit, where a run had one before.

    Returns:
        How many a second at most; infinity for no limit.

    Raises:
        typer.BadParameter: It is no rate.
    """
    return math.inf if str(text).strip().lower() == "none" else per_second(text)
