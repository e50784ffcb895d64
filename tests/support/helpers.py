"""Helpers for tests of whole calls: ids, a client, a recording hook, and calls stuck in every possible state."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from clocks import LoopClock
from faultserver import Cut, FaultServer, Step, bodies, faults, ports

from thredfi_async import (
    Attempt,
    CallEnded,
    Customer,
    Effect,
    Event,
    RetryPolicy,
    RetryScheduled,
    ThredfiClient,
    ThredfiError,
    Timeouts,
)
from thredfi_async._engine.call_time import CallTime

BUSINESS = "33333333-3333-4333-8333-333333333333"
CUSTOMER = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
PATH = f"/v1/platform/businesses/{BUSINESS}/customers/{CUSTOMER}/"
PAGES = f"/v1/platform/businesses/{BUSINESS}/customers/"
POST = ("POST", "/archive/")
GET = ("GET", f"/{CUSTOMER}/")
TOKEN = ("POST", bodies.TOKEN_PATH)
PATIENCE = Timeouts(connect=5.0, read=5.0, deadline=20.0)
"""Never reached, even on a busy machine."""
ONCE = RetryPolicy(max_attempts=1)
STEADY = RetryPolicy(jitter=lambda: 1.0)

T = TypeVar("T")


def body(**overrides: Any) -> dict[str, Any]:
    """Return the 20 fields of an archive body."""
    return bodies.customer_request(**overrides)


def client_of(url: str, **settings: Any) -> ThredfiClient:
    """Return a client with a static token and no jitter, unless the settings say otherwise."""
    if not {"credentials", "token_provider"} & settings.keys():
        settings.setdefault("token", "secret-token")
    usual: dict[str, Any] = {"base_url": url, "timeouts": PATIENCE, "retry": STEADY, "clock": LoopClock()}
    return ThredfiClient(**usual | settings)


class Recorder:
    """A hook that keeps every event."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def on_event(self, event: Event, /) -> None:
        self.events.append(event)

    @property
    def attempts(self) -> list[Attempt]:
        return [event for event in self.events if isinstance(event, Attempt)]

    @property
    def retries(self) -> list[RetryScheduled]:
        return [event for event in self.events if isinstance(event, RetryScheduled)]

    @property
    def ends(self) -> list[CallEnded]:
        return [event for event in self.events if isinstance(event, CallEnded)]

    @property
    def ended(self) -> CallEnded:
        """Return the end of the only call."""
        (end,) = self.ends
        return end


async def failure(call: Awaitable[object], kind: type[T]) -> T:
    """Return the error that a call ends in, which must be of exactly this class."""
    try:
        value = await call
    except ThredfiError as error:
        if type(error) is not kind:
            raise
        return error
    raise AssertionError(f"the call succeeded with {value!r}")


def notes(error: BaseException) -> str:
    """Return all notes on an error."""
    return "\n".join(getattr(error, "__notes__", ()))


async def until(condition: Callable[[], bool], *, within: float = 2.0) -> None:
    """Let the loop run until the condition holds."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - a client does not signal changes of its state
            await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def leaving_nothing() -> AsyncGenerator[None]:
    """Check that no new task is left."""
    before = asyncio.all_tasks()
    yield
    assert asyncio.all_tasks() <= before


def ring(client: ThredfiClient) -> None:
    """Let the deadline of the only call in flight expire now."""
    (time,) = client._lifecycle._running
    assert isinstance(time, CallTime)
    assert time._scope is not None
    time._scope.reschedule(asyncio.get_running_loop().time())


def slots_in_use(client: ThredfiClient) -> int:
    """Return how many turns are taken."""
    return client._limiter.in_use


def connections_in_use(client: ThredfiClient) -> int:
    """Return how many connections are used by requests, without idle ones."""
    session = client._transport._session
    connector = None if session is None else session.connector
    return 0 if connector is None else len(connector._acquired)


class SlowClock:
    """A clock that stands still, and whose sleeps last until the test ends them."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.asleep = asyncio.Event()
        self.wake = asyncio.Event()

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.asleep.set()
        await self.wake.wait()


@dataclass
class Stuck:
    """A call that has reached a certain state and stays there."""

    client: ThredfiClient
    call: asyncio.Task[Customer]
    server: FaultServer
    hook: Recorder


HANGS = Cut("request", "hang", applied=True)
_LOST = Cut("request", "rst")
_SCRIPTS: Mapping[str, Mapping[tuple[str, str], list[Step]]] = {
    "sending": {POST: [Cut("headers", "hang")]},
    "waiting for the head": {POST: [HANGS]},
    "reading the body": {POST: [faults.length_beyond_body(how="hang").applied()]},
    "in a second attempt": {POST: [_LOST, HANGS]},
    "queued again": {POST: [_LOST]},
    "sleeping": {POST: [faults.problem(503)]},
    "sleeping after a 429": {POST: [faults.problem(429)]},
    "settling": {POST: [faults.problem(501)], GET: [HANGS]},
    "settling a 409": {POST: [faults.problem(409)], GET: [HANGS]},
    "waiting to settle": {POST: [faults.problem(503, headers={"Retry-After": "1"})]},
    "replaying after a 401": {POST: [faults.problem(401), HANGS]},
}
STUCK = [
    ("queued", Effect.NOT_APPLIED, 0),
    ("fetching a token", Effect.NOT_APPLIED, 0),
    ("connecting", Effect.NOT_APPLIED, 1),
    ("sending", Effect.UNKNOWN, 1),
    ("waiting for the head", Effect.UNKNOWN, 1),
    ("reading the body", Effect.UNKNOWN, 1),
    ("in a second attempt", Effect.UNKNOWN, 2),
    ("replaying after a 401", Effect.UNKNOWN, 2),
    ("sleeping", Effect.UNKNOWN, 1),
    ("sleeping after a 429", Effect.NOT_APPLIED, 1),
    ("queued again", Effect.UNKNOWN, 1),
    ("settling", Effect.UNKNOWN, 2),
    ("settling a 409", Effect.UNKNOWN, 2),
    ("waiting to settle", Effect.UNKNOWN, 1),
]
"""All states in which a call can wait, with its effect and its attempts by then."""


@contextlib.asynccontextmanager
async def stuck(state: str, *more: Step) -> AsyncGenerator[Stuck]:
    """Bring a call into a state; the server has more answers than the call will receive."""
    hook, clock = Recorder(), SlowClock()
    settings: dict[str, Any] = {"hooks": [hook], "max_connections": 1, "clock": clock, "timeouts": Timeouts()}
    fetches = 0

    async def provider() -> str:
        nonlocal fetches
        fetches += 1
        if state == "fetching a token":
            clock.asleep.set()
            await asyncio.Event().wait()
        return f"token-{fetches}"

    if state == "in a second attempt":
        clock.wake.set()
    if state == "waiting to settle":
        settings["retry"] = ONCE
    if state in {"fetching a token", "replaying after a 401"}:
        settings["token_provider"] = provider
    routes = {**_SCRIPTS.get(state, {})}
    routes[POST] = [*routes.get(POST, []), *more]
    async with FaultServer(routes=routes) as server:
        with ports.unanswered() if state == "connecting" else contextlib.nullcontext(server.url) as url:
            client = client_of(url, **settings)
            if state == "queued":
                assert client._limiter.acquire_nowait()
            fields = body(notes="x" * 20_000_000) if state == "sending" else body()
            call = asyncio.create_task(_archive(client, fields))
            await _reach(state, client, server, clock)
            yield Stuck(client, call, server, hook)
            await client.aclose(drain=0.0)


async def _archive(client: ThredfiClient, fields: dict[str, Any]) -> Customer:
    return await client.customers.archive(BUSINESS, CUSTOMER, fields, idempotency_key="key")


async def _reach(state: str, client: ThredfiClient, server: FaultServer, clock: SlowClock) -> None:
    match state:
        case "queued":
            await until(lambda: client._limiter.waiting > 0)
        case "connecting":
            await until(lambda: connections_in_use(client) == 1)
        case "sending":
            await server.until(lambda: len(server.requests) == 1)
            await asyncio.sleep(0.02)
        case "reading the body":
            await server.until(lambda: server.applied == 1)
            await asyncio.sleep(0.02)
        case "settling" | "settling a 409":
            await server.until(lambda: len(server.requests) == 2)
        case "sleeping" | "sleeping after a 429" | "waiting to settle" | "fetching a token" | "queued again":
            await clock.asleep.wait()
            clock.now += 1.0  # the cooldown, if there was one, is over
            if state == "queued again":
                assert client._limiter.acquire_nowait()
                clock.wake.set()
                await until(lambda: client._limiter.waiting > 0)
        case _:
            await server.until(lambda: server.applied == 1)
