"""Tells from refusals whether an API bounds how many requests are in flight, and where."""

import math
from typing import Final

from thredfi_async._engine.bound import Bound

_USUAL: Final = 31
"""Requests over which the usual number in flight is averaged."""
_FAR: Final = 1.5
_GAPS: Final = 3
"""So many refusals in a row, each with so many times more in flight than usual, mean that their number is bounded."""
_FEWEST: Final = 2.0
"""Requests at once to which those narrow the bound at most that were in flight when it was found."""
_HELD_FOR: Final = 1.0
"""Seconds that a bound must have been in use before a refusal within it may be one that came late."""


class AtOnce:
    """How many requests the API serves at once, if that is what it bounds.

    If it is, no request is refused that was sent with as few in flight as one that was granted.

    Args:
        bound: Where the bound is.

    Attributes:
        flight: Reactions until now.
        seen: The most in flight with which a request was granted since the last reaction.
        usual: The mean of how many are in flight with a request that is granted.
    """

    __slots__ = ("_bound", "_gap", "_gaps", "_has_missed", "flight", "seen", "usual")

    def __init__(self, bound: Bound) -> None:
        """Start without a bound."""
        self._bound = bound
        self.flight = self.seen = 0
        self._has_missed = False
        self.usual = 0.0
        self._gaps, self._gap = 0, math.inf

    def granted(self, in_flight: int) -> None:
        """Note how many were in flight with a request that was granted."""
        self.seen = max(self.seen, in_flight)
        self.usual += (in_flight - self.usual) / _USUAL

    def explains(self, flight: int, sent_with: int, now_with: int, *, is_paced: bool) -> bool:
        """Return whether the number of requests in flight explains a refusal, and learn from it.

        Args:
            flight: Reactions when it was sent.
            sent_with: Requests in flight when it was sent.
            now_with: Those when it was refused.
            is_paced: Whether refusals have been explained by a rate since.
        """
        bound, count = self._bound, float(max(sent_with, now_with))
        if is_paced:
            return self._is_gap(float(sent_with))
        if flight != self.flight and bound.is_known:
            # Of those that were in flight at the first refusal, the others were granted.
            bound.top = max(_FEWEST, bound.top - 1.0)
            return True
        if not bound.is_known:
            if count <= self.seen:
                return False
        elif count > max(1.0, math.floor(bound.rest)):
            self._has_missed = False
        elif bound.time > _HELD_FOR and not self._has_missed:
            self._has_missed = True
        else:
            bound.forget()
            return False
        self._found(count)
        return True

    def _is_gap(self, count: float) -> bool:
        # A client that was busy when it opened has taken what was bounded for a rate.
        self._gap = min(self._gap, count) if count > _FAR * self.usual + 1.0 else math.inf
        self._gaps = self._gaps + 1 if self._gap != math.inf else 0
        if self._gaps < _GAPS:
            return False
        self._found(self._gap)
        self._gaps, self._gap = 0, math.inf
        return True

    def _found(self, count: float) -> None:
        self._bound.found(count)
        self.flight += 1
        self.seen = 0
