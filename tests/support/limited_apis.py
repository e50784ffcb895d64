"""APIs with a limit, as a fake clock sees them: each decides whether it grants a request that arrives."""

import collections
import math
import random
from collections.abc import Callable
from typing import Final, Protocol

_ENOUGH: Final = 1.0 - 1e-9


class Api(Protocol):
    """Decides on requests as they arrive.

    Attributes:
        granted: Requests a second that it grants for long; infinite if there is no such bound.
        burst: Requests that it grants beyond that, once.
    """

    granted: float
    burst: float

    def arrives(self, now: float, client: int) -> float:
        """Return the seconds for which the answer to a granted request is delayed; -1 for a refused one."""
        ...

    def back_in(self, now: float) -> float:
        """Return the seconds after which a request would be granted."""
        ...

    def leaves(self) -> None:
        """Note that a granted request was answered."""
        ...


class TokenBucket:
    """Tokens that come at a rate, up to a burst; each request takes one."""

    def __init__(self, rate: float, burst: float = 20.0) -> None:
        self.granted, self.burst = rate, burst
        self._level, self._at = burst, 0.0

    def arrives(self, now: float, client: int) -> float:
        self._fill(now)
        if self._level < _ENOUGH:
            return -1.0
        self._level -= 1.0
        return 0.0

    def back_in(self, now: float) -> float:
        self._fill(now)
        return max(0.0, (1.0 - self._level) / self.granted)

    def leaves(self) -> None:
        """Tokens do not come back."""

    def _fill(self, now: float) -> None:
        self._level = min(self.burst, self._level + (now - self._at) * self.granted)
        self._at = now


class Shut:
    """An API that refuses all between two moments."""

    def __init__(self, api: Api, began: float, ended: float) -> None:
        self.granted, self.burst = api.granted, api.burst
        self._api, self._began, self._ended = api, began, ended

    def arrives(self, now: float, client: int) -> float:
        return -1.0 if self._began <= now < self._ended else self._api.arrives(now, client)

    def back_in(self, now: float) -> float:
        return self._ended - now if self._began <= now < self._ended else self._api.back_in(now)

    def leaves(self) -> None:
        self._api.leaves()


class LeakyBucket(TokenBucket):
    """A bucket whose burst waits in a queue, so that requests go on at the rate."""

    def arrives(self, now: float, client: int) -> float:
        if super().arrives(now, client) < 0:
            return -1.0
        return (self.burst - self._level - 1.0) / self.granted


class FixedWindow:
    """So many requests in each window of so many seconds; the windows begin at multiples of it."""

    def __init__(self, rate: float, seconds: float = 1.0, offset: float = 0.0) -> None:
        self.granted, self.burst = rate, 0.0
        self._most, self._seconds, self._offset = rate * seconds, seconds, offset
        self._window, self._count = -1, 0

    def arrives(self, now: float, client: int) -> float:
        window = math.floor((now + self._offset) / self._seconds)
        if window != self._window:
            self._window, self._count = window, 0
        if self._count + 1 > self._most + 1e-9:
            return -1.0
        self._count += 1
        return 0.0

    def back_in(self, now: float) -> float:
        return self._seconds - (now + self._offset) % self._seconds

    def leaves(self) -> None:
        """Windows end by time."""

    def change(self, rate: float) -> None:
        """Grant another rate from now on."""
        self.granted, self._most = rate, rate * self._seconds


class SlidingWindow:
    """So many requests in any stretch of so many seconds."""

    def __init__(self, rate: float, seconds: float = 10.0) -> None:
        self.granted, self.burst = rate, 0.0
        self._most, self._seconds = rate * seconds, seconds
        self._seen: collections.deque[float] = collections.deque()

    def arrives(self, now: float, client: int) -> float:
        while self._seen and self._seen[0] <= now - self._seconds:
            self._seen.popleft()
        if len(self._seen) + 1 > self._most + 1e-9:
            return -1.0
        self._seen.append(now)
        return 0.0

    def back_in(self, now: float) -> float:
        return max(0.0, self._seen[0] + self._seconds - now) if self._seen else 0.0

    def leaves(self) -> None:
        """Windows end by time."""


class CountsAll:
    """So many requests a second as haproxy counts them: with those that it refused, and a part of the second before.

    Its seconds began with a request of before: the first one here comes so much later.
    """

    def __init__(self, rate: float, seconds: float = 1.0, offset: float = 0.0) -> None:
        self.granted, self.burst = rate, 0.0
        self._most, self._seconds = rate * seconds, seconds
        self._began, self._count, self._before = -offset, 0, 0

    def arrives(self, now: float, client: int) -> float:
        self._roll(now)
        self._count += 1
        return -1.0 if self._sum(now) > self._most else 0.0

    def back_in(self, now: float) -> float:
        return self._seconds

    def leaves(self) -> None:
        """Windows end by time."""

    def _sum(self, now: float) -> float:
        return self._count + self._before * max(0.0, 1.0 - (now - self._began) / self._seconds)

    def _roll(self, now: float) -> None:
        passed = now - self._began
        if passed >= self._seconds:
            self._before = self._count if passed < 2 * self._seconds else 0
            self._count = 0
            self._began += self._seconds * math.floor(passed / self._seconds)


class Concurrency:
    """So many requests at once, each of which takes so many seconds."""

    def __init__(self, most: int, seconds: float) -> None:
        self.granted, self.burst = most / seconds, 0.0
        self._most, self._seconds, self._inside = most, seconds, 0

    def arrives(self, now: float, client: int) -> float:
        if self._inside >= self._most:
            return -1.0
        self._inside += 1
        return self._seconds

    def back_in(self, now: float) -> float:
        return self._seconds

    def leaves(self) -> None:
        self._inside -= 1


class Random:
    """Refuses a part of the requests, however few they are."""

    def __init__(self, part: float, choose: Callable[[], float], capacity: float = 1000.0) -> None:
        self.granted, self.burst = capacity, 0.0
        self._part, self._choose = part, choose

    def arrives(self, now: float, client: int) -> float:
        return -1.0 if self._choose() < self._part else 0.0

    def back_in(self, now: float) -> float:
        return 0.0

    def leaves(self) -> None:
        """It does not count."""


class Both:
    """Two limits, each of which must grant a request."""

    def __init__(self, first: Api, second: Api) -> None:
        self._first, self._second = first, second
        self.granted, self.burst = min(first.granted, second.granted), max(first.burst, second.burst)

    def arrives(self, now: float, client: int) -> float:
        delay = self._first.arrives(now, client)
        if delay < 0:
            return -1.0
        later = self._second.arrives(now, client)
        if later < 0:
            self._first.leaves()
            return -1.0
        return max(delay, later)

    def back_in(self, now: float) -> float:
        return max(self._first.back_in(now), self._second.back_in(now))

    def leaves(self) -> None:
        self._first.leaves()
        self._second.leaves()


class PerBusiness:
    """A limit for each of some businesses, which the requests are for at random."""

    def __init__(self, apis: list[Api], choose: random.Random) -> None:
        self._apis, self._choose, self._last = apis, choose, apis[0]
        self.granted, self.burst = sum(api.granted for api in apis), sum(api.burst for api in apis)

    def arrives(self, now: float, client: int) -> float:
        self._last = self._choose.choice(self._apis)
        return self._last.arrives(now, client)

    def back_in(self, now: float) -> float:
        return self._last.back_in(now)

    def leaves(self) -> None:
        """Their limits are rates."""


class Changing:
    """One limit up to a moment, and then another one."""

    def __init__(self, first: Api, second: Api, at: float) -> None:
        self._first, self._second, self._at = first, second, at
        self.granted, self.burst = first.granted, first.burst

    def arrives(self, now: float, client: int) -> float:
        return (self._first if now < self._at else self._second).arrives(now, client)

    def back_in(self, now: float) -> float:
        return (self._first if now < self._at else self._second).back_in(now)

    def leaves(self) -> None:
        """Both are rates."""


RetryAfter = Callable[[float, float], float]
"""Returns what Retry-After says, of the time now and the seconds after which a request would be granted."""


def none(now: float, back_in: float) -> float:
    """Answer without Retry-After."""
    return 0.0


def rounded_up(now: float, back_in: float) -> float:
    """Give whole seconds."""
    return float(max(1, math.ceil(back_in)))


def exact(now: float, back_in: float) -> float:
    """Give exact milliseconds."""
    return math.ceil(back_in * 1000) / 1000


def date(now: float, back_in: float) -> float:
    """Give a date, which has whole seconds."""
    return max(0.0, math.ceil(now + back_in) - now)


def rounded_down(now: float, back_in: float) -> float:
    """Give whole seconds, as Django REST framework does."""
    return float(math.floor(back_in))


def too_long(now: float, back_in: float) -> float:
    """Give half a minute, whatever is true."""
    return 30.0
