"""Turns the outcomes of many workers into samples of the run's progress, like those of a bulk run."""

from collections import Counter
from collections.abc import Sequence

from thredfi_async.bulk import ItemState
from thredfi_async.bulk.journal import Outcome, Sample


class Tally:
    """Counts the outcomes that one session collects, by the time when they ended."""

    def __init__(self) -> None:
        self._counts: Counter[ItemState] = Counter()
        self._at = 0.0
        self._requests = 0

    def sample(self, outcomes: Sequence[Outcome], in_flight: int) -> Sample | None:
        """Count more outcomes.

        Args:
            outcomes: The next outcomes, in order.
            in_flight: Messages that workers hold right now.

        Returns:
            The state of the run at the latest outcome's time; None if that is not later than the last sample.
        """
        self._counts.update(outcome.state for outcome in outcomes)
        self._requests += sum(outcome.attempts for outcome in outcomes)
        ended = max((outcome.ended_at or 0.0 for outcome in outcomes), default=0.0)
        if ended <= self._at:
            return None
        self._at = ended
        elapsed = sorted(round(1000 * outcome.elapsed) for outcome in outcomes if outcome.elapsed is not None)
        return Sample(
            at=ended,
            done=self._counts.total(),
            archived=self._counts[ItemState.ARCHIVED],
            already_archived=self._counts[ItemState.ALREADY_ARCHIVED],
            rejected=self._counts[ItemState.REJECTED],
            failed=self._counts[ItemState.FAILED],
            unknown=self._counts[ItemState.UNKNOWN],
            in_flight=in_flight,
            concurrency=in_flight,
            requests=self._requests,
            retries=0,
            cooldown=0.0,
            paused=False,
            p50_ms=_percentile(elapsed, 0.50),
            p90_ms=_percentile(elapsed, 0.90),
            p99_ms=_percentile(elapsed, 0.99),
        )


def _percentile(ordered: Sequence[int], part: float) -> int | None:
    return ordered[min(int(part * len(ordered)), len(ordered) - 1)] if ordered else None
