"""Estimates from refusals how many requests a second an API grants."""

import math
from typing import Final

from thredfi_async._engine.bound import PAUSES, Bound
from thredfi_async._engine.tally import Seen
from thredfi_async._engine.turns import Ticket

LEAST: Final = 1 / 60
"""Requests a second that it goes down to at most."""
_BURST_ENDS: Final = 0.3
"""Seconds of opening after which what was granted tells a rate, and not only a burst."""
_BOLD: Final = 2.0
"""How much more than that a search begins with after a short opening."""
_TELLS: Final = 2.0
"""Seconds of Retry-After from which on it is no rounding: it tells when a window ends."""
_LONGEST_BURST: Final = 0.12
"""Seconds of its rate that an API's burst is taken for at most."""
_SOON: Final = 1.5
"""Seconds after a refusal within which the bucket is still empty."""
_SLOWEST_START: Final = 1.0
"""Requests a second that a search begins with at least."""
_AS_LONG: Final = 3.0
_SLOWLY: Final = 1.5
"""So many times as long as the opening a search takes to double, up to so many seconds: a long one has told more."""
_STILL_EMPTY: Final = 1.0
"""Seconds of a search in which, with such a pause, the bucket may still be empty of what others sent: it begins again,
once."""
_LONG: Final = 0.9
"""Seconds of a search in which not all that was sent was granted, if some of it was refused."""
_AGAIN: Final = 0.05
_OTHER: Final = 0.2
_COUNTS: Final = 20
"""A count of so many, the same as before up to this part, in a time that differs by that part, is that of a window."""


class RateEstimate:
    """Where the bound of a pace is, given what was granted and a burst that the API may have granted beyond it.

    An API with a bucket grants more than its rate until the bucket is empty. So the pace at a refusal is too much, and
    the mean before it is too little; what counts is the most that was granted for long, less the burst.

    Args:
        pace: The bound to move.

    Attributes:
        doubles_in: Seconds in which a search doubles at least.
        late: Granted since the last reaction, though sent before.
    """

    __slots__ = (
        "_burst",
        "_has_begun_again",
        "_held",
        "_last",
        "_opened_in",
        "_opening_count",
        "_opening_lasted",
        "_pace",
        "doubles_in",
        "late",
    )

    def __init__(self, pace: Bound) -> None:
        """Start without a burst."""
        self._pace = pace
        # Seconds of its rate.
        self._burst = self.doubles_in = 0.0
        self._has_begun_again = False
        self._opening_count, self._opening_lasted, self._opened_in = 0, 0.0, -1
        # Since the last reaction: those; granted until then, in which time; its Retry-After.
        self.late, self._last, self._held = 0, (0, 0.0), 0.0

    def search(self, count: int, lasted: float, rate: float, hold: float, generation: int) -> None:
        """Begin to search after the first refusal.

        Args:
            count: Requests that were granted until then.
            lasted: Seconds that this took.
            rate: Requests that were granted in the last second.
            hold: Seconds that the API asks to wait.
            generation: That of its requests.
        """
        self._opened_in, self._has_begun_again = generation, False
        self._opening_count, self._opening_lasted = count, lasted
        self.late, self._last = 0, (count, lasted)
        if hold >= _TELLS:
            start = count / (lasted + hold)
        else:
            start = rate * (1.0 + _BOLD * max(0.0, 1.0 - lasted / _BURST_ENDS))
        self.doubles_in = 0.0 if hold > 0.0 else min(_SLOWLY, _AS_LONG * lasted)
        self._pace.search(max(start, _SLOWEST_START))

    def came_late(self, generation: int, lasted: float) -> None:
        """Count a request that was granted, though the answer came after that of a refused one."""
        self.late += 1
        if generation == self._opened_in and self._pace.is_search:
            self._pace.top *= 1.0 + 1.0 / max(1, self._opening_count)
            self._opening_count += 1
            self._opening_lasted = lasted
            self._last = (self._opening_count, lasted)

    def learn(self, ticket: Ticket, seen: Seen, hold: float, in_flight: int) -> None:
        """Learn from a refusal: the most that was granted for long, or what it seems to be.

        Args:
            ticket: That of the refused request.
            seen: What was granted and refused since the last reaction.
            hold: Seconds that the API asks to wait.
            in_flight: Requests in flight when it was refused.
        """
        pace, time, sent = self._pace, ticket.time, ticket.pace
        # If a refusal came sooner than grants do, most of the requests in flight are granted, though not answered yet.
        is_early = (pace.time - time) * sent < in_flight / 2
        granted = max(0, seen.granted - self.late) + (in_flight - 1 if is_early else 0)
        window = self._window(granted, time, hold)
        held, self._held = self._held, hold
        self.late, self._last = 0, (granted, time)
        # With a Retry-After: between what was sent, and what that was with the pause.
        seems = math.sqrt(granted / (time + hold) * sent) if hold > 0.0 else seen.rate
        if window:
            pace.found(max(LEAST, min(sent, granted / window)), hold)
        elif pace.is_search and hold >= PAUSES and time < _STILL_EMPTY and not self._has_begun_again:
            self._has_begun_again = True
            pace.search(max(LEAST, min(sent, seems)))
        elif pace.is_search:
            beyond = pace.beyond(time, self._opening_count, self._opening_lasted)
            if hold <= 0.0 and is_early:
                # Those of the last second are too few.
                part = granted / (granted + seen.refused) if time >= _LONG else 1.0
                seems = max(seems, part * pace.sustained(time, _LONGEST_BURST))
            top = min(sent, max(beyond, seems, LEAST))
            self._burst = min(_LONGEST_BURST, max(0.0, self._opening_count / top - self._opening_lasted))
            pace.found(top, hold)
        elif pace.is_expected(time):
            self._burst = min(self._burst, pace.climbed(time))
            pace.refused(time, min(sent, max(pace.sustained(time, self._burst), pace.rest, sent / 2, LEAST)), hold)
        elif hold <= 0.0 and time < _SOON:
            # The bucket is empty, so that what was granted is its rate; in a second with a pause, what was since.
            top = min(sent, granted / max(time, LEAST)) if held > 0.0 else seems
            pace.refused(time, max(top, sent / 2, LEAST), hold)
        elif hold >= PAUSES and not pace.is_alone:
            # Of a share, what others do tells nothing: if all cut by the same part, shares meet.
            pace.refused(time, max(sent, LEAST), hold)
        else:
            pace.refused(time, min(sent, max(pace.sustained(time, self._burst), seems, sent / 2, LEAST)), hold)

    def _window(self, count: int, time: float, hold: float) -> int:
        """Return in how many seconds it grants so many; 0 if it does not count like that."""
        before, lasted = self._last
        is_same = abs(count - before) <= _AGAIN * count and abs(time - lasted) >= _OTHER * time
        # A Retry-After that ends with the window is rounded up.
        return max(1, math.ceil(time + hold - 1.0)) if time <= hold and count >= _COUNTS and is_same else 0
