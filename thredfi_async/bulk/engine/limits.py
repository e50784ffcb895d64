"""The settings of a scheduler, and how many items it holds."""

import random
from collections.abc import Callable
from typing import Final

import attrs

from thredfi_async.bulk.policy import StopPolicy

BATCH: Final = 256
"""Items that are read together."""
PARKED: Final = 8_192
"""Items of businesses in doubt that are held beside the window, so that others behind them are found and served."""


@attrs.frozen(kw_only=True)
class Limits:
    """The settings of a scheduler.

    Args:
        concurrency: Most calls in flight.
        stop: When to stop before the end.
        rate: Most calls that begin in a second; None for no limit.
        jitter: Draws a number from 0 to 1.
    """

    concurrency: int
    stop: StopPolicy
    rate: float | None = None
    jitter: Callable[[], float] = random.random

    @property
    def window(self) -> int:
        """Items that a run holds at most, from the input to the consumer, beside those of businesses in doubt."""
        return max(4 * BATCH, 4 * self.concurrency)
