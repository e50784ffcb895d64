"""Progress and speed of a run: what is counted, and a snapshot of it."""

from collections import Counter, deque
from collections.abc import Mapping
from typing import Final

import attrs

from thredfi_async._jobs.states import ItemState

_KEPT: Final = 10_000


@attrs.frozen(kw_only=True)
class Snapshot:
    """A snapshot of a run; counts are of this session.

    Args:
        done: Items with an outcome.
        by_state: The same by state.
        duplicates: Items that came again, and were sent once.
        skipped: Items that an earlier session had brought to a final state.
        invalid_lines: Invalid lines of the source, as far as they were reported to the run.
        in_flight: Items in flight.
        waiting: Items that were read and wait for their turn, or for another try.
        concurrency: Items that may be in flight at once.
        cooldown: Seconds until the next probe, while the API is unavailable.
        paused: Whether only probes are sent.
        requests: Requests that were sent, for all items.
        retries: Those of them that repeated one before. A question about a record repeats none.
        rate: Outcomes a second, over the last seconds.
        p50_ms: Milliseconds that half the calls of the last second took at most; None without any.
        p90_ms: The same for nine tenths.
        p99_ms: The same for all but a hundredth.
    """

    done: int = 0
    by_state: Mapping[ItemState, int] = attrs.field(factory=dict[ItemState, int])
    duplicates: int = 0
    skipped: int = 0
    invalid_lines: int = 0
    in_flight: int = 0
    waiting: int = 0
    concurrency: int = 0
    cooldown: float = 0.0
    paused: bool = False
    requests: int = 0
    retries: int = 0
    rate: float = 0.0
    p50_ms: int | None = None
    p90_ms: int | None = None
    p99_ms: int | None = None


class Metrics:
    """Counts outcomes and requests, and measures over the last second.

    Attributes:
        by_state: Outcomes by state.
        done: All outcomes.
        duplicates: Items that came again.
        skipped: Items that were final before.
        requests: Requests that were sent.
        retries: Those of them that repeated one before.
        percentiles: Milliseconds of the last second's calls: p50, p90, p99.
    """

    def __init__(self) -> None:
        """Begin at zero."""
        self.by_state: Counter[ItemState] = Counter()
        self.done: int = 0
        self.duplicates: int = 0
        self.skipped: int = 0
        self.requests: int = 0
        self.retries: int = 0
        self.percentiles: tuple[int | None, int | None, int | None] = (None, None, None)
        self._elapsed: deque[float] = deque(maxlen=_KEPT)
        self._ticks: deque[tuple[float, int]] = deque(maxlen=6)

    def count(self, state: ItemState, elapsed: float | None) -> None:
        """Count an outcome, and the seconds that its calls took; None if there were none."""
        self.done += 1
        self.by_state[state] += 1
        if elapsed is not None:
            self._elapsed.append(elapsed)

    def sent(self, requests: int, retries: int) -> None:
        """Count the requests of one call, and how many of them repeated one before."""
        self.requests += requests
        self.retries += retries

    def tick(self, now: float) -> None:
        """Begin another second."""
        self._ticks.append((now, self.done))
        times = sorted(self._elapsed)
        self._elapsed.clear()
        if times:
            p50, p90, p99 = (round(times[int(part * (len(times) - 1))] * 1000) for part in (0.5, 0.9, 0.99))
            self.percentiles = p50, p90, p99
        else:
            self.percentiles = None, None, None

    def rate(self, now: float) -> float:
        """Return the outcomes a second, over the last seconds."""
        if not self._ticks:
            return 0.0
        since, before = self._ticks[0]
        return (self.done - before) / (now - since) if now > since else 0.0
