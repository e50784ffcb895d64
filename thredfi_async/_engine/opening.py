"""How many requests may be in flight at first, while nothing is known of an API's limits."""

import math
from typing import Final

_WITH: Final = 10.0
"""Requests that may be in flight at first; each that is granted allows another one."""
_IN: Final = 0.01
"""And after so many seconds another one, so that an API that answers slowly does not hold up the opening."""
_WAITS_FOR: Final = 0.1
"""Seconds in which the first answers alone allow more."""


class Opening:
    """An opening, which ends with as many as there may be at all.

    Args:
        limit: Requests in flight at most.

    Attributes:
        level: Requests that may be in flight.
        opens: When one more may be; not a number before the first was sent.
    """

    __slots__ = ("_limit", "level", "opens")

    def __init__(self, limit: int) -> None:
        """Begin."""
        self._limit = limit
        self.level, self.opens = _WITH, math.nan

    @property
    def is_over(self) -> bool:
        """Whether it holds nothing back any more."""
        return self.level >= self._limit

    def allowed(self, now: float) -> float:
        """Return how many requests may be in flight, and begin to count the time if the first is sent now."""
        if math.isnan(self.opens):
            self.opens = now + _WAITS_FOR
        return self.level

    def grant(self) -> None:
        """Allow one more."""
        if self.level < self._limit:
            self.level += 1.0

    def rings(self, now: float) -> None:
        """Note that a timer of the loop has expired: a busy loop, which handles no answers, would open too far."""
        if self.level < self._limit and now >= self.opens:
            is_late = now - self.opens > _WAITS_FOR
            self.level += not is_late
            self.opens = now + (_WAITS_FOR if is_late else _IN)

    def begin(self, then: float = math.nan) -> None:
        """Begin anew at that time; with the next request by default."""
        self.level, self.opens = _WITH, then + _IN

    def end(self) -> None:
        """Hold nothing back any more."""
        self.level = math.inf
