"""How far a run has come at one moment, its rate, and the time that is left."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

LABELS: Final = {
    "archived": "archived",
    "already_archived": "archived already",
    "rejected": "rejected",
    "failed": "failed",
    "unknown": "unknown",
}
"""The label of each outcome, in display order."""


@dataclass(frozen=True, kw_only=True)
class Moment:
    """How far a run has come.

    Args:
        elapsed: Seconds since this process began to send.
        done: Items with an outcome, those of earlier runs on this journal among them.
        total: Items in all, or None if they were not counted.
        states: Items by outcome.
        in_flight: Items that are being sent.
        concurrency: Most items at a time, as the API's answers allow now.
        retries: Requests that were sent again.
        bad: Invalid lines.
        duplicates: Items that are listed more than once; each was sent once.
        cooldown: Seconds that the API has asked to wait.
        paused: Whether the API is unavailable, and only probes are sent.
        p50_ms: How long half of the latest calls took at most.
        p99_ms: How long all but a hundredth of them took at most.
    """

    elapsed: float
    done: int
    total: int | None = None
    states: Mapping[str, int] = field(default_factory=dict[str, int])
    in_flight: int = 0
    concurrency: int = 0
    retries: int = 0
    bad: int = 0
    duplicates: int = 0
    cooldown: float = 0.0
    paused: bool = False
    p50_ms: float | None = None
    p99_ms: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "elapsed": round(self.elapsed, 3),
            "done": self.done,
            "total": self.total,
            "states": {name: self.states.get(name, 0) for name in LABELS},
            "in_flight": self.in_flight,
            "concurrency": self.concurrency,
            "retries": self.retries,
            "invalid_lines": self.bad,
            "duplicates": self.duplicates,
            "cooldown": round(self.cooldown, 3),
            "paused": self.paused,
            "p50_ms": self.p50_ms,
            "p99_ms": self.p99_ms,
        }


class Pace:
    """The recent rate: over half a minute, so that it neither jumps nor depends on how the run began.

    Args:
        window: Seconds that it looks back.
    """

    def __init__(self, window: float = 30.0) -> None:
        """Begin without a rate."""
        self._window = window
        self._seen: deque[tuple[float, int]] = deque()

    def see(self, moment: Moment) -> None:
        """Note how far the run has come."""
        self._seen.append((moment.elapsed, moment.done))
        while len(self._seen) > 2 and self._seen[1][0] <= moment.elapsed - self._window:  # noqa: PLR2004 - two make a rate
            self._seen.popleft()

    @property
    def rate(self) -> float:
        """Items a second."""
        if not self._seen or self._seen[-1][0] == self._seen[0][0]:
            return 0.0
        (since, before), (now, done) = self._seen[0], self._seen[-1]
        return (done - before) / (now - since)

    def left(self, moment: Moment) -> float | None:
        """Return the seconds until the end at this rate, or None if that is unknown."""
        if moment.total is None or self.rate <= 0.0:
            return None
        return max(moment.total - moment.done, 0) / self.rate
