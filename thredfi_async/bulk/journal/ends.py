"""Why a session of a run ended before the run's end, as its journal keeps it."""

import re
from collections.abc import Mapping
from typing import Final

KILLED: Final = "killed"
"""The next process that opens the journal writes it for a session that has written no end."""
SETTLED: Final = "settled"
"""An interrupted run whose unknown outcomes were asked about since: nothing of the interruption is left."""
_INTERRUPTED: Final = re.compile(r"drained|interrupted(?: by [A-Z]+)?")
_CLASS: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CAUSES: Final[Mapping[str, str]] = {
    "api_unavailable": "the API was unavailable for longer than the run was to wait",
    "certificate_refused": "the certificate of the API's host is not trusted",
    "client_unusable": "its client could not be used",
    "credentials_refused": "the API refused the credentials",
    "failure_ratio": "too large a part of its customers failed",
    "max_failures": "as many of its customers failed as were allowed",
    "proxy_refused": "the proxy refused its credentials",
    "wrong_base_url": "something else than the API answers at the base URL",
}


def interrupted_by(signal: str) -> str:
    """Return what is kept of a run that a signal ended.

    Args:
        signal: Its name.
    """
    return f"interrupted by {signal}"


def is_interruption(reason: str | None) -> bool:
    """Return whether a signal, or the program, ended the session."""
    return reason is not None and _INTERRUPTED.fullmatch(reason) is not None


def stop_of(reason: str | None) -> str | None:
    """Return why a session stopped by itself, as a sentence; None if it did not.

    Args:
        reason: What the journal keeps: a sentence, a cause for programs, or the class of an error.
    """
    if reason is None or reason in {KILLED, SETTLED} or is_interruption(reason):
        return None
    if reason in _CAUSES:
        return _CAUSES[reason]
    return f"an error ended it ({reason})" if _CLASS.fullmatch(reason) else reason
