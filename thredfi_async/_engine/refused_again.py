"""Tells refusals that go by the call from those of a limit: a limit refuses calls that return no more than others."""

from typing import Final

_FEWEST: Final = 10
"""Requests of each kind that tell something."""
_LAST: Final = 15
"""Requests of each kind over which it is averaged."""
_NEARLY_ALL: Final = 0.9
_FEWER: Final = 0.35
"""If so much of what returns is refused, and of what is sent for the first time less by so much, it goes by the call.
A limit hits both alike, since they take turns."""


class _Lately:
    """Which part of the last requests of a kind was refused.

    Attributes:
        part: That part.
        is_known: Whether there were enough of them.
        is_begun: Whether there were any.
    """

    __slots__ = ("_count", "part")

    def __init__(self) -> None:
        self._count, self.part = 0, 0.0

    @property
    def is_begun(self) -> bool:
        return self._count > 0

    @property
    def is_known(self) -> bool:
        return self._count >= _FEWEST

    def count(self, *, is_refused: bool) -> None:
        """Count a request."""
        self._count = min(self._count + 1, _LAST)
        self.part += (is_refused - self.part) / self._count


class RefusedAgain:
    """Which part is refused of the calls that were refused before, and of all others.

    A single call shows only after some refusals that it is always refused. Where many are, as of a tenant that is shut
    out, all of these together would look like a limit for hours.
    """

    __slots__ = ("_again", "_first")

    def __init__(self) -> None:
        """Start without any."""
        self._first, self._again = _Lately(), _Lately()

    def serves(self, *, is_again: bool) -> None:
        """Note that a call is served; `is_again` is whether it was refused before."""
        self._count(is_again=is_again, is_refused=False)

    def refuses(self, *, is_again: bool) -> bool:
        """Note that a call is refused, and return whether that says nothing of what others may send.

        Args:
            is_again: Whether it was refused before.
        """
        self._count(is_again=is_again, is_refused=True)
        again, first = self._again, self._first
        if not (again.is_known and first.is_known):
            return False
        return again.part >= _NEARLY_ALL and first.part <= again.part - _FEWER

    def _count(self, *, is_again: bool, is_refused: bool) -> None:
        if is_again:
            self._again.count(is_refused=is_refused)
        elif self._again.is_begun:  # what came before is not compared: a limit may have been reached since
            self._first.count(is_refused=is_refused)
