"""Tells from refusals whether an API bounds how many requests are in flight, and where."""

import math
from typing import Final

from thredfi_async._engine.bound import Bound

_USUAL: Final = 31
"""Requests over which the usual number in flight is averaged."""
_ALIKE: Final = 3
_ABOVE: Final = 0.1
"""So many refusals in a row with the same number in flight, and at most this part of what is granted meanwhile with as
many, mean that their number is bounded: a rate refuses whatever is in flight."""
_FEWEST: Final = 2.0
"""Requests at once to which those narrow the bound at most that were in flight when it was found."""
_HELD_FOR: Final = 1.0
"""Seconds of use in which a bound of requests at once settles."""


class AtOnce:
    """How many requests the API serves at once, if that is what it bounds.

    If it is, no request is refused that was sent with as few in flight as one that was granted.

    Args:
        bound: Where the bound is.

    Attributes:
        flight: Reactions until now.
        seen: The most in flight with which a request was granted since the last reaction.
        usual: The mean of how many are in flight with a request that is granted.
        is_unsettled: Whether the last refusal was of a request that was sent after the bound was found, in the first
            second of its use: then more of them would be refused.
    """

    __slots__ = (
        "_above",
        "_alike",
        "_bound",
        "_count",
        "_granted",
        "_has_missed",
        "_last",
        "flight",
        "is_unsettled",
        "seen",
        "usual",
    )

    def __init__(self, bound: Bound) -> None:
        """Start without a bound."""
        self._bound = bound
        self.flight = self.seen = 0
        self._has_missed = self.is_unsettled = False
        self.usual = self._last = 0.0
        # Of refusals in a row: with how many in flight, how often, and what was granted since the first.
        self._count = math.inf
        self._alike = self._granted = self._above = 0

    def granted(self, in_flight: int) -> None:
        """Note how many were in flight with a request that was granted."""
        self.seen = max(self.seen, in_flight)
        self.usual += (in_flight - self.usual) / _USUAL
        self._granted += 1
        self._above += in_flight >= self._count

    def explains(self, flight: int, sent_with: int, now_with: int, *, is_paced: bool) -> bool:
        """Return whether the number of requests in flight explains a refusal, and learn from it.

        Args:
            flight: Reactions when it was sent.
            sent_with: Requests in flight when it was sent.
            now_with: Those when it was refused.
            is_paced: Whether refusals have been explained by a rate since.
        """
        bound, count = self._bound, float(max(sent_with, now_with))
        self.is_unsettled = False
        if count <= 1:
            return False  # an API that serves none at once serves no one: its rate is bounded, or it is busy
        if is_paced:
            return self._is_alike(float(sent_with))
        if flight != self.flight and bound.is_known:
            # Of those that were in flight at the first refusal, the others were granted.
            bound.top = max(_FEWEST, bound.top - 1.0)
            return True
        if not bound.is_known:
            if count <= self.seen:
                return False
        elif count > max(1.0, math.floor(bound.rest)):
            self._has_missed = self._has_missed and count != self._last
            self.is_unsettled = bound.time <= _HELD_FOR
        elif not self._has_missed:
            self._has_missed = True
        else:
            bound.forget()
            return False
        # At first a rate may look alike.
        self._found(count, is_sure=count == self._last)
        return True

    def _is_alike(self, count: float) -> bool:
        # A client that was busy when it opened has taken what was bounded for a rate.
        if count != self._count or self._above > _ABOVE * self._granted:
            self._count = count
            self._alike = self._granted = self._above = 0
        self._alike += 1
        if self._alike < _ALIKE:
            return False
        self._found(count)
        return True

    def _found(self, count: float, *, is_sure: bool = True) -> None:
        self._bound.found(count, is_sure=is_sure)
        self._last = count
        self.flight += 1
        self.seen = 0
        self._count = math.inf
