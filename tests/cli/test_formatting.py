"""Figures and commands for people."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from thredfi_async._checks.text import printable
from thredfi_async.cli.formatting import command, duration, outcomes, path_argument, plural, size


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (10.0, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (200.0, "3 min 20 s"),
        (3599.6, "1 h 0 min"),
        (7500.0, "2 h 5 min"),
        (3_600_000.0, "1,000 h 0 min"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    """A duration has two figures that count, and never sixty of anything."""
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (1_234_567, "1.2 MB"),
        (5 * 10**13, "50.0 TB"),
    ],
)
def test_sizes(count: int, words: str) -> None:
    """A size is in the unit that suits it."""
    assert size(count) == words


def test_counts() -> None:
    """Numbers are grouped, nouns follow them, and outcomes that no item has are left out."""
    assert (plural(1, "line"), plural(10_000, "line")) == ("1 line", "10,000 lines")
    assert outcomes({}) == "0 archived"
    states = {"unknown": 1, "archived": 1000, "already_archived": 2, "rejected": 0, "failed": 3, "pending": 4}
    assert outcomes(states) == "1,000 archived, 2 archived already, 3 failed, 1 unknown, 4 without an outcome yet"


def test_a_command_can_be_pasted() -> None:
    """Names that a shell would read otherwise are quoted, and none is taken for an option."""
    assert command("bulk", "resume", path_argument("my run.db")) == "thredfi bulk resume 'my run.db'"
    assert command("bulk", "resume", path_argument(Path("-run.db"))) == "thredfi bulk resume ./-run.db"
    assert path_argument("-") == "-"


NAMES = [
    "a b",
    "q'x\"",
    "esc\x1b[31m",
    "bidi\u202e!",
    "nl\nx",
    "tab\t7",
    "ä",
    "$(id)`id`",
    "b\\s'",
    "\u2028",
    "*",
    "lat\udce4",
    "\x7f0",
]


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_what_is_pasted_is_what_was_meant(name: str) -> None:
    """A shell reads a printed command back as the name, byte by byte, though no escape is needed to show it."""
    line = command("bulk", "status", name)
    assert printable(line) == line
    echo = ["bash", "-c", line.replace("thredfi bulk status ", "printf %s ", 1)]
    assert subprocess.run(echo, capture_output=True, check=True).stdout == os.fsencode(name)


def test_half_a_pair_is_shown() -> None:
    """What no file can be called, but a journal of another may say, is no error."""
    assert command("\ud800") == "thredfi $'\\355\\240\\200'"
