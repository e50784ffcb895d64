"""Tells from refusals whether they come at any pace, as where one of an API's servers fails, or from a limit."""

import math
from typing import Final, NamedTuple

DOUBLES_IN: Final = 4.0
"""Seconds in which a pace doubles while refusals seem to come at any: slowly, since it may be company."""
_LAST: Final = 30.0
"""Requests over which the part that is refused now is averaged."""
_FASTER: Final = 1.4
_SLOWER: Final = 0.6
"""A pace that is so much higher is where the comparison begins anew; with it one is compared that is at most this part
of it."""
_FAR: Final = 0.3
_FEWEST: Final = 10
_FEWEST_FAR: Final = 5
"""Refusals, apart from each other, that the slower pace must have met; the second where it is less than this part."""
_SENT: Final = 20
"""Requests that must have been sent at it."""
_ENOUGH: Final = 20
"""After so many refusals without a result it is itself compared with what is slower still."""
_LEAST: Final = 0.1
_MOST: Final = 0.55
"""The parts of refusals between which they may come at any pace; clients in company are refused less once they know
their shares."""
_SETTLES_IN: Final = 20.0
"""Seconds in which clients in company find their shares; until then as many may be refused as come at any pace."""
_STILL: Final = 0.5
"""Of the part at the slower pace, so much must still be refused."""
_SPARE: Final = 0.05
_SURE: Final = 3.0
"""Of the last requests, this part and so many standard deviations may be refused beyond what was before it is more."""
_MOST_MORE: Final = 0.2
"""By how much more than the first, by chance, until it refutes that the pace does not matter."""


class Sent(NamedTuple):
    """What was sent at about one pace.

    Args:
        seconds: How long that took.
        total: How many.
        refused: How many were refused.
        apart: The same, but of those in a row only one.
    """

    seconds: float = 0.0
    total: int = 0
    refused: int = 0
    apart: int = 0

    @property
    def pace(self) -> float:
        """Requests a second."""
        return self.total / self.seconds if self.seconds else 0.0

    @property
    def part(self) -> float:
        """The part that was refused."""
        return self.refused / max(1, self.total)

    def and_then(self, pace: float, total: int, refused: int, apart: int) -> "Sent":
        """Return it with what was sent at another pace."""
        return Sent(self.seconds + total / pace, self.total + total, self.refused + refused, self.apart + apart)


class EvenRefusals:
    """Compares which part is refused at a pace with which was at a higher one.

    A limit refuses none at half the pace, or at least far less. Where a server of several fails, or one sheds load, the
    part is the same: to send less only makes calls wait. (With a Retry-After it is the pauses that bound what is sent,
    whatever the pace.) In company a client's own pace matters little, too; but there
    the part is small, and grows with the pace once that grows.

    Attributes:
        now: The part of the last requests that was refused.
    """

    __slots__ = ("_fast", "_from", "_slow", "_starts", "now")

    def __init__(self) -> None:
        """Start without any."""
        self.now = 0.0
        # The pace from which on it is compared, and from when on.
        self._from, self._starts = 0.0, -math.inf
        self._fast = self._slow = Sent()

    def grant(self, count: int) -> None:
        """Count requests that were granted."""
        self.now *= (1.0 - 1.0 / _LAST) ** count

    def refuse(self) -> None:
        """Count a request that was refused."""
        self.now += (1.0 - self.now) / _LAST

    def compare(self, now: float, pace: float, total: int, refused: int, apart: int) -> Sent | None:
        """Note what was sent at a pace; return what was at the slower one if the part that is refused is the same.

        Args:
            now: The current time.
            pace: Requests a second; infinite while no limit is known.
            total: How many were sent.
            refused: How many of them were refused.
            apart: The same, but of those in a row only one.
        """
        if pace == math.inf:
            self._starts = now + _SETTLES_IN
            return None
        if pace > _FASTER * self._from:
            self._begin(pace, Sent())
        if pace > _SLOWER * self._from:
            self._fast = self._fast.and_then(pace, total, refused, apart)
            return None
        if now < self._starts:
            return None
        self._slow = slow = self._slow.and_then(pace, total, refused, apart)
        if slow.total < _SENT or slow.apart < (_FEWEST if slow.pace > _FAR * self._fast.pace else _FEWEST_FAR):
            return None
        if self.now < _STILL * slow.part:
            self._begin(0.0, Sent())
            return None
        is_even = self._is_even(slow)
        if is_even or slow.apart >= _ENOUGH:
            self._begin(pace, slow)
        return slow if is_even else None

    def _is_even(self, slow: Sent) -> bool:
        fast = self._fast
        # What a limit would have refused at the higher pace that grants what is granted now; and for few requests,
        # which part at that pace is not too small to be the same.
        by_limit = 1.0 - (1.0 - slow.part) * slow.pace / fast.pace
        most = 2.0 * (fast.refused + 2) / (fast.total + 2)
        return _LEAST <= slow.part <= min(_MOST, most) and fast.part <= (slow.part + by_limit) / 2

    def _begin(self, pace: float, fast: Sent) -> None:
        self._from, self._fast, self._slow = pace, fast, Sent()


def most_now(even: Sent) -> float:
    """Return the part of refusals above which they do not come at any pace, though it seemed so."""
    return most_of(even.part, _LAST, even.total, at_most=_MOST_MORE)


def most_of(part: float, last: float, count: float, *, at_most: float = math.inf) -> float:
    """Return the largest part of the last requests that is still the same by chance.

    Args:
        part: The part that was measured.
        last: Requests over which that of the last ones is averaged.
        count: Requests over which it was measured.
        at_most: By how much chance alone makes it larger at most.
    """
    varies = math.sqrt(part * (1.0 - part) * (1.0 / (2.0 * last) + 1.0 / count))
    return part + _SPARE + min(at_most, _SURE * varies)
