"""Learns from throttling how many requests a second the API can take."""

import math
from typing import Final

_BACK_TO: Final = 0.8
"""The fraction of the measured rate to continue at."""
_ADDED: Final = 10.0
"""Added to the rate each second, whatever it is, so that clients with a common limit converge to equal shares."""
_GROWN: Final = 0.02
"""The fraction of itself that the rate grows by each second, so that a rate learned in a bad minute soon passes."""
_LESSON: Final = 5.0
"""Seconds between two lessons, so that an API that refuses now and then at any rate does not slow us too much."""
_BRIEFEST: Final = 0.5
"""Seconds between lessons if more than one request in ten is refused."""
_OFTEN: Final = 0.1
_BURST: Final = 0.02
"""Seconds' worth of missed slots to catch up on: timers are not exact, and calls do not arrive evenly."""
_SLOWEST: Final = 1.0
_FORGOTTEN_AFTER: Final = 60.0


class LearnedRate:
    """Spaces slots out once the API has throttled twice.

    A window limits the requests in flight, and with an API that answers in 2 ms even a window of one is 500 requests a
    second. So from the first throttling on, good answers are counted. From the second on, slots are given at a limited
    rate: a little less than what the API took between the two, growing until it throttles again. After a minute
    without throttling, the rate is forgotten.

    Args:
        now: The time of the first throttling, in monotonic seconds.
    """

    __slots__ = ("_borne", "_good", "_grows_from", "_learned_at", "_refused", "next")

    def __init__(self, now: float) -> None:
        """Start counting, without a rate."""
        self.next = -math.inf
        """When the next slot may be given."""
        self._borne: float | None = None
        self._learned_at = self._grows_from = now
        self._good = self._refused = 0

    def answered_well(self, now: float) -> bool:
        """Count a good answer; return whether the last throttling is long enough ago to be forgotten."""
        self._good += 1
        return now - self._learned_at > _FORGOTTEN_AFTER

    def throttled(self, now: float, resumes: float) -> None:
        """Count a refusal, and learn from it if the last lesson is long enough ago.

        Args:
            now: The current time.
            resumes: When the cooldown is over, if there is one; otherwise the current time.
        """
        self._refused += 1
        passed, often = now - self._learned_at, self._refused > _OFTEN * (self._good + self._refused)
        if passed < (_BRIEFEST if often else _LESSON):
            return
        # The time of a cooldown counts too: the rate right after one is more than the API can take for long.
        self._borne = max(_SLOWEST, self._good / passed)
        self._learned_at, self._good, self._refused = now, 0, 0
        self._grows_from = resumes

    def allowed(self, now: float) -> float | None:
        """Return the slots allowed per second; None while there is no rate."""
        if self._borne is None:
            return None
        # Each second adds `_ADDED + _GROWN * rate`, in closed form. Bounded, since after a night without a call the
        # exponential would be too large for a float.
        shift, grows_for = _ADDED / _GROWN, min(max(0.0, now - self._grows_from), _FORGOTTEN_AFTER)
        return (self._borne * _BACK_TO + shift) * math.exp(_GROWN * grows_for) - shift

    def take(self, now: float) -> None:
        """Count a slot that was given."""
        allowed = self.allowed(now)
        if allowed is not None:
            self.next = max(self.next, now - _BURST) + 1 / allowed
