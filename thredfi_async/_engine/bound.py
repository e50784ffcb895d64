"""One bound that an API may have, of requests a second or at once: what is known of it, and how it is used."""

import math
from collections.abc import Callable
from typing import Final

_SITS_AT: Final = 0.987
"""The part of the known top to stay at between probes."""
_DIP: Final = 0.93
"""The part to continue at after a probe was refused, so that the API's bucket fills again."""
_CUT: Final = 0.85
"""The part to continue at after an unexpected refusal: others share the limit, or it has become lower."""
_QUICK_CUT: Final = 0.6
"""The part to continue at after an unexpected refusal soon after the last one: the limit is far lower."""
_SOON: Final = 1.5
"""Seconds in use within which a refusal is soon."""
_RECOVERS_IN: Final = 3.5
"""Seconds in which it comes back from such a part, or half a period if that is less."""
_SHORTEST: Final = 7.0
"""Seconds between probes in company, for each second of Retry-After once more: a refusal costs that much."""
_AT_FIRST: Final = 20.0
"""Seconds from the search to the first probe."""
_TRUST: Final = 4.0
"""By how much the period grows with each probe that is refused where that was expected: the limit stands firm."""
_LONGEST: Final = 20.0
_COSTS: Final = 40.0
"""The longest period is 20 s, or 10 s and 40 times the Retry-After, since a probe costs as much as it says."""
_VARIES: Final = 0.3
"""By which part periods differ at random, so that clients do not probe together."""
_CLIMB: Final = 0.035
"""By how much it climbs in half a period, for a start; it accelerates as a cubic curve does."""
_BELIEVES: Final = 0.1
"""After so much more without a refusal, the limit has risen: then it doubles."""
_REACHED: Final = 1.2
"""Half periods after which that is so."""
_DOUBLES_IN: Final = 3.0
_STEPS: Final = 32
_NO_TIME: Final = 1e-3
_MOST_DOUBLINGS: Final = 60.0
_MOST_HELD: Final = 10.0


class Bound:
    """A bound that was found by refusals, and the curve by which it is used and probed.

    After a refusal it dips, comes back to just below the top, stays there for half a period, and then climbs slowly
    until it is refused again. A refusal while it climbs is expected: the period grows. One before is not: someone else
    uses the same limit, or it fell, and the period becomes short. So a client that is alone probes seldom, and those in
    company find their shares. Time counts only while the bound is what holds requests back, so it outlives pauses.

    Args:
        vary: Returns a number from 0 to 1 at random.

    Attributes:
        top: Where the API refused; infinite while no bound is known.
        time: Seconds in use since then.
        is_search: Whether it is still looked for, by doubling.
        doubles_in: Seconds in which a search doubles.
    """

    __slots__ = ("_has_settled", "_part", "_period", "_planned", "_vary", "doubles_in", "is_search", "time", "top")

    def __init__(self, vary: Callable[[], float]) -> None:
        """Start without a bound."""
        self._vary = vary
        self._part = _DIP
        self._planned = self._period = _SHORTEST
        self._has_settled = False
        self.top = math.inf
        self.time = 0.0
        self.is_search = False
        self.doubles_in = 1.0

    @property
    def is_known(self) -> bool:
        """Whether there is a bound, though it may still be searched for."""
        return self.top != math.inf

    @property
    def level(self) -> float:
        """How much is allowed now."""
        return self.at(self.time)

    @property
    def rest(self) -> float:
        """How much is allowed between probes."""
        return self.top * _SITS_AT

    def at(self, time: float) -> float:
        """Return how much is allowed after so many seconds in use."""
        if self.top == math.inf:
            return math.inf
        if self.is_search:
            return float(self.top * 2.0 ** min(time / self.doubles_in, _MOST_DOUBLINGS))
        rest, half = self.rest, self._period / 2
        if time < half:
            return rest - (rest - self._part * self.top) * max(0.0, 1.0 - time / min(half, _RECOVERS_IN)) ** 3
        climbed = (time - half) / half
        more = _CLIMB * (climbed + climbed**3)
        if more <= _BELIEVES:
            return rest * (1.0 + more)
        doublings = max(0.0, time - half * (1.0 + _REACHED)) / _DOUBLES_IN
        return float(rest * (1.0 + _BELIEVES) * 2.0 ** min(doublings, _MOST_DOUBLINGS))

    def is_expected(self, time: float) -> bool:
        """Return whether a refusal was to be expected at this time."""
        return not self.is_search and time >= self._period / 2

    def sustained(self, time: float, burst: float) -> float:
        """Return the most that the API has granted for long until this time.

        Args:
            time: When it refused.
            burst: Seconds of its rate that it may have granted beyond it, since its bucket was full.
        """
        most = total = 0.0
        step = max(time, _NO_TIME) / _STEPS
        for number in range(1, _STEPS + 1):
            total += self.at(time - (number - 0.5) * step) * step
            most = max(most, total / (number * step + burst))
        return most

    def beyond(self, time: float, count: float, seconds: float) -> float:
        """Return the most that the API has granted until this time beyond a burst of so many in so many seconds."""
        most = total = 0.0
        step = max(time, _NO_TIME) / _STEPS
        for number in range(1, _STEPS + 1):
            total += self.at(time - (number - 0.5) * step) * step
            if number * step >= 2 * seconds and total >= 2 * count:
                most = max(most, (total - count) / (number * step - seconds))
        return most

    def climbed(self, time: float) -> float:
        """Return how many requests its climb until this time has tried beyond the rest, in seconds of the rest."""
        half = self._period / 2
        step = (time - half) / _STEPS
        return sum(self.at(half + (number + 0.5) * step) - self.rest for number in range(_STEPS)) * step / self.rest

    def search(self, start: float) -> None:
        """Look for the bound from here on."""
        self.is_search, self.top, self.time = True, start, 0.0

    def found(self, top: float, hold: float = 0.0) -> None:
        """End the search, or correct its result."""
        self.is_search, self._has_settled = False, False
        self._react(top, _DIP, _AT_FIRST, hold)

    def refused(self, time: float, top: float, hold: float = 0.0) -> None:
        """Learn from a refusal.

        Args:
            time: The time in use at which the refused request was sent.
            top: Where the bound seems to be.
            hold: Seconds that the API asks to wait.
        """
        if self.is_expected(time):
            part, period = _DIP, self._planned * _TRUST
        else:
            part = _CUT if time > _SOON else _QUICK_CUT
            period = _SHORTEST * (1.0 + min(hold, _MOST_HELD)) if self._has_settled else _AT_FIRST
        self._has_settled = True
        self._react(top, part, period, hold)

    def forget(self) -> None:
        """Have no bound any more."""
        self.top, self.time, self.is_search = math.inf, 0.0, False

    def _react(self, top: float, part: float, period: float, hold: float) -> None:
        self.top, self._part, self.time = top, part, 0.0
        self._planned = min(period, max(_LONGEST, _LONGEST / 2 + _COSTS * hold))
        self._period = self._planned * (1.0 - _VARIES / 2 + _VARIES * self._vary())
