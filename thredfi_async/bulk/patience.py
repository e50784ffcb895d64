"""When a run holds its items back from an API that is down or drowning, and how it finds out that it is well again."""

import random
from collections.abc import Callable
from typing import Final

from thredfi_async import APIError, ThredfiError

IN_A_ROW: Final = 10
"""So many failures without a success between them mean that the API is unwell."""
_BUDGET_EMPTY: Final = 3
"""A failure counts for so many, if the client's retry budget was too empty to try again."""
_FIRST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 30.0


class Patience:
    """Says whether an item may be sent now.

    While the API is well, always. After failures in a row, nothing is sent but probes: real items, one at a time, after
    waits that grow. When one succeeds, items are sent again, one more for each success, so that an API that has just
    come up is not met by a herd.

    State changes in synchronous functions only.

    Args:
        patience: Seconds after which it is exhausted.
        now: Tells the time, in monotonic seconds.
        jitter: Draws a number from 0 to 1.
    """

    def __init__(self, patience: float, now: Callable[[], float], jitter: Callable[[], float] = random.random) -> None:
        """Begin with an API that is well."""
        self._patience = patience
        self._now = now
        self._jitter = jitter
        self._in_a_row = 0
        self._paused_at: float | None = None
        self._probe_at = 0.0
        self._probing = False
        self._wait = _FIRST_WAIT
        self._room: int | None = None
        self.served: int = 0
        self.last: ThredfiError | None = None

    @property
    def is_paused(self) -> bool:
        """Whether only probes are sent."""
        return self._paused_at is not None

    @property
    def is_exhausted(self) -> bool:
        """Whether the API has been unwell for as long as it was to be waited for."""
        is_over = self._paused_at is not None and self._now() - self._paused_at >= self._patience
        return is_over and not self._probing

    def may_start(self, in_flight: int) -> bool:
        """Say whether an item may be sent, when so many are under way."""
        if self._paused_at is not None:
            return not self._probing and self._now() >= self._probe_at
        return self._room is None or in_flight < self._room

    def starts(self) -> bool:
        """Take note that an item is sent; say whether it is a probe."""
        if self._paused_at is None:
            return False
        self._probing = True
        return True

    def room(self, full: int) -> int:
        """Return how many items may be under way, of so many when the API is well."""
        return 1 if self._paused_at is not None else full if self._room is None else self._room

    def wait(self) -> float | None:
        """Return the seconds until the next probe, or the end of patience; None while a probe is out, and without."""
        if self._paused_at is None or self._probing:
            return None
        return max(0.0, min(self._paused_at + self._patience, self._probe_at) - self._now())

    def succeeded(self, *, is_probe: bool, full: int) -> bool:
        """Take note that the API has served a call, be it with a refusal.

        Args:
            is_probe: Whether it was a probe.
            full: How many items may be under way when the API is well.

        Returns:
            Whether more may be sent now than before.
        """
        self.served += 1
        self._in_a_row = 0
        if self._paused_at is None and self._room is None:
            return False
        if is_probe:
            self._probing = False
        if self._paused_at is not None:
            self._paused_at = None
            self._room = 1
        if self._room is not None:
            self._room += 1
            if self._room >= full:
                self._room, self._wait = None, _FIRST_WAIT
        return True

    def failed(self, error: ThredfiError, *, is_probe: bool) -> None:
        """Take note that a call failed in a way that may pass.

        Args:
            error: How.
            is_probe: Whether it was a probe.
        """
        self.last = error
        self._in_a_row += _BUDGET_EMPTY if is_unpaid(error) else 1
        if is_probe:
            self._probing = False
        if self._paused_at is None and self._in_a_row < IN_A_ROW:
            return
        if self._paused_at is None:
            self._paused_at = self._now()
        elif not is_probe:
            return  # it was sent before the pause
        asked = (error.retry_after or 0.0) if isinstance(error, APIError) else 0.0
        self._probe_at = self._now() + max(self._wait * (0.5 + 0.5 * self._jitter()), asked)
        self._wait = min(_LONGEST_WAIT, self._wait * 2.0)

    def left(self) -> None:
        """Take note that a probe came to no end."""
        self._probing = False


def is_unpaid(error: ThredfiError) -> bool:
    """Say whether a call ended because the client's retry budget was empty; its error carries a note then."""
    return any("the retry budget is empty" in note for note in getattr(error, "__notes__", ()))
