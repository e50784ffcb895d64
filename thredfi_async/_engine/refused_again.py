"""Tells refusals that go by the call from those of a limit: a limit refuses calls that return no more than others."""

from typing import Final

_LAST: Final = 15.0
"""Requests of each kind over which it is averaged."""
_NEARLY_ALL: Final = 0.9
_FEWER: Final = 0.35
"""If so much of what returns is refused, and of what is sent for the first time less by so much, it goes by the call.
A limit hits both alike, since they take turns."""


class RefusedAgain:
    """Which part is refused of the calls that were refused before, and of all others.

    A single call shows only after some refusals that it is always refused. Where many are, as of a tenant that is shut
    out, all of these together would look like a limit for hours.
    """

    __slots__ = ("_again", "_first")

    def __init__(self) -> None:
        """Start with what looks like a limit."""
        self._first, self._again = 1.0, 0.0

    def serves(self, *, is_again: bool) -> None:
        """Note that a call is served; `is_again` is whether it was refused before."""
        if is_again:
            self._again -= self._again / _LAST
        else:
            self._first -= self._first / _LAST

    def refuses(self, *, is_again: bool) -> bool:
        """Note that a call is refused, and return whether that says nothing of what others may send.

        Args:
            is_again: Whether it was refused before.
        """
        if is_again:
            self._again += (1.0 - self._again) / _LAST
        else:
            self._first += (1.0 - self._first) / _LAST
        return self._again >= _NEARLY_ALL and self._first <= self._again - _FEWER
