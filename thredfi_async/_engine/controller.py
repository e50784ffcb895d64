"""Decides how many requests may be sent, from what the API granted and refused."""

import math
import random
from collections.abc import Callable
from copy import copy
from typing import Final

from thredfi_async._engine.at_once import AtOnce
from thredfi_async._engine.bound import Bound, Known
from thredfi_async._engine.even_refusals import DOUBLES_IN
from thredfi_async._engine.opening import Opening
from thredfi_async._engine.quota import Quota
from thredfi_async._engine.rate_estimate import RateEstimate
from thredfi_async._engine.tally import Seen, Tally
from thredfi_async._engine.turns import Ticket

_SETTLES: Final = 0.1
"""Seconds in which a bound of requests at once settles."""
_CATCHES_UP: Final = 0.02
"""Seconds' worth of missed turns to catch up on: timers are not exact, and calls do not arrive evenly."""
_DEAF: Final = 1.0
"""Seconds after a reaction, or as long as a Retry-After, in which refusals are not news: the bucket is still empty."""
_SEARCHES: Final = 0.7
"""Seconds in which a search doubles, or two round trips if those take longer."""
_ROW: Final = 5
"""So many refusals in a row are news even then: all is refused."""
_NONE: Final = 20
"""The same before anything is granted: a few may be too many at once."""
_UNUSED: Final = 5.0
"""Seconds after which a pace that holds nothing back is forgotten, if it has doubled since it was learned."""
_IDLE: Final = 1.0
"""Seconds without a request, though one might be sent, after which it counts anew what is granted."""
_PILES_UP: Final = 2.0
_SPARE: Final = 8.0
"""At a known pace no more are in flight than so many times the usual number, and some: where either side pauses, what
piles up meanwhile would arrive at once."""
_UNCOUNTED: Final = 31
_TELL: Final = 5
_UNTOLD: Final = 3
"""Fewer requests that were granted between refusals tell no rate: it then only waits as asked, so often in a row."""


class Controller:
    """Learns whether requests a second or requests at once are bounded, and where, and keeps just below.

    It is synchronous and has no clock of its own. It opens with a few requests and soon allows all. The first refusals
    tell whether the number of requests in flight is bounded, which can only be told without a Retry-After; otherwise
    their rate is, which is then searched for. `Bound` is how either is used from then on.

    Args:
        limit: Requests in flight at most.
        rate: Requests a second at most, or None.
        vary: Returns a number from 0 to 1 at random.

    Attributes:
        in_flight: Requests in flight.
        ticket: That of the request that was sent last.
        is_open: Whether nothing but the limit holds requests back.
        pace: What is known of the rate.
        window: What is known of the number of requests at once.
        quota: What is granted between times in which all is refused.
        opening: How many may be in flight at first.
    """

    def __init__(self, limit: int, *, rate: float | None = None, vary: Callable[[], float] = random.random) -> None:
        """Start without any knowledge."""
        self._limit = limit
        self._most = math.inf if rate is None else rate
        self.pace, self.window = Bound(vary), Bound(vary)
        self.in_flight = 0
        self.ticket = Ticket(0, 0, 0, math.inf, 0.0)
        self.is_open = False
        # Granted while it was open, and not counted yet: to look at the clock each time would cost too much.
        self._uncounted = 0
        self.opening = Opening(limit)
        self._next = self._held_until = self._rests_until = self._deaf_until = self._taken = self._busy = -math.inf
        self._tally, self.quota = Tally(), Quota()
        self._generation = self._untold = 0
        # Of the current generation: when its requests began, and whether one of them was granted.
        self._resumed, self._was_granted, self._row = -math.inf, True, 0
        # The top of a pace that was given up for a window, until that has explained another refusal.
        self._doubted = math.inf
        self._estimate, self._at_once = RateEstimate(self.pace), AtOnce(self.window)

    def allowed(self, now: float) -> int:
        """Return how many requests may be in flight."""
        if self.quota.refusals:
            return 1
        allowed = min(self._limit, max(1.0, self.window.level))
        if self.pace.is_known:
            allowed = min(allowed, _PILES_UP * self._at_once.usual + _SPARE)
        if not self.opening.is_over:
            allowed = min(allowed, self.opening.allowed(now))
        return int(allowed)

    def rate(self) -> float:
        """Return how many requests a second are allowed; infinite if any number is."""
        return min(self.pace.level, self._most)

    def cooldown(self, now: float) -> float:
        """Return for how many seconds the API has asked to wait from now on."""
        return max(0.0, self._held_until - now)

    def is_free(self, now: float) -> bool:
        """Return whether a request may be sent."""
        return self.in_flight < self.allowed(now) and now >= self._due()

    def due(self, now: float) -> float:
        """Return when the next request may be sent, if nothing is answered before; infinite if an answer must come."""
        if self.in_flight < self.allowed(now):
            return max(now, self._due())
        if self.quota.refusals or self.opening.is_over or self.in_flight >= min(self._limit, self.window.level):
            return math.inf
        return max(self._due(), self.opening.opens)

    def take(self, now: float) -> None:
        """Count a request that is sent now."""
        self.in_flight += 1
        pace = math.inf if self.is_open else self._step(now)
        self.ticket = Ticket(self._generation, self._at_once.flight, self.in_flight, pace, self.pace.time)

    def hold_back(self, seconds: float, now: float) -> None:
        """Send nothing for so long."""
        if now + seconds > self._held_until:
            self._held_until, self.is_open = now + seconds, False
            self._opens_again(seconds)

    def is_down(self) -> None:
        """Leave it to others who is sent next: the API answers no one."""
        self.quota.refusals, self._rests_until, self._was_granted = 0, -math.inf, True
        if not self.quota.granted:
            self.window.forget()
            self.opening.begin()

    def granted(self, ticket: Ticket, now: float) -> None:
        """Learn from a request that was granted."""
        self.quota.begin(now)
        self._uncounted += 1
        self._count(now)
        self._at_once.granted(ticket.in_flight)
        self.opening.grant()
        if ticket.generation != self._generation:
            self._estimate.came_late(ticket.generation, self.quota.lasts(now))
        elif self._row or not self._was_granted:
            self._grants_again(now)

    def granted_openly(self, ticket: Ticket) -> bool:
        """Count a request that was granted, if nothing is to be learned from it; return whether that is so."""
        if not self.is_open or self._uncounted >= _UNCOUNTED:
            return False
        self._uncounted += 1
        self._at_once.seen = max(self._at_once.seen, ticket.in_flight)
        return True

    def refused(self, ticket: Ticket, hold: float, now: float) -> Known | None:
        """Learn from a request that was refused because of the limit, or of the API's load.

        Args:
            ticket: Its ticket.
            hold: Seconds that the API asks to wait; 0 if it does not say.
            now: The current time.

        Returns:
            What was known before, if something was learned.
        """
        known, generation, flight = Known(copy(self.pace), copy(self.window)), self._generation, self._at_once.flight
        self._heed(ticket, hold, now)
        return None if (generation, flight) == (self._generation, self._at_once.flight) else known

    def retract(self, known: Known) -> None:
        """Forget what was learned from a refusal that concerned its own call only."""
        self._was_granted, self._row, level = True, 0, self.pace.level
        self.window.retract(known.window)
        self.pace.retract(known.pace)
        if not self.pace.is_known and level != math.inf:
            self.pace.search(level, _SEARCHES)  # not all at once

    def _heed(self, ticket: Ticket, hold: float, now: float) -> None:
        self.is_open = False
        self._count(now)
        self._tally.refuse()
        if hold > 0.0:
            self._held_until = max(self._held_until, now + hold)
        if ticket.generation != self._generation:
            return
        self._row += 1
        is_news = now >= self._deaf_until or self.quota.refusals > 0
        is_dead = hold <= 0.0 and self._row >= _NONE and not self.quota.granted
        if is_dead or (not self._was_granted if is_news else self._row >= _ROW):
            self._refuses(hold, now)
            return
        if self._tally.is_noise(now):
            self._opens_again(hold)
        elif now >= self._deaf_until and not (hold <= 0.0 and self._is_for_their_number(ticket, now)):
            self._slow_down(ticket, hold, now)

    # -- sending

    def _due(self) -> float:
        held = max(self._held_until, self._rests_until)
        return max(held, self._next) if self.pace.is_known or self._most != math.inf else held

    def _step(self, now: float) -> float:
        """Move the next turn and the times in use; return the pace."""
        pace, since = self.rate(), now - self._taken
        if since > max(_IDLE, 2.0 / pace) and now - self._due() > _IDLE and not self.quota.refusals:
            self.quota.count_anew()
        if pace != math.inf:
            if now - self._next <= _CATCHES_UP:
                self._busy = now
                self.pace.time += min(since, 1.0 / pace + _CATCHES_UP) if pace < self._most else 0.0
            elif now - self._busy > _UNUSED and pace > 2.0 * self.pace.top:
                self.pace.forget()
            self._next = max(self._next, now - _CATCHES_UP) + 1.0 / pace
        elif not self.window.is_known and self.opening.is_over and now >= self._rests_until:
            self.is_open = now >= self._held_until and not self.quota.refusals
        if self.window.is_known and self.in_flight >= int(self.window.level):
            self.window.time += min(since, _DEAF)
        self._taken = now
        return pace

    # -- learning

    def _count(self, now: float) -> None:
        self._tally.grant(now, self._uncounted)
        self.quota.granted += self._uncounted
        self._uncounted = 0

    def _grants_again(self, now: float) -> None:
        self._row = 0
        if not self._was_granted and not self.quota.refusals:
            self.pace.doubles_in = max(_SEARCHES, 2.0 * (now - self._resumed), self._estimate.doubles_in)
        self._was_granted = True
        if (found := self.quota.grant_again(now)) is not None and found[0] < self.pace.top:
            self.pace.search(found[0], max(_SEARCHES, found[1]))

    def _refuses(self, hold: float, now: float) -> None:
        """Send one request at a time, more and more seldom, since nothing is granted."""
        pause = self.quota.refuse(now)
        self._generation += 1
        self._was_granted, self._row = False, 0
        if hold <= 0.0:
            self._rests_until = now + pause
        self._resumed = max(now, self._held_until, self._rests_until)

    def _is_for_their_number(self, ticket: Ticket, now: float) -> bool:
        is_paced = self.pace.is_known
        if not self._at_once.explains(ticket.flight, ticket.in_flight, self.in_flight, is_paced=is_paced):
            return False
        if self._at_once.is_unsettled:
            self._rests_until = now + _SETTLES
        self._doubted = self.pace.top if is_paced else math.inf
        self.pace.forget()
        return True

    def _slow_down(self, ticket: Ticket, hold: float, now: float) -> None:
        seen, pace = self._tally.seen(now), self.pace
        since = ticket.time if hold < _DEAF and pace.is_known and not pace.is_search else math.inf
        if self._tally.cut(now, ticket.pace, since, is_told=hold > 0.0):
            self._generation += 1
            if self._tally.is_doubtful:
                pace.search(pace.level, DOUBLES_IN)
            else:
                pace.forget()
                self._opens_again(_DEAF)
            return
        if not pace.is_known and not self.quota.granted:
            return  # nothing was granted yet
        self._resumed = self._deaf_until = max(now, self._held_until)
        if hold > 0.0 and seen.granted < _TELL and self._untold < _UNTOLD:
            self._untold, self._estimate.late = self._untold + 1, 0
            self._opens_again(hold)
        else:
            self._untold = 0
            self.opening.end()
            self._learn(ticket, seen, hold, now)
            self._deaf_until = max(self._resumed, now + _DEAF)
        self._generation += 1
        self._was_granted, self._row, self._at_once.seen = False, 0, 0
        self._next = now + 1.0 / self.rate()

    def _learn(self, ticket: Ticket, seen: Seen, hold: float, now: float) -> None:
        if self.pace.is_known:
            self._estimate.learn(ticket, seen, hold, self.in_flight)
            self._tally.found(self.pace.top)
            return
        self._at_once.usual = float(self._at_once.seen)
        if self._doubted != math.inf:
            self.pace.found(self._doubted)
        else:
            quota, self.quota.is_new = self.quota, True
            self._estimate.search(quota.granted, quota.lasts(now), seen.rate, hold, self._generation)
        self._doubted = math.inf

    def _opens_again(self, pause: float) -> None:
        # What waits meanwhile must not all be sent at once.
        if pause > 0.0 and not self.pace.is_known and not self.window.is_known:
            self.opening.begin(self._held_until)
