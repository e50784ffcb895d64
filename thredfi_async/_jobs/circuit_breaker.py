"""A circuit breaker: while the API is unavailable, only probes go out, one at a time, after growing waits.

It ends nothing: how long a bulk run or a worker bears with that is their own decision.
"""

import random
from collections.abc import Callable, Hashable
from typing import Final

_LONGEST_ROW: Final = 1_000


class CircuitBreaker:
    """Decides whether a call may be made now. It is told the time, changes in synchronous functions, and never waits.

    It is closed while the API is available. Failures in a row, without a success between them, open it: then one call
    at a time is a probe. A probe that is served closes it again; with `ramp_to`, one more call at a time may then be in
    flight for each success, so that an API that has just recovered is not overloaded.

    Args:
        failures: Failures in a row that open it.
        customers: How many different customers must be among them: one that always fails says nothing of the API.
        wait_initial: Seconds before the first probe, doubled after each one; half of a wait is random.
        wait_max: Most seconds before a probe, unless the API asks for more.
        jitter: Draws a number from 0 to 1.

    Attributes:
        is_open: Whether only probes may go.
        is_probing: Whether one is in flight.
        failing_since: When the first failure of the row came; None while the API serves.
    """

    def __init__(
        self,
        *,
        failures: int,
        customers: int,
        wait_initial: float,
        wait_max: float,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Begin closed."""
        self._failures = failures
        self._customers = customers
        self._wait_initial = wait_initial
        self._wait_max = wait_max
        self._jitter = jitter
        self._in_a_row = 0
        self._failing: set[Hashable] = set()
        self._wait = wait_initial
        self._probe_at = 0.0
        self._room: int | None = None
        self.is_open: bool = False
        self.is_probing: bool = False
        self.failing_since: float | None = None

    @property
    def probe_at(self) -> float | None:
        """When the next probe may go; None while it is closed, and while a probe is in flight."""
        return self._probe_at if self.is_open and not self.is_probing else None

    def room(self, full: int) -> int:
        """Return how many calls may be in flight; `full` while the API is available."""
        return 1 if self.is_open else full if self._room is None else min(full, self._room)

    def may_start(self, now: float, in_flight: int) -> bool:
        """Return whether a call may be made when so many are in flight."""
        if self.is_open:
            return not self.is_probing and now >= self._probe_at
        return self._room is None or in_flight < self._room

    def starts(self) -> bool:
        """Note that a call is made; return whether it is a probe."""
        self.is_probing = self.is_probing or self.is_open
        return self.is_open

    def probe_now(self) -> None:
        """Let the next probe go at once, for a reason to believe that it may be served."""
        self._probe_at = 0.0

    def failed(
        self, who: Hashable, now: float, *, asked: float = 0.0, is_probe: bool = False, slow: float = 1.0
    ) -> None:
        """Note that a call failed in a way that may pass.

        Args:
            who: Whose call it was.
            now: The time.
            asked: Seconds that the API asked to wait.
            is_probe: Whether it was a probe.
            slow: Multiplies the longest wait.
        """
        self._in_a_row += 1
        if len(self._failing) < _LONGEST_ROW:
            self._failing.add(who)
        if self.failing_since is None:
            self.failing_since = now
        if self.is_open:
            if is_probe:
                self.is_probing = False
                self._next_probe(now, asked, slow)
            else:
                self._probe_at = max(self._probe_at, now + asked)
        elif self._in_a_row >= self._failures and len(self._failing) >= self._customers:
            self.open(now, asked=asked, slow=slow)

    def open(self, now: float, *, asked: float = 0.0, slow: float = 1.0) -> None:
        """Open it, whatever the row; the arguments are as for `failed`."""
        if self.is_open:
            return
        self.is_open = True
        self.failing_since = now if self.failing_since is None else self.failing_since
        self._next_probe(now, asked, slow)

    def served(self, *, is_probe: bool = False, ramp_to: int | None = None) -> bool:
        """Note that the API has served a call, even with a refusal.

        Args:
            is_probe: Whether it was a probe.
            ramp_to: How many calls may be in flight while the API is available, if they come back one more at a time;
                None if all come back at once.

        Returns:
            Whether it was open.
        """
        self._in_a_row, self.failing_since = 0, None
        self._failing.clear()
        if is_probe:
            self.is_probing = False
        was_open = self.is_open
        if was_open:
            self.is_open = self.is_probing = False
            self._room = 1
        if self._room is not None:
            self._room += 1
            if ramp_to is None or self._room >= ramp_to:
                self._room, self._wait = None, self._wait_initial
        return was_open

    def left(self, now: float) -> None:
        """Note that a probe ended without an answer or a failure, as when it is cancelled; the next one waits too."""
        if self.is_probing:
            self.is_probing = False
            self._next_probe(now, 0.0, 1.0)

    def _next_probe(self, now: float, asked: float, slow: float) -> None:
        self._probe_at = now + max(self._wait * (0.5 + 0.5 * self._jitter()), asked)
        self._wait = min(self._wait_max * slow, self._wait * 2.0)
