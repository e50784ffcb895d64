"""Breaks an API in every way that comes and goes, and counts what that costs: calls, requests, time.

    nox -s outages
    nox -s outages -- nginx haproxy

Blips reset every connection once. Outages take the API away for a while in the middle of a gather, or for good. Then
the same behind nginx and haproxy, as Debian has them: reloaded every second, and with an upstream that goes and comes
back. Every statement of the client is held against what the server applied.
"""

import argparse
import asyncio
import collections
import json
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Literal, Self

import attrs
from faultserver import bodies
from gateways import Gateway, haproxy, is_installed, nginx

from thredfi_async import CustomerRequest, Effect, RetryPolicy, ThredfiClient, ThredfiError

say = sys.stdout.write
Mode = Literal["answers 503", "resets", "closes its port"]
MODES: tuple[Mode, ...] = ("answers 503", "resets", "closes its port")
_BUSINESS = uuid.uuid5(uuid.NAMESPACE_OID, "business")
_AWAY = json.dumps(bodies.problem()).encode()


class Upstream:
    """A fast API that can go away and come back, and counts what it gets.

    Args:
        mode: How it is away.
    """

    def __init__(self, mode: Mode = "resets") -> None:
        """Start with nothing archived."""
        self.mode = mode
        self.requests = 0
        self.served = 0
        self.archived: set[str] = set()
        self._is_away = False
        self._connections: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[Any]] = set()
        self._awaited: tuple[int, asyncio.Event] = (0, asyncio.Event())
        self._port = 0
        self._listener: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    async def __aenter__(self) -> Self:
        """Listen."""
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Listen no more."""
        self._unlisten()
        self.reset()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def reset(self) -> int:
        """Reset every connection once; return how many there were."""
        connections = list(self._connections)
        for writer in connections:
            writer.transport.abort()
        return len(connections)

    async def go(self) -> None:
        """Go away."""
        self._is_away = True
        if self.mode == "closes its port":
            self._unlisten()
        if self.mode != "answers 503":
            self.reset()

    async def come_back(self) -> None:
        """Be there again."""
        self._is_away = False
        if self.mode == "closes its port":
            await self._listen()

    async def has_served(self, answers: int) -> None:
        """Wait until it has answered so many requests."""
        self._awaited = answers, asyncio.Event()
        await self._awaited[1].wait()

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self._port, backlog=2048)
        self._port = self._listener.sockets[0].getsockname()[1]

    def _unlisten(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(writer)
        self._serving.add(task)
        try:
            while True:
                await self._answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._connections.discard(writer)
            self._serving.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = [line for line in head.lower().split("\r\n") if line.startswith("content-length:")]
        if length:
            await reader.readexactly(int(length[0].partition(":")[2]))
        self.requests += 1
        if self._is_away and self.mode != "answers 503":
            writer.transport.abort()
            raise ConnectionError
        if self._is_away:
            _write(writer, 503, _AWAY)
            return
        await asyncio.sleep(0.002)
        customer = head.split(" ")[1].split("/customers/")[1].split("/")[0]
        if head.startswith("POST"):
            self.archived.add(customer)
        self.served += 1
        if self.served == self._awaited[0]:
            self._awaited[1].set()
        _write(writer, 200, bodies.dump(bodies.customer(customer, archived=customer in self.archived)))


def _write(writer: asyncio.StreamWriter, status: int, body: bytes) -> None:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)


@attrs.frozen(kw_only=True)
class Scenario:
    """One way to break an API.

    Args:
        name: What happens.
        calls: How many calls are gathered.
        disturb: What is done while they are running.
        mode: How the API is away.
        connections: The client's `max_connections`.
        attempts: The client's `max_attempts`.
        most_lost: How many calls may fail at most.
        most_requests: Requests for each call, at most.
        gateway: What stands in front of the API.
    """

    name: str
    calls: int
    disturb: Callable[[Upstream, Gateway | None], Awaitable[None]]
    mode: Mode = "resets"
    connections: int = 100
    attempts: int = 4
    most_lost: int = 0
    most_requests: float = 1.1
    gateway: Gateway | None = None


def blip(after: int) -> Callable[[Upstream, Gateway | None], Awaitable[None]]:
    """Reset every connection once, after so many answers."""

    async def disturb(api: Upstream, _: Gateway | None) -> None:
        await api.has_served(after)
        api.reset()

    return disturb


def away(after: int, seconds: float) -> Callable[[Upstream, Gateway | None], Awaitable[None]]:
    """Go away for so long, after so many answers."""

    async def disturb(api: Upstream, _: Gateway | None) -> None:
        if after:
            await api.has_served(after)
        await api.go()
        await asyncio.sleep(seconds)
        await api.come_back()

    return disturb


async def reloads(_: Upstream, gateway: Gateway | None) -> None:
    """Reload the gateway every second."""
    assert gateway is not None
    while True:
        await asyncio.sleep(1.0)
        gateway.reload()


def direct() -> list[Scenario]:
    """Break the API itself."""
    scenarios = [
        Scenario(name="every connection is reset once", calls=5000, connections=connections, disturb=blip(2000))
        for connections in (1, 3, 20, 100, 1000)
    ]
    scenarios += [
        Scenario(
            name=f"dead: {mode}", calls=500, connections=connections, disturb=away(0, 3600.0), mode=mode, most_lost=500
        )
        for mode in MODES
        for connections in (100, 500)
    ]
    scenarios += [
        Scenario(
            name=f"{mode} for {seconds:g} s", calls=10_000, disturb=away(3000, seconds), mode=mode,
            attempts=attempts, most_lost=most_lost,
        )
        for mode in MODES
        for seconds, attempts, most_lost in ((0.3, 4, 0), (3.0, 4, 100), (3.0, 8, 0))
    ]  # fmt: skip
    return scenarios


def behind(make: Callable[..., Gateway], program: str) -> list[Scenario]:
    """Break what stands behind a gateway, or the gateway itself."""
    gateway = make("nothing wrong")
    return [
        Scenario(name=f"{program} reloads every second", calls=15_000, disturb=reloads, gateway=gateway),
        Scenario(
            name=f"{program}, its upstream is away for 3 s", calls=10_000, disturb=away(3000, 3.0),
            mode="closes its port", gateway=gateway, most_lost=100,
        ),
        Scenario(
            name=f"{program}, its upstream is away for 3 s", calls=10_000, disturb=away(3000, 3.0),
            mode="closes its port", gateway=gateway, attempts=8,
        ),
    ]  # fmt: skip


async def run(scenario: Scenario) -> bool:
    """Run one, print its line, and return whether it cost too much or a statement was false."""
    ends: collections.Counter[str] = collections.Counter()
    false, lost = 0, 0
    customers = [uuid.uuid5(_BUSINESS, str(number)) for number in range(scenario.calls)]
    body = CustomerRequest(**bodies.customer_request())
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(Upstream(scenario.mode))
        url = f"http://127.0.0.1:{api.port}"
        if scenario.gateway is not None:
            url = await stack.enter_async_context(scenario.gateway.before(api.port))
        retry = RetryPolicy(max_attempts=scenario.attempts)
        client = ThredfiClient("token", base_url=url, max_connections=scenario.connections, retry=retry)
        await stack.enter_async_context(client)
        disturbing = asyncio.ensure_future(scenario.disturb(api, scenario.gateway))
        await asyncio.sleep(0)
        began = time.monotonic()
        archived = (client.customers.archive(_BUSINESS, customer, body) for customer in customers)
        results: list[Any] = await asyncio.gather(*archived, return_exceptions=True)
        took = time.monotonic() - began
        disturbing.cancel()
        await asyncio.gather(disturbing, return_exceptions=True)
    for customer, result in zip(customers, results, strict=True):
        is_archived = str(customer) in api.archived
        if isinstance(result, ThredfiError):
            lost += 1
            ends[f"{type(result).__name__} {result.effect.name}"] += 1
            false += is_archived if result.effect is Effect.NOT_APPLIED else result.effect is Effect.APPLIED
        elif isinstance(result, BaseException):
            raise result
        else:
            false += not is_archived
    per_call = api.requests / scenario.calls
    is_wrong = bool(false) or lost > scenario.most_lost or per_call > scenario.most_requests
    told = ", ".join(f"{count} {end}" for end, count in sorted(ends.items())) or "-"
    row = f"{scenario.name} | {scenario.connections} | {scenario.attempts} | {scenario.calls} | {per_call:.3f}"
    say(f"| {row} | {lost} | {told} | {took:.1f} s |{' TOO MUCH' if is_wrong else ''}{' FALSE' if false else ''}\n")
    sys.stdout.flush()
    return is_wrong


def main() -> int:
    """Run all scenarios, or those of the kinds that are named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("kinds", nargs="*", choices=["direct", "nginx", "haproxy", []], help="all by default")
    kinds = parser.parse_args().kinds or ["direct", "nginx", "haproxy"]
    scenarios = direct() if "direct" in kinds else []
    for program, make in (("nginx", nginx), ("haproxy", haproxy)):
        if program in kinds and is_installed(program):
            scenarios += behind(make, program)
    say("| what happens | connections | attempts | calls | requests a call | lost | as | time |\n")
    say("|---|---|---|---|---|---|---|---|\n")
    wrong = sum([asyncio.run(run(scenario)) for scenario in scenarios])
    say(f"{wrong} of {len(scenarios)} cost more than they may\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
