"""One bound that an API may have, of requests a second or at once: what is known of it, and how it is used."""

import math
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

_SITS_AT: Final = 0.987
"""Alone: the part of the known top to stay at between probes."""
_DIP: Final = 0.93
"""The part to continue at after a probe was refused, so that the API's bucket fills again."""
_RECOVERS_IN: Final = 3.5
"""Seconds in which it comes back from there, or half a period if that is less."""
_PERIOD: Final = 20.0
_COSTS: Final = 60.0
"""Seconds between probes; or half of them and so many times the Retry-After, since a probe costs as much as it says."""
_UNSURE: Final = 2.0
"""The same for a bound that may be none."""
_FIRST_COSTS: Final = 20.0
"""The same after a search, whose result is not sure yet."""
_DOUBTED_IN: Final = 10.0
"""The same, and so many seconds for each of Retry-After, if it may not be alone, since it was refused soon after
the search, or alike in company: the next probe will tell."""
_CLIMB: Final = 0.035
"""By how much it climbs in half a period, for a start; it accelerates as a cubic curve does."""
_BELIEVES: Final = 0.1
_REACHED: Final = 1.2
"""After so much more without a refusal, so many half periods later, the limit has risen: then it doubles."""
_DOUBLES_IN: Final = 1 / 7
"""Of a period."""
_SHARES_IN: Final = 7.0
_SHARES_COST: Final = 7.0
"""In company: the seconds in which a share grows, and how many times the Retry-After more."""
PAUSES: Final = 1.0
"""Seconds of Retry-After from which on a refusal costs more than itself, and the bucket fills again meanwhile."""
_CUT: Final = 0.9
_CUT_BY_PAUSE: Final = 0.87
"""The part that a refusal leaves of a share; with such a pause the second."""
_GROWS: Final = 1.4
"""By how much a share of one request a second grows; one of n by the root of n times as much, so that shares meet."""
_LEAST_GROWTH: Final = 0.03
_MOST_GROWTH: Final = 0.3
_SAME: Final = 0.03
_ALIKE: Final = 2
"""Alone an API refuses at the same level again, up to this part, so often; in company, wherever the others are."""
_EARLY: Final = 5.0
"""Seconds in which a refusal after a search means company; later ones correct what the search found."""
_EXCUSED: Final = 2
_NOT_AT_ONCE: Final = 1.5
_YIELDS: Final = 0.985
"""With a Retry-After, so many refusals in a row between probes may be accidents, as of an API that halted for a moment
and then found too many in its window, unless they come within so many seconds: each leaves this part of the top."""
_MOST_HELD: Final = 10.0
"""Seconds of Retry-After that count; it may be far too long."""
_REQUESTS: Final = 20.0
_SLOWEST: Final = 300.0
"""So many requests pass from probe to probe at least, unless that takes longer than so many seconds."""
_VARIES: Final = 0.3
"""By which part periods differ at random, so that clients do not probe together."""
_STEPS: Final = 32
_NO_TIME: Final = 1e-3
_MOST_DOUBLINGS: Final = 60.0


class Bound:
    """A bound that was found by refusals, and the curve by which it is used and probed.

    Who is alone at an API uses it best by staying just below the top for half a period, and then climbing until it is
    refused again. Clients in company find fair shares only if each grows until it is refused, the small ones faster,
    and then cuts. Where the API refuses tells them apart: alone it is always the same level, reached in a climb; in
    company it is where the others happen to be. Time counts only while the bound is what holds requests back, so it
    outlives pauses.

    Args:
        vary: Returns a number from 0 to 1 at random.

    Attributes:
        top: Where the API refused, or the share that was left; infinite while no bound is known.
        time: Seconds in use since then.
        is_search: Whether it is still looked for, by doubling.
        is_alone: Whether no one else seems to use the API.
        doubles_in: Seconds in which a search doubles.
    """

    __slots__ = (
        "_accidents",
        "_alike",
        "_is_doubted",
        "_is_new",
        "_last",
        "_period",
        "_vary",
        "doubles_in",
        "is_alone",
        "is_search",
        "time",
        "top",
    )

    def __init__(self, vary: Callable[[], float]) -> None:
        """Start without a bound."""
        self._vary = vary
        self._period, self._last, self._is_new = _PERIOD, math.inf, False
        # Refusals in a row: between probes; in company, at the same level.
        self._accidents = self._alike = 0
        # Whether it is taken for alone, but may not be.
        self._is_doubted = False
        self.top: float = math.inf
        self.time: float = 0.0
        self.is_search: bool = False
        self.is_alone: bool = True
        self.doubles_in: float = 1.0

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
        if self.is_alone:
            return self._alone(time)
        part = time / self._period
        growth = min(_MOST_GROWTH, max(_LEAST_GROWTH, _GROWS / math.sqrt(self.top)))
        return self.top * (1.0 + growth * (part + part**3 / 2))

    def _alone(self, time: float) -> float:
        rest, half = self.rest, self._period / 2
        if time < half:
            return rest - (rest - _DIP * self.top) * max(0.0, 1.0 - time / min(half, _RECOVERS_IN)) ** 3
        climbed = (time - half) / half
        more = _CLIMB * (climbed + climbed**3)
        if more <= _BELIEVES:
            return rest * (1.0 + more)
        doublings = max(0.0, time - half * (1.0 + _REACHED)) / (_DOUBLES_IN * self._period)
        return float(rest * (1.0 + _BELIEVES) * 2.0 ** min(doublings, _MOST_DOUBLINGS))

    def is_expected(self, time: float) -> bool:
        """Return whether a refusal was to be expected at this time, since it probed alone."""
        return not self.is_search and self.is_alone and time >= self._period / 2

    def sustained(self, time: float, burst: float) -> float:
        """Return the most that the API has granted for long until this time.

        Args:
            time: When it refused.
            burst: Seconds of its rate that it may have granted beyond it, since its bucket was full.
        """
        return max(total / (seconds + burst) for seconds, total in self._before(time))

    def beyond(self, time: float, count: float, seconds: float) -> float:
        """Return the most that the API has granted until this time beyond a burst of so many in so many seconds."""
        rates = [
            (total - count) / (passed - seconds)
            for passed, total in self._before(time)
            if passed >= 2 * seconds and total >= 2 * count
        ]
        return max(rates, default=0.0)

    def _before(self, time: float) -> Iterator[tuple[float, float]]:
        """Yield growing stretches of time until this one, and how much was allowed in each."""
        total = ended = 0.0
        for number in range(1, _STEPS + 1):
            began = max(time, _NO_TIME) * (number / _STEPS) ** 3
            total += self.at(time - (began + ended) / 2) * (began - ended)
            ended = began
            yield began, total

    def climbed(self, time: float) -> float:
        """Return how many requests its climb until this time has tried beyond the rest, in seconds of the rest."""
        half = self._period / 2
        step = (time - half) / _STEPS
        return sum(self.at(half + (number + 0.5) * step) - self.rest for number in range(_STEPS)) * step / self.rest

    def search(self, start: float, doubles_in: float | None = None) -> None:
        """Look for the bound from here on; by default it doubles as before."""
        self.is_search, self.top, self.time = True, start, 0.0
        self.doubles_in = doubles_in or self.doubles_in

    def found(self, top: float, hold: float = 0.0, *, is_sure: bool = True) -> None:
        """End the search, or correct what is known; probe it soon if that is not sure."""
        self.is_search, self._is_new, self.is_alone, self._is_doubted = False, True, True, False
        self._react(top, hold)
        if not is_sure:
            self._period = _UNSURE

    def refused(self, time: float, top: float, hold: float = 0.0) -> None:
        """Learn from a refusal.

        Args:
            time: The time in use at which the refused request was sent.
            top: Where the bound seems to be.
            hold: Seconds that the API asks to wait.
        """
        if self.is_alone:
            is_accident = not self.is_expected(time) and not (self._is_new and time >= _EARLY)
            self._accidents = self._accidents + 1 if is_accident else 0
            is_excused = hold > 0.0 and time >= _NOT_AT_ONCE and self._accidents <= _EXCUSED
            self.is_alone, self._alike = not is_accident or is_excused, 0
            self._is_doubted = is_accident and self._is_new
            if is_accident and is_excused and not self._is_new:
                top *= _YIELDS
        else:
            self._accidents = 0
            self._alike = self._alike + 1 if abs(top - self._last) <= _SAME * self._last else 0
            self.is_alone = self._is_doubted = self._alike >= _ALIKE
        self._is_new = False
        self._react(top, hold)

    def retract(self, before: "Bound") -> None:
        """Know again what was known before a refusal, unless more is allowed now."""
        if before.level > self.level:
            for name in self.__slots__:
                setattr(self, name, getattr(before, name))

    def forget(self) -> None:
        """Have no bound any more."""
        self.top, self.time, self.is_search = math.inf, 0.0, False

    def _react(self, top: float, hold: float) -> None:
        held = min(hold, _MOST_HELD)
        if self._is_doubted:
            alone = _DOUBTED_IN * (1.0 + held)
        else:
            alone = max(_PERIOD, _PERIOD / 2 + (_FIRST_COSTS if self._is_new else _COSTS) * held)
        shared = _SHARES_IN + _SHARES_COST * held
        period = max(alone if self.is_alone else shared, min(_SLOWEST, _REQUESTS / top))
        self._period = period * (1.0 - _VARIES / 2 + _VARIES * self._vary())
        left = 1.0 if self.is_alone else _CUT_BY_PAUSE if hold >= PAUSES else _CUT
        self.top, self._last, self.time = top * left, top, 0.0


class Known(NamedTuple):
    """What was known before a refusal.

    Args:
        pace: Of the rate.
        window: Of the number of requests at once.
    """

    pace: Bound
    window: Bound
