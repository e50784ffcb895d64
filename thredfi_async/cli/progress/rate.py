"""How far work has come at one moment, how fast it goes, and the time that is left."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from thredfi_async.cli.formatting import duration

_STANDSTILL: Final = 5.0
"""Seconds after which nothing done is a rate of 0, and no beginning any more."""
_BASIS: Final = 10.0
"""Seconds that a rate is seen before it says how long the rest takes: work begins slower than it goes on."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far work has come at one moment.

    Args:
        title: What is being done, in one word.
        elapsed: Seconds since it began.
        done: What is done, what was done before it began among it.
        total: What there is to do in all; None if that is not known.
        outcomes: What became of what is done, in words.
        notes: What else there is to say: what is in flight, what holds it back.
        facts: The figures for machines.
        warning: Whether something holds the work back.
        ends: Whether nothing new is begun, so that the rate says nothing about the time left.
    """

    title: str
    elapsed: float
    done: int
    total: int | None = None
    outcomes: str = ""
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    warning: bool = False
    ends: bool = False

    @property
    def position(self) -> str:
        """How much is done, of how much."""
        return f"{self.done:,}" if self.total is None else f"{self.done:,} of {self.total:,}"

    @property
    def percent(self) -> str:
        """The share that is done, rounded down: 100% is all; empty if it is not known."""
        return f"{100 * self.done // self.total}%" if self.total else ""


class Rate:
    """The recent rate: over half a minute, so that it neither jumps nor depends on how the work began.

    Args:
        window: Seconds that it looks back.
    """

    def __init__(self, window: float = 30.0) -> None:
        """Begin without a rate."""
        self._window = window
        self._seen: deque[tuple[float, int]] = deque()

    def see(self, elapsed: float, done: int) -> None:
        """Note how much was done after so many seconds."""
        self._seen.append((elapsed, done))
        while len(self._seen) > 2 and self._seen[1][0] <= elapsed - self._window:  # noqa: PLR2004 - two make a rate
            self._seen.popleft()

    @property
    def value(self) -> float | None:
        """What is done a second; None until something was done, or nothing for seconds."""
        if not self._seen:
            return None
        (since, before), (now, done) = self._seen[0], self._seen[-1]
        if now == since or (done == before and now - since < _STANDSTILL):
            return None
        return (done - before) / (now - since)

    def left(self, progress: Progress) -> float | None:
        """Return the seconds until the end at this rate; None if that is not known, or the work ends before."""
        if progress.total is None or progress.ends or not self.value or self.value < 0.0:
            return None
        if self._seen[-1][0] - self._seen[0][0] < _BASIS:
            return None
        return max(progress.total - progress.done, 0) / self.value

    def as_text(self, progress: Progress) -> str:
        """Return the rate, the time left and the notes in one line."""
        parts: list[str] = []
        if self.value is not None:
            parts.append(f"{self.value:,.0f}/s" if self.value >= 10 or not self.value else f"{self.value:.2g}/s")  # noqa: PLR2004 - two figures
        left = self.left(progress)
        if progress.ends:
            parts.append("nothing new is started")
        elif left:
            parts.append(f"{duration(left)} left")
        return ", ".join([*parts, *progress.notes])

    def as_json(self, progress: Progress) -> dict[str, float | None]:
        """Return the rate and the seconds left for machines."""
        value, left = self.value, self.left(progress)
        return {
            "rate": None if value is None else round(value, 1),
            "seconds_left": None if left is None else round(left, 1),
        }
