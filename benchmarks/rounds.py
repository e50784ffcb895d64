"""Runs the candidates in rounds: each in a new process, one after the other, with the ratios within a round."""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

HERE: Final = Path(__file__).parent
MISSING: Final = 3
"""The exit status of a process that lacks a package."""


class PeerFailedError(RuntimeError):
    """A measuring process ended with an error."""


class PeerMissingError(RuntimeError):
    """A package to measure is missing."""


@dataclass(frozen=True)
class Ratio:
    """The ratio of one thing to another, over the rounds.

    Args:
        median: The median of the ratios, each of two figures of one round.
        low: The smallest ratio.
        high: The largest ratio.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, ours: Sequence[float], theirs: Sequence[float]) -> "Ratio":
        """Divide round by round."""
        ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
        return cls(statistics.median(ratios), min(ratios), max(ratios))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


def run(script: str, *arguments: object) -> list[dict[str, Any]]:
    """Run a script of this folder in a new process; return the lines of JSON that it prints.

    Raises:
        PeerFailedError: It ended with an error.
        PeerMissingError: It lacks a package.
    """
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == MISSING:
        raise PeerMissingError(done.stderr.strip())
    if done.returncode:
        raise PeerFailedError(f"{' '.join(command)}\n{done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def in_rounds(
    tasks: Mapping[str, Callable[[], list[dict[str, Any]]]], rounds: int, say: Callable[[str], None]
) -> dict[str, list[list[dict[str, Any]]]]:
    """Run all tasks once in every round, in another order each time.

    Args:
        tasks: What to run, by name.
        rounds: The number of rounds.
        say: Called with the progress.

    Returns:
        For each task its results, round by round.
    """
    order = Random(1)
    found: dict[str, list[list[dict[str, Any]]]] = {name: [] for name in tasks}
    for number in range(1, rounds + 1):
        say(f"round {number} of {rounds}")
        for name in _shuffled(tasks, order):
            found[name].append(tasks[name]())
    return found


def _shuffled(names: Iterable[str], order: Random) -> list[str]:
    # So other load on the machine, and effects of earlier processes, affect each of them alike.
    mixed = list(names)
    order.shuffle(mixed)
    return mixed
