"""Requests a second that the API bears, learned from when it throttles."""

import math
from typing import Final

_BACK_TO: Final = 0.8
"""The part of the rate that it bore at which to go on."""
_ADDED: Final = 10.0
"""What a second adds to the rate, whatever it is: so clients that share a limit come to have equal shares of it."""
_GROWN: Final = 0.02
"""The part of itself that a second adds to it: so a rate that was learned in a bad minute is soon outgrown."""
_BRIEFEST: Final = 0.5
"""Seconds from which a rate can be told."""
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

    __slots__ = ("_borne", "_counted", "_grows_from", "_throttled_at", "next")

    def __init__(self, now: float) -> None:
        """Start to count, without a rate."""
        self.next = -math.inf
        """When the next slot may be given."""
        self._borne: float | None = None
        self._throttled_at = self._grows_from = now
        self._counted = 0

    def answered_well(self, now: float) -> bool:
        """Count a good answer; say whether throttling is long enough ago to be forgotten."""
        self._counted += 1
        return now - self._grows_from > _FORGOTTEN_AFTER

    def throttled(self, now: float, resumes: float) -> None:
        """Learn that this was too much.

        Args:
            now: The time.
            resumes: When the cooldown is over, if there is one; else the time too.
        """
        passed = now - self._throttled_at
        if passed >= _BRIEFEST:
            # Cooldowns count too: what is let through after one is more than what would be borne for long.
            self._borne = max(_SLOWEST, self._counted / passed)
            self._throttled_at, self._counted = now, 0
        self._grows_from = resumes

    def take(self, now: float) -> None:
        """Count a slot that was given."""
        if self._borne is not None:
            # Each second adds `_ADDED + _GROWN * rate`, in closed form.
            shift = _ADDED / _GROWN
            grown = (self._borne * _BACK_TO + shift) * math.exp(_GROWN * max(0.0, now - self._grows_from)) - shift
            self.next = max(self.next, now - _BURST) + 1 / grown
