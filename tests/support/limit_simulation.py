"""Clients at the limit of an API, without sockets and on a fake clock: every run of a seed is the same.

What decides is the real thing, the limiter's controller. Simulated are only the time, the way, and the API.
"""

import collections
import heapq
import random
import statistics
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import attrs
from limited_apis import Api, RetryAfter, none

_SLACK: Final = 0.0005
_OPENS: Final = 0.03
"""Seconds in which the connections of the first requests open, in any order."""
_LONGEST_PAUSE: Final = 0.1


class Brake(Protocol):
    """What a simulated client asks."""

    def begins(self, now: float) -> Any:
        """Return a ticket for a request that begins now; None if none may."""
        ...

    def next(self, now: float) -> float:
        """Return when one may, unless an answer comes before; infinite if only an answer helps."""
        ...

    def rings(self, now: float) -> None:
        """Note that the moment has come for which it waited."""
        ...

    def granted(self, now: float, ticket: Any) -> None:
        """Note a request that was granted."""
        ...

    def refused(self, now: float, ticket: Any, retry_after: float) -> float:
        """Note one that was refused; return for how many seconds its call waits by itself."""
        ...


@attrs.frozen(kw_only=True)
class Scenario:
    """Clients at one limit.

    Args:
        api: Makes the API.
        retry_after: What it says when it refuses.
        round_trip: Seconds on the way, there and back.
        service: Seconds that the API takes for a request that it grants; a refusal takes none.
        jitter: The part of that by which it varies.
        seconds: How long the run is at most.
        items: Calls of each client; None for as many as it can make.
        clients: When each client begins and ends, in seconds.
        load: Calls a second of each client; None for as many as it can make.
        seed: Of everything that is random.
        late: Seconds by which a timer is late.
        stalls: Seconds at first in which a client starts its calls: nothing else runs in its loop, and what it sends
            leaves only then, in any order.
        pauses: The part of the time in which its loop does not run, in pauses of up to a tenth of a second.
        status: The status of a refusal.
        halts: How often the API's process does not run, as when it collects garbage, and for how many seconds.
    """

    api: Callable[[random.Random], Api]
    retry_after: RetryAfter = none
    round_trip: float = 0.02
    service: float = 0.0
    jitter: float = 0.1
    seconds: float = 60.0
    items: int | None = None
    clients: Sequence[tuple[float, float]] = ((0.0, 1e9),)
    load: float | None = None
    seed: int = 1
    late: float = _SLACK
    stalls: float = 0.0
    pauses: float = 0.0
    status: int = 429
    halts: tuple[float, float] = (1e9, 0.0)


@attrs.define
class Result:
    """What happened.

    Args:
        granted: Times at which requests were granted, by client.
        refused: Times at which requests were refused, by client.
        seconds: How long it took.
        limit: Requests a second that the API grants.
        burst: Requests that it grants beyond that.
        waits: The longest time from a call's first refusal to its end.
    """

    granted: list[list[float]]
    refused: list[list[float]]
    seconds: float
    limit: float
    burst: float
    longest: float = 0.0

    def used(self, since: float = 0.0, until: float | None = None) -> float:
        """Return the part of what the API grants that was used; the burst is taken off from the beginning."""
        until = self.seconds if until is None else until
        count = sum(since <= when < until for times in self.granted for when in times)
        return (count - (self.burst if since == 0.0 else 0.0)) / self.limit / (until - since)

    def refusals(self, since: float = 0.0, until: float = 1e9) -> float:
        """Return the part of the requests that was refused."""
        good = sum(since <= when < until for times in self.granted for when in times)
        bad = sum(since <= when < until for times in self.refused for when in times)
        return bad / max(1, good + bad)

    def shares(self, since: float, until: float) -> list[float]:
        """Return the part of the granted requests of each client."""
        counts = [sum(since <= when < until for when in times) for times in self.granted]
        return [count / max(1, sum(counts)) for count in counts]

    def spread(self, since: float, until: float) -> float:
        """Return the standard deviation of the seconds, as a part of their mean."""
        counts = collections.Counter(int(when) for times in self.granted for when in times if since <= when < until)
        seconds = [counts[second] for second in range(int(since), int(until))]
        return statistics.pstdev(seconds) / max(1e-9, statistics.mean(seconds))


class _Client:
    """One client: calls that wait, and the brake that lets them go."""

    def __init__(self, world: "_World", number: int, brake: Brake) -> None:
        self._world, self._number, self.brake = world, number, brake
        self.left = world.scenario.items if world.scenario.items is not None else 10**12
        self.waiting = 0 if world.scenario.load else self.left
        self.returning = 0
        self.done = 0
        self._wakes = 1e18
        self.stalls_until = world.scenario.clients[number][0] + world.scenario.stalls
        self._pause = (-1.0, -1.0)

    def starts(self) -> None:
        """Start calls, one after the other."""
        self.pump()
        if self._world.now < self.stalls_until:
            self._world.at(min(self.stalls_until, self._world.now + _SLACK), self.starts)

    def at(self, when: float, step: Callable[..., None], *args: Any) -> None:
        """Do something then, or as soon as its loop runs again."""
        self._world.at(max(self.stalls_until, self._runs_at(when)), step, *args)

    def _runs_at(self, when: float) -> float:
        part, choose = self._world.scenario.pauses, self._world.random
        while part and when > self._pause[1]:
            began = self._pause[1] + choose.expovariate(part / (1 - part) / (_LONGEST_PAUSE / 2))
            self._pause = (began, began + _LONGEST_PAUSE * choose.random())
        return self._pause[1] if self._pause[0] <= when <= self._pause[1] else when

    def pump(self) -> None:
        """Send what may be sent, and come back when more may be."""
        world = self._world
        while self.returning or self.waiting:
            ticket = self.brake.begins(world.now)
            if ticket is None:
                due = max(self.brake.next(world.now), world.now) + world.scenario.late
                if due < min(self._wakes, 1e17):
                    self._wakes = due
                    self.at(due, self._wake, due)
                return
            if self.returning:
                self.returning -= 1
            else:
                self.waiting -= 1
            world.send(self, self._number, ticket)

    def _wake(self, due: float) -> None:
        if due == self._wakes:
            self._wakes = 1e18
            self.brake.rings(self._world.now)
            self.pump()

    def comes(self) -> None:
        self.waiting += 1
        self.pump()

    def returns(self) -> None:
        self.returning += 1
        self.pump()


class _World:
    """The time, the way and the API."""

    def __init__(self, scenario: Scenario, brake: Callable[[random.Random], Brake]) -> None:
        self.scenario = scenario
        self.random = random.Random(scenario.seed)
        self.api = scenario.api(self.random)
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._number = 0
        self._ends = [end for _, end in scenario.clients]
        self.clients = [
            _Client(self, number, brake(random.Random(scenario.seed * 1000 + number)))
            for number in range(len(scenario.clients))
        ]
        self.result = Result(
            [[] for _ in self.clients], [[] for _ in self.clients], 0.0, self.api.granted, self.api.burst
        )

    def at(self, when: float, step: Callable[..., None], *args: Any) -> None:
        self._number += 1
        heapq.heappush(self._events, (when, self._number, step, args))

    def run(self) -> Result:
        for client, (begin, end) in zip(self.clients, self.scenario.clients, strict=True):
            self.at(begin, client.starts)
            self.at(end, self._ends_now, client)
            if self.scenario.load:
                self.at(begin, self._load, client, end)
        while self._events and (self.scenario.items is None or any(c.done < self.scenario.items for c in self.clients)):
            when, _, step, args = heapq.heappop(self._events)
            if when > self.scenario.seconds:
                self.now = self.scenario.seconds
                break
            self.now = when
            step(*args)
        self.result.seconds = self.now
        return self.result

    def _load(self, client: _Client, end: float) -> None:
        assert self.scenario.load is not None
        if self.now < end:
            client.comes()
            self.at(self.now + self.random.expovariate(self.scenario.load), self._load, client, end)

    def _ends_now(self, client: _Client) -> None:
        client.waiting = client.returning = 0

    def send(self, client: _Client, number: int, ticket: Any) -> None:
        scenario = self.scenario
        way = scenario.round_trip * (1 + scenario.jitter * (2 * self.random.random() - 1))
        leaves = self.now
        if self.now < client.stalls_until:
            leaves = client.stalls_until + _OPENS * self.random.random()
        self.at(leaves + way / 2, self._arrives, client, number, ticket, way / 2)

    def _arrives(self, client: _Client, number: int, ticket: Any, back: float) -> None:
        every, lasts = self.scenario.halts
        if self.now % every < lasts:
            self.at(self.now - self.now % every + lasts + _SLACK, self._arrives, client, number, ticket, back)
            return
        delay = self.api.arrives(self.now, number)
        if delay < 0:
            self.result.refused[number].append(self.now)
            says = self.scenario.retry_after(self.now, self.api.back_in(self.now))
            client.at(self.now + back, self._refused, client, number, ticket, says)
            return
        self.result.granted[number].append(self.now)
        if delay:
            delay *= 1 + self.scenario.jitter * (2 * self.random.random() - 1)
            self.at(self.now + delay, self.api.leaves)
        client.at(self.now + delay + self.scenario.service + back, self._granted, client, ticket)

    def _granted(self, client: _Client, ticket: Any) -> None:
        client.brake.granted(self.now, ticket)
        client.done += 1
        client.pump()

    def _refused(self, client: _Client, number: int, ticket: Any, says: float) -> None:
        waits = client.brake.refused(self.now, ticket, says)
        if self.now < self._ends[number]:
            client.at(self.now + waits, client.returns)


def simulate(scenario: Scenario, brake: Callable[[random.Random], Brake]) -> Result:
    """Run a scenario to its end."""
    return _World(scenario, brake).run()
