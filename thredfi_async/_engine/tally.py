"""Counts what an API granted and refused, in the last second and since the last reaction."""

import math
from typing import Final, NamedTuple

from thredfi_async._engine.even_refusals import EvenRefusals, most_now, most_of

_SECOND: Final = 1.0
_LAST: Final = 100.0
_MOST_NOISE: Final = 0.1
"""The part of refusals up to which they may have nothing to do with how much is sent."""
_SOON: Final = 2.5
"""Seconds after a cut in which another one is soon: not so in company, where each cuts."""
_EACH: Final = 2
_FEWEST: Final = 10
_FALLEN: Final = 0.6
"""So many refusals apart from each other between two cuts on average, and so many in all, though the pace has fallen
to this part of what it was at the first, mean that."""
_COLLAPSED: Final = 0.02
"""So small a part of what was once granted in a second tells nothing: then it may be noise again before that ends."""
_MORE_THAN: Final = 0.9
"""Who then sends without a bound, and finds one below this part of that pace, is in company: it was no noise."""
_FORGOTTEN_AFTER: Final = 300.0


class Seen(NamedTuple):
    """What a tally counted.

    Args:
        granted: Requests that were granted since the last reaction.
        refused: Requests that were refused since then.
        rate: Requests that were granted in the last second.
    """

    granted: int
    refused: int
    rate: float


class Tally:
    """What was granted and refused lately; and which part is refused however little is sent.

    An API may refuse a few requests at random: after so many each, whatever the pace. To slow down does not help then,
    while an API with a limit refuses none at half the pace, and in company few. So if cuts soon after each other do not
    help, that part counts as noise for five minutes. So does a larger part that is the same at a much slower pace,
    unless more is refused once more is sent.

    Attributes:
        granted: Requests that were granted since the last reaction.
    """

    __slots__ = (
        "_apart",
        "_before",
        "_began",
        "_even",
        "_first",
        "_is_row",
        "_lost",
        "_missing",
        "_noise",
        "_noise_ends",
        "_now",
        "_peak",
        "_recent",
        "_refused",
        "_refuted_above",
        "_sent",
        "_tested",
        "_tolerated",
        "granted",
    )

    def __init__(self) -> None:
        """Start without any."""
        self.granted = self._refused = self._apart = 0
        self._is_row = False
        self._began = 0.0
        self._now = self._before = 0
        # The most that was granted in a second.
        self._peak = 0
        self._even = EvenRefusals()
        # The part of the last requests that was refused.
        self._recent = 0.0
        self._noise, self._noise_ends = 0.0, -math.inf
        # Which part is taken for noise, and which refutes it.
        self._tolerated = self._refuted_above = math.inf
        # Of cuts soon after each other: the pace at the first, and what was sent and refused since then.
        self._first, self._sent, self._lost = 0.0, 0, 0
        # The first of them after which cuts were of no help, until that was put to the test.
        self._tested = 0.0

    def grant(self, now: float, count: int = 1) -> None:
        """Count requests that were granted."""
        self.granted += count
        self._is_row = self._is_row and not count
        self._recent *= (1.0 - 1.0 / _LAST) ** count
        self._even.grant(count)
        self._roll(now)
        self._now += count

    def refuse(self) -> None:
        """Count a request that was refused."""
        self._refused += 1
        self._apart += not self._is_row
        self._is_row = True
        self._recent += (1.0 - self._recent) / _LAST
        self._even.refuse()

    def rate(self, now: float) -> float:
        """Return the requests that were granted in the last second."""
        self._roll(now)
        return self._now + self._before * max(0.0, 1.0 - (now - self._began) / _SECOND)

    def seen(self, now: float) -> Seen:
        """Return what was counted."""
        return Seen(self.granted, self._refused, self.rate(now))

    def is_noise(self, now: float) -> bool:
        """Return whether no more is refused than there is anyhow."""
        goes_on = self.is_doubtful and 0.0 < self._noise <= 2.0 * self._recent
        if goes_on and now <= self._noise_ends + _FORGOTTEN_AFTER:
            self._noise_ends = max(self._noise_ends, now)  # otherwise it would have been refuted
        if now > self._noise_ends or self._even.now > self._refuted_above:
            self._noise = 0.0
        return self._noise > 0.0 and self._recent <= self._tolerated

    @property
    def is_doubtful(self) -> bool:
        """Whether what is taken for noise may be company."""
        return self._refuted_above < math.inf

    def cut(self, now: float, pace: float, since: float, *, is_told: bool = False) -> bool:
        """Note that less will be sent from now on, and return whether that is known to be of no help.

        Args:
            now: The current time.
            pace: The pace at which it was refused.
            since: Seconds since the last cut; infinite if a refusal was to be expected.
            is_told: Whether the API says when to come back, as a limit does; while all wait, the pace is none.
        """
        sent, refused, apart = self.granted + self._refused, self._refused, self._apart
        self.granted = self._refused = self._apart = 0
        even = None if is_told else self._even.compare(now, pace, sent, refused, apart)
        if even is not None and (now >= self._noise_ends or pace <= _COLLAPSED * self._peak):
            self._is_noise_of(even.part, now, pace, even.total)
            self._refuted_above = most_now(even)
            return True
        if since > _SOON or self._first == 0.0:
            self._first, self._sent, self._lost, self._missing = pace if since <= _SOON else 0.0, 0, 0, 0
            return False
        self._sent += sent
        self._lost += refused
        self._missing += _EACH - apart
        part = self._lost / self._sent
        if (
            self._missing > 0
            or pace > _FALLEN * self._first
            or self._lost < _FEWEST
            or part > _MOST_NOISE
            or now < self._noise_ends
        ):
            return False
        self._is_noise_of(part, now, self._first)
        self._refuted_above = math.inf
        return True

    def _is_noise_of(self, part: float, now: float, tested: float, count: float = math.inf) -> None:
        self._noise, self._tolerated = part, most_of(part, _LAST, count)
        self._noise_ends, self._tested = now + _FORGOTTEN_AFTER, tested

    def found(self, top: float) -> None:
        """Note what is granted, found out since cuts were of no help: no more than before them refutes that."""
        if top < _MORE_THAN * self._tested:
            self._noise = 0.0
        self._tested = 0.0

    def _roll(self, now: float) -> None:
        passed = now - self._began
        if passed >= _SECOND:
            self._before = self._now if passed < 2 * _SECOND else 0
            self._peak = max(self._peak, self._now)
            self._now = 0
            self._began = now if passed >= 2 * _SECOND else self._began + _SECOND
