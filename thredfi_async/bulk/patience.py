"""A circuit breaker: holds items back while the API is down or overloaded, and probes until it is back."""

import random
from collections.abc import Callable
from typing import Final

from thredfi_async import APIError, ThredfiError

IN_A_ROW: Final = 10
"""Failures without a success between them after which the API counts as unavailable."""
_BUDGET_EMPTY: Final = 3
"""A failure counts for so many if the client's retry budget was too low to try again."""
_FIRST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 30.0


class Patience:
    """Decides whether an item may be sent now.

    While the API is available, always. After failures in a row, only probes are sent: real items, one at a time, after
    growing waits. When one succeeds, items are sent again, one more at a time for each success, so that an API that
    has just recovered is not overloaded.

    State changes in synchronous functions only.

    Args:
        patience: Seconds of outage after which it is exhausted.
        now: Tells the time, in monotonic seconds.
        jitter: Draws a number from 0 to 1.
    """

    def __init__(self, patience: float, now: Callable[[], float], jitter: Callable[[], float] = random.random) -> None:
        """Begin with an available API."""
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
        """Whether the API has been unavailable for as long as the run waits."""
        is_over = self._paused_at is not None and self._now() - self._paused_at >= self._patience
        return is_over and not self._probing

    def may_start(self, in_flight: int) -> bool:
        """Return whether an item may be sent when so many are in flight."""
        if self._paused_at is not None:
            return not self._probing and self._now() >= self._probe_at
        return self._room is None or in_flight < self._room

    def starts(self) -> bool:
        """Note that an item is sent; return whether it is a probe."""
        if self._paused_at is None:
            return False
        self._probing = True
        return True

    def room(self, full: int) -> int:
        """Return how many items may be in flight; `full` while the API is available."""
        return 1 if self._paused_at is not None else full if self._room is None else self._room

    def wait(self) -> float | None:
        """Return the seconds until the next probe or the timeout; None without a pause or during a probe."""
        if self._paused_at is None or self._probing:
            return None
        return max(0.0, min(self._paused_at + self._patience, self._probe_at) - self._now())

    def succeeded(self, *, is_probe: bool, full: int) -> bool:
        """Note that the API has served a call, even with a refusal.

        Args:
            is_probe: Whether it was a probe.
            full: How many items may be in flight while the API is available.

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
        """Note that a call failed in a way that may pass.

        Args:
            error: The call's error.
            is_probe: Whether it was a probe.
        """
        self.last = error
        self._in_a_row += _BUDGET_EMPTY if error.is_budget_empty else 1
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
        """Note that a probe is no longer in flight."""
        self._probing = False
