"""What an API grants between times in which it refuses all: if those are long, a quota for minutes."""

import math
from typing import Final

from thredfi_async._engine.rate_estimate import LEAST

_PAUSE: Final = 0.25
"""The pause while all is refused, in seconds and as a part of how long that has been so."""
_LONGEST_PAUSE: Final = 30.0
_SHORT: Final = 3.0
_LONG: Final = 15.0
_FEW: Final = 1
_MANY: Final = 7
"""More refusals in a row than so many mean a quota that is used up: in a short time the first number, in a longer one
the second, since a few may come together by chance. If the first is longer still, it may be an outage."""
_LOOKS_ON: Final = 5.0
"""A quota tells a rate that is a bound from below, but not far from it: it doubles in so many times as long."""
_USUAL: Final = 30.0
"""Seconds that a window lasts at most, unless it has refused for longer."""


class Quota:
    """A quota, as far as it shows in times in which all is refused.

    Attributes:
        granted: Requests that were granted since the API last began to grant.
        refusals: Requests that were refused since it last granted one, once all seems to be refused.
        is_new: Whether all was not refused since the bound of the pace was first found.
    """

    __slots__ = ("_began", "_since", "granted", "is_new", "refusals")

    def __init__(self) -> None:
        """Start with an API that grants."""
        self.granted = self.refusals = 0
        self.is_new = True
        self._began, self._since = math.nan, 0.0

    def begin(self, now: float) -> None:
        """Note when it began to grant, unless that is known."""
        if math.isnan(self._began):
            self._began = now

    def count_anew(self) -> None:
        """Forget what was granted: no one has used the quota since."""
        self.granted, self._began = 0, math.nan

    def lasts(self, now: float) -> float:
        """Return the seconds since it began to grant."""
        return 0.0 if math.isnan(self._began) else now - self._began

    def refuses_for(self, now: float) -> float:
        """Return for how many seconds it has refused all; 0 if it grants some."""
        return now - self._since if self.refusals else 0.0

    def refuse(self, now: float) -> float:
        """Count a refusal of all; return for how many seconds to pause."""
        if not self.refusals:
            self._since = now
        self.refusals += 1
        return min(_LONGEST_PAUSE, _PAUSE * max(1.0, now - self._since))

    def grant_again(self, now: float) -> tuple[float, float] | None:
        """Begin to count anew what is granted, if all was refused before.

        Returns:
            The requests a second that it has granted, and the seconds in which a search from there doubles; None if it
            does not look like a quota.
        """
        if not self.refusals:
            return None
        lasted, refused = self.lasts(now), now - self._since
        is_outage = self.is_new and refused > _LONG
        many = _FEW if refused <= _SHORT else math.inf if is_outage else _MANY
        is_used_up = self.refusals > many and lasted > 0.0
        rate = max(LEAST, max(1, self.granted - 1) / lasted) if is_used_up else 0.0
        self.refusals, self.granted, self._began, self.is_new = 0, 0, now, False
        return (rate, _LOOKS_ON * min(lasted, max(refused, _USUAL))) if is_used_up else None
