"""Checks what a journal says of its run, each fact as strictly as the setting that it came from."""

import datetime as dt
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote_to_bytes
from uuid import UUID

from thredfi_async import ConfigurationError
from thredfi_async._checks.json import text_problem
from thredfi_async._checks.urls import checked_base_url, checked_proxy
from thredfi_async.bulk.errors import JournalError
from thredfi_async.bulk.journal.files import NOT_OURS
from thredfi_async.bulk.journal.settings import KEY, RunSettings
from thredfi_async.bulk.reading_options import FORMATS, READING, ReadingOptions

ITEMS: Final = "items"
"""How many rows the items had when the run came to its end."""
INVALID_LINES: Final = "invalid_lines"
"""How many invalid lines there were then."""
CHECKED: Final = "source_checked"
"""Whether `source_records` is exact, since every record was parsed; else blank lines count, too."""

CHECKED_INVALID: Final = "source_invalid_lines"
"""How many of `source_records` were found invalid before the run; those are no customers that it has not started."""

Check = Callable[[Any], object]

_DIGITS: Final = 15
_YEARS: Final = range(1971, 9999)
_LONGEST_PATH: Final = 4096
_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_NAME: Final = re.compile(r"[!-~]{0,255}", re.ASCII)
_URI: Final = "file://"


def check_facts(facts: Mapping[str, object], path: str) -> Mapping[str, str]:
    """Check what a journal says of its run, so that its readers need not.

    Args:
        facts: The table `run`.
        path: The journal, for messages.

    Returns:
        The facts.

    Raises:
        JournalError: One of them is nothing that a run writes.
    """
    for name, fact in facts.items():
        if not _is_fact(name, fact):
            shown = f"its fact {name}" if name in _CHECKS else "a fact about its run"
            raise JournalError(f"the journal {path} cannot be read: {shown} is wrong; {NOT_OURS}")
    return {name: str(fact) for name, fact in facts.items()}


def encodable(name: str, fact: str, path: str) -> str:
    """Return a fact that a journal can keep, which is text.

    Args:
        name: Its name.
        fact: The fact.
        path: The journal, for messages.

    Raises:
        JournalError: It holds bytes that are no text, as the name of a file may.
    """
    if any("\ud800" <= character <= "\udfff" for character in fact):
        raise JournalError(f"the journal {path} cannot keep the {name} {fact}: that is not UTF-8; rename the file")
    return fact


def path_fact(path: Path) -> str:
    """Return a path as a journal keeps it: whole, and as a URI if it has bytes that are no text."""
    whole = path.absolute()
    return str(whole) if text_problem(str(whole)) is None else whole.as_uri()


def path_of(fact: str | None) -> str | None:
    """Return a path that a journal keeps; None where that is nothing."""
    if fact is None or not fact.startswith(_URI):
        return fact or None
    return os.fsdecode(unquote_to_bytes(fact.removeprefix(_URI)))


def number_in(facts: Mapping[str, str], name: str) -> int | None:
    """Return a fact that is a number; None without it."""
    return int(facts[name]) if name in facts else None


def _is_fact(name: str, fact: object) -> bool:
    try:
        if isinstance(fact, str):
            _CHECKS.get(name, str)(fact)
    except (ValueError, RecursionError, ConfigurationError):
        return False
    return isinstance(fact, str)


def _number(text: str) -> None:
    if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS):
        raise ValueError


def _time(text: str) -> None:
    if dt.datetime.fromisoformat(text).year not in _YEARS:
        raise ValueError


def _path(text: str) -> None:
    path = path_of(text)
    if path is None or "\0" in path or not 0 < len(path) <= _LONGEST_PATH:
        raise ValueError


def _proxy(text: str) -> None:
    if "@" in text or checked_proxy(text) is None:
        raise ValueError


def _matching(pattern: re.Pattern[str]) -> Check:
    def check(text: str) -> None:
        if pattern.fullmatch(text) is None:
            raise ValueError

    return check


def _one_of(*known: str) -> Check:
    def check(text: str) -> None:
        if text not in known:
            raise ValueError

    return check


def _or_empty(check: Check) -> Check:
    return lambda text: text and check(text)


NUMBERS: Final = (
    *(
        "sessions",
        "source_size",
        "source_records",
        CHECKED_INVALID,
        "duplicates",
        "outcomes_next",
        ITEMS,
        INVALID_LINES,
    ),
)
FLAGS: Final = ("allow_missing_fields", "queue_listed", "queue_is_empty", CHECKED)
_NAMES: Final = ("queue", "stopped_cause", "option_nats", "option_subject", "option_consumer")
_CHECKS: Final[Mapping[str, Check]] = {
    "id": UUID,
    "base_url": checked_base_url,
    "business_id": UUID,
    "bodies": _one_of("source", "server"),
    "source_format": _one_of(*FORMATS),
    "source_sha256": _matching(_SHA256),
    "source_path": _path,
    "invalid_lines_path": _path,
    "option_base_url": _or_empty(checked_base_url),
    "option_environment": _one_of("", "sandbox", "production"),
    "option_env_file": _or_empty(_path),
    "option_ca_file": _or_empty(_path),
    "option_proxy": _or_empty(_proxy),
    "published_at": _or_empty(_time),
    "created_at": _time,
    "finished_at": _time,
    KEY: RunSettings.of,
    READING: ReadingOptions.of,
    **dict.fromkeys(NUMBERS, _number),
    **dict.fromkeys(FLAGS, _one_of("0", "1")),
    **dict.fromkeys(_NAMES, _matching(_NAME)),
}
