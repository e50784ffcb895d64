"""Reads response headers: the request id, and how long the server asks to wait (Retry-After)."""

import datetime as dt
import email.utils
import re
from collections.abc import Mapping
from typing import Final

from thredfi_async._interfaces import Response

_VISIBLE: Final = re.compile(r"[!-~]{1,128}", re.ASCII)
# float() and int() would accept "nan", "inf", "1_000" and digits of other scripts.
_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?", re.ASCII)
_LONGEST: Final = 512
"""Characters of a header that is read as a date."""
_LONGEST_WAIT: Final = 1e12
"""Seconds: more than anyone waits for, and few enough for every clock."""


def request_id(response: Response) -> str | None:
    """Return the answer's `X-Request-Id` if it can be shown, and None otherwise."""
    value = response.headers.get("X-Request-Id")
    return value if value is not None and _VISIBLE.fullmatch(value) else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return how long the server asks to wait.

    Args:
        headers: The answer's headers: `retry-after-ms`, or `Retry-After` in seconds or as an HTTP-date.

    Returns:
        Seconds, never negative, or None without a valid header. A date counts from the answer's own `Date`, so that
        a wrong clock on either side does no harm.
    """
    milliseconds = _seconds(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("Retry-After", "")
    seconds = _seconds(value)
    if seconds is not None:
        return seconds
    until = _date(value)
    if until is None:
        return None
    now = _date(headers.get("Date", "")) or dt.datetime.now(dt.UTC)
    return max(0.0, (until - now).total_seconds())


def _seconds(value: str) -> float | None:
    value = value.strip()
    # A number that is too large for anything is still a number: longer than any wait.
    return min(float(value), _LONGEST_WAIT) if _NUMBER.fullmatch(value) else None


def _date(value: str) -> dt.datetime | None:
    if len(value) > _LONGEST:
        return None
    try:
        date = email.utils.parsedate_to_datetime(value)
        # asctime has no zone and "-0000" is none: every HTTP-date is in UTC (RFC 9110, 5.6.7).
        return date if date.tzinfo is not None else date.replace(tzinfo=dt.UTC)
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
