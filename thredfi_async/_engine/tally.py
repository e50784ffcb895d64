"""Counts what an API granted and refused, in the last second and since the last reaction."""

from typing import Final

_SECOND: Final = 1.0
_SPARE: Final = 3
_MORE: Final = 0.02
_MOST_NOISE: Final = 0.1
"""The part of refusals up to which they may have nothing to do with how much is sent."""
_STREAK: Final = 4
"""Cuts in a row that did not help, after which that is so."""
_FALLEN: Final = 0.6
"""The part of the pace at the first of them that is left by then."""
_SAMPLES: Final = 100
_FEWEST: Final = 3
_FORGOTTEN_AFTER: Final = 300.0


class Tally:
    """What was granted and refused lately; and which part is refused however little is sent.

    An API may refuse a few requests at random. To slow down does not help then: after four cuts in a row after which
    the same part was refused as before, that part counts as noise for five minutes.

    Attributes:
        granted: Requests that were granted since the last reaction.
        refused: Requests that were refused since then.
    """

    __slots__ = (
        "_before",
        "_began",
        "_first",
        "_noise",
        "_noise_ends",
        "_now",
        "_pace",
        "_streak",
        "granted",
        "refused",
    )

    def __init__(self) -> None:
        """Start without any."""
        self.granted = self.refused = 0
        self._began = 0.0
        self._now, self._before = [0, 0], (0, 0)
        self._noise = self._noise_ends = 0.0
        self._streak, self._first, self._pace = 0, 0.0, 0.0

    def grant(self, now: float, count: int = 1) -> None:
        """Count requests that were granted."""
        self.granted += count
        self._roll(now)
        self._now[0] += count

    def refuse(self, now: float) -> None:
        """Count a request that was refused."""
        self.refused += 1
        self._roll(now)
        self._now[1] += 1

    def rate(self, now: float) -> float:
        """Return the requests that were granted in the last second."""
        self._roll(now)
        return self._now[0] + self._before[0] * max(0.0, 1.0 - (now - self._began) / _SECOND)

    def is_noise(self, now: float) -> bool:
        """Return whether no more is refused than there is anyhow."""
        if now > self._noise_ends:
            self._noise = 0.0
        granted, refused = (self._now[index] + self._before[index] for index in (0, 1))
        return self._noise > 0.0 and refused <= _SPARE + (2 * self._noise + _MORE) * (granted + refused)

    def cut(self, now: float, pace: float, *, soon: bool) -> bool:
        """Note that less will be sent from now on, and return whether that is known to be of no help.

        Args:
            now: The current time.
            pace: The pace at which it was refused.
            soon: Whether the last cut was a moment ago, and the API gave no Retry-After.
        """
        total, part = self.granted + self.refused, self.refused / max(1, self.granted + self.refused)
        if not soon or total < _SAMPLES or self.refused < _FEWEST:
            self._streak = 0
        else:
            self._streak += 1
            if self._streak == 1:
                self._first, self._pace = part, pace
        self.granted = self.refused = 0
        has_fallen = pace <= _FALLEN * self._pace
        if self._streak < _STREAK or not has_fallen or not self._first / 2 <= part <= _MOST_NOISE:
            return False
        self._noise, self._noise_ends, self._streak = part, now + _FORGOTTEN_AFTER, 0
        return True

    def _roll(self, now: float) -> None:
        passed = now - self._began
        if passed >= _SECOND:
            self._before = (self._now[0], self._now[1]) if passed < 2 * _SECOND else (0, 0)
            self._now = [0, 0]
            self._began = now if passed >= 2 * _SECOND else self._began + _SECOND
