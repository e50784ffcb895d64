"""What keeps a worker from its work at the moment, and since when: all of it is read by `/readyz`."""

import math
from collections.abc import Callable
from typing import Final

import attrs

_MOST: Final = 50


@attrs.frozen
class _Condition:
    reason: str
    since: float
    until: float


class Conditions:
    """The conditions that hold now, by name.

    Args:
        monotonic: Tells the time in seconds.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._holding: dict[str, _Condition] = {}

    def begin(self, name: str, reason: str, *, lasts: float = math.inf) -> None:
        """Note that a condition holds; if it held before, only its reason changes.

        Args:
            name: Its name.
            reason: Why, for people.
            lasts: Seconds after which it no longer holds, unless it begins again; by default it must be ended.
        """
        known, now = self._known(name), self._monotonic()
        if known is not None or len(self._holding) < _MOST:
            self._holding[name] = _Condition(reason, now if known is None else known.since, now + lasts)

    def end(self, name: str) -> None:
        """Note that a condition no longer holds."""
        self._holding.pop(name, None)

    def reason(self, name: str) -> str | None:
        """Return why a condition holds; None if it does not."""
        known = self._known(name)
        return None if known is None else known.reason

    def lines(self) -> list[str]:
        """Return each condition with how long it has held, the oldest first."""
        now = self._monotonic()
        found = (self._known(name) for name in list(self._holding))
        holding = sorted((each for each in found if each is not None), key=lambda each: each.since)
        return [f"{each.reason} (for {now - each.since:.0f} s)" for each in holding]

    def _known(self, name: str) -> _Condition | None:
        known = self._holding.get(name)
        if known is not None and self._monotonic() > known.until:
            self._holding.pop(name, None)
            return None
        return known
