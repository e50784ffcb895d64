"""Requests a second that the API bears, learned from when it throttles."""

import math
from typing import Final

_BACK_TO: Final = 0.8
"""The part of the rate that it bore at which to go on."""
_ADDED: Final = 10.0
"""What a second adds to the rate, whatever it is: so clients that share a limit come to have equal shares of it."""
_GROWN: Final = 0.02
"""The part of itself that a second adds to it: so a rate that was learned in a bad minute is soon outgrown."""
_LESSON: Final = 5.0
"""Seconds between two lessons, so that an API which refuses now and then, at whatever rate, is not obeyed too much."""
_BRIEFEST: Final = 0.5
"""Seconds between them when more than one in ten is refused."""
_OFTEN: Final = 0.1
_BURST: Final = 0.02
"""Seconds' worth of slots that may be caught up on: timers are not exact, and calls do not arrive evenly."""
_SLOWEST: Final = 1.0
_FORGOTTEN_AFTER: Final = 60.0


class LearnedRate:
    """Spaces slots out, once the API has throttled twice.

    A window says how many requests may be under way together, and with an API that answers in 2 ms even a window of
    one is 500 requests a second. So from the first throttling on good answers are counted, and from the second on
    slots are given no faster than at a rate: a little less than what the API bore from one throttling to the next,
    growing from there until it throttles again. A minute without throttling, and the rate is forgotten.

    Args:
        now: The time of the first throttling, in monotonic seconds.
    """

    __slots__ = ("_borne", "_good", "_grows_from", "_learned_at", "_refused", "next")

    def __init__(self, now: float) -> None:
        """Start to count, without a rate."""
        self.next = -math.inf
        """When the next slot may be given."""
        self._borne: float | None = None
        self._learned_at = self._grows_from = now
        self._good = self._refused = 0

    def answered_well(self, now: float) -> bool:
        """Count a good answer; say whether throttling is long enough ago to be forgotten."""
        self._good += 1
        return now - self._learned_at > _FORGOTTEN_AFTER

    def throttled(self, now: float, resumes: float) -> None:
        """Count a refusal, and learn from it if it is time for that.

        Args:
            now: The time.
            resumes: When the cooldown is over, if there is one; else the time too.
        """
        self._refused += 1
        passed, often = now - self._learned_at, self._refused > _OFTEN * (self._good + self._refused)
        if passed < (_BRIEFEST if often else _LESSON):
            return
        # Cooldowns count too: what is let through after one is more than what would be borne for long.
        self._borne = max(_SLOWEST, self._good / passed)
        self._learned_at, self._good, self._refused = now, 0, 0
        self._grows_from = resumes

    def allowed(self, now: float) -> float | None:
        """Return the slots a second that are given; None while there is no rate."""
        if self._borne is None:
            return None
        # Each second adds `_ADDED + _GROWN * rate`, in closed form. After a night without a call the exponential
        # would be too large for a float.
        shift, grows_for = _ADDED / _GROWN, min(max(0.0, now - self._grows_from), _FORGOTTEN_AFTER)
        return (self._borne * _BACK_TO + shift) * math.exp(_GROWN * grows_for) - shift

    def take(self, now: float) -> None:
        """Count a slot that was given."""
        allowed = self.allowed(now)
        if allowed is not None:
            self.next = max(self.next, now - _BURST) + 1 / allowed
