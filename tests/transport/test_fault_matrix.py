"""Every row of the fault matrix, over real sockets: the call ends as the table says, and its effect is true."""

import asyncio
import contextlib
import errno
import hashlib
import math
import socket
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from compat import PARSES_IN_PYTHON
from fault_matrix import MATRIX, OTHER, Ends, Row
from fault_matrix_page import PAGE, markdown
from faultserver import Answer, Connection, Cut, FaultServer, Healthy, Point, Request, Step, Stray, bodies
from faultserver.certificates import NAME, client_context, server_context
from faultserver.script import Script

from thredfi_async import (
    APIError,
    CallEnded,
    Customer,
    CustomerRequest,
    Effect,
    Event,
    PartnerCredentials,
    RawResponse,
    RequestTimeoutError,
    RetryBudget,
    RetryPolicy,
    ThredfiClient,
    ThredfiError,
    Timeouts,
)

BUSINESS = "33333333-3333-4333-8333-333333333333"
CUSTOMER = "11111111-1111-4111-8111-111111111111"
AFTERWARDS = "55555555-5555-4555-8555-555555555555"
RIVAL = "44444444-4444-4444-8444-444444444444"
BODY = CustomerRequest(**bodies.customer_request())
ROWS = {f"{section}: {row}": row for section, rows in MATRIX.items() for row in rows}


class Clock:
    """The running loop's clock, but it skips sleeps."""

    def __init__(self) -> None:
        self.waited = 0.0
        self.on_sleep: Callable[[], None] = lambda: None

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time() + self.waited

    async def sleep(self, seconds: float) -> None:
        self.waited += seconds
        self.on_sleep()
        await asyncio.sleep(0)


class Recorder:
    """A hook that keeps how calls ended."""

    def __init__(self) -> None:
        self.ended: list[CallEnded] = []

    def on_event(self, event: Event, /) -> None:
        if isinstance(event, CallEnded):
            self.ended.append(event)


class Resolver(AbstractResolver):
    """A name server that fails so many times, with an error or in silence, and then resolves all names to loopback."""

    def __init__(self, row: Row) -> None:
        self.failures = math.inf if row.times is None else row.times
        self.is_silent = row.reach == "silent name"
        self.well = asyncio.Event()

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        if self.failures > 0:
            self.failures -= 1
            if not self.is_silent:
                raise OSError(socket.EAI_NONAME, "Name or service not known")
            await self.well.wait()
        here: ResolveResult = {
            "hostname": host,
            "host": "127.0.0.1",
            "port": port,
            "family": socket.AF_INET,
            "proto": 0,
            "flags": socket.AI_NUMERICHOST,
        }
        return [here]

    async def close(self) -> None:
        """Do nothing."""


class Tunnel:
    """A working proxy: it connects to the requested address, and passes bytes both ways."""

    at: Point = "request"

    async def play(self, conn: Connection) -> None:
        request = await conn.read_body()
        name, _, port = request.target.rpartition(":")
        assert name == NAME
        reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
        await conn.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        back = asyncio.create_task(self._back(reader, conn), name="tunnel")
        try:
            while conn._buffer or await conn._fill(65_536):
                writer.write(bytes(conn._buffer))
                conn._buffer.clear()
        finally:
            writer.close()
            conn.close()
            back.cancel()
            await asyncio.wait([back])

    async def _back(self, reader: asyncio.StreamReader, conn: Connection) -> None:
        while data := await reader.read(65_536):
            await conn.send(data)


class World:
    """A row's server, proxy and client."""

    def __init__(self, row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
        self.row = row
        self.clock = Clock()
        self.recorder = Recorder()
        self.resolver = Resolver(row)
        self.is_listening = row.reach not in {"refused", "unanswered"}
        self.server = FaultServer(tls="good" if row.reach == "CONNECT" else row.tls, listening=self.is_listening)
        self.proxy = FaultServer(listening=row.reach != "refused CONNECT")
        self.fillers: list[socket.socket] = []
        monkeypatch.setattr("aiohttp.connector.DefaultResolver", self._resolver)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[ThredfiClient]:
        """Run the servers, and a client that reaches them as the row says."""
        async with contextlib.AsyncExitStack() as servers:
            await servers.enter_async_context(self.server)
            if self.row.reach.endswith(("CONNECT", "proxy")):
                await servers.enter_async_context(self.proxy)
            try:
                if self.row.reach == "unanswered":
                    self._crowd()
                if not self.is_listening and self.row.times is not None:
                    self.clock.on_sleep = self._listen
                async with self._client() as client:
                    yield client
            finally:
                self._disperse()

    def install(self) -> None:
        """Do what the row says from now on."""
        row = self.row
        self._set(
            self.server,
            row.steps if row.hits == "connection" else (Healthy(),),
            {
                ("POST", f"{RIVAL}/archive/"): (Cut("request", "hang"),),
                ("POST", "/archive/"): row.steps if row.hits == "POST" else row.post,
                ("POST", bodies.TOKEN_PATH): row.steps if row.hits == "token" else row.token,
                ("GET", "/"): row.steps if row.hits == "GET" else row.get,
            },
        )
        steps = row.steps if row.hits == "CONNECT" else (Healthy(),)
        self._set(self.proxy, tuple(Tunnel() if isinstance(step, Healthy) else step for step in steps), {})

    def heal(self) -> None:
        """Work normally from now on."""
        self._set(self.server, (Healthy(),), {})
        self._set(self.proxy, (Tunnel(),), {})
        if self.server._tls is not None:
            self.server._tls = server_context("good")
        self.resolver.failures = 0
        self.resolver.well.set()
        self._listen()
        if self.row.reach == "refused CONNECT":
            self.proxy.listen()
        self.clock.waited += 1000  # after any cooldown

    @property
    def received(self) -> list[Request]:
        """Return what was received for this row's customer, for a token, or by the proxy; in order."""
        requests = sorted([*self.proxy.requests, *self.server.requests], key=lambda request: request.arrived)
        return [request for request in requests if bodies.customer_id_in(request.path) in {None, CUSTOMER}]

    @property
    def tasks(self) -> "set[asyncio.Task[Any]]":
        """Return the tasks that are not the servers' own."""
        own = self.server._tasks | self.proxy._tasks
        return {task for task in asyncio.all_tasks() if task not in own and task.get_name() != "tunnel"}

    def _resolver(self, **_: object) -> Resolver:
        return self.resolver

    def _client(self) -> ThredfiClient:
        row, call = self.row, self.row.call
        url, proxy = self.server.url, None
        if row.reach in {"unknown name", "silent name"}:
            url = f"http://localhost:{self.server.port}"
        if row.reach.endswith(("CONNECT", "proxy")):
            proxy = self.proxy.url
        if row.reach.endswith("CONNECT"):
            # No request to this machine goes through a proxy.
            url = f"https://{NAME}:{self.server.port}"
        return ThredfiClient(
            None if call.credentials else "token",
            credentials=PartnerCredentials(BUSINESS, "api-key") if call.credentials else None,
            base_url=url,
            timeouts=Timeouts(connect=call.connect, read=call.read, deadline=call.deadline, queue=call.queue),
            retry=RetryPolicy(max_attempts=call.max_attempts, budget=RetryBudget(call.budget), jitter=lambda: 0.0),
            max_connections=call.max_concurrency,
            max_body_bytes=call.max_body_kib * 1024,
            hooks=[self.recorder],
            proxy=proxy,
            ssl=client_context() if url.startswith("https") else True,
            clock=self.clock,
        )

    def _set(
        self, server: FaultServer, script: tuple[Step, ...], routes: dict[tuple[str, str], tuple[Step, ...]]
    ) -> None:
        server._script = Script(script, repeat_last=True)
        server._routes = {key: Script(steps, repeat_last=True) for key, steps in routes.items()}

    def _crowd(self) -> None:
        """Like `ports.unanswered`, but on a port that can start working: Linux drops SYNs when the queue is full."""
        self.server._socket.listen(0)
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            assert filler.connect_ex(self.server._socket.getsockname()) in {0, errno.EINPROGRESS}
            self.fillers.append(filler)

    def _disperse(self) -> None:
        for filler in self.fillers:
            filler.close()
        self.fillers.clear()

    def _listen(self) -> None:
        if self.is_listening:
            return
        self.is_listening = True
        if self.fillers:
            self._disperse()
            with contextlib.suppress(BlockingIOError):
                while True:
                    self.server._socket.accept()[0].close()
        self.server.listen()


async def observe(world: World, client: ThredfiClient) -> tuple[Ends, ThredfiError | None]:
    """Make the row's call, and return how it ended."""
    row = world.row
    if row.before is not None:
        await _before(world, client)
    world.install()
    rivals: list[asyncio.Task[Customer]] = []
    if row.rival == "before":
        rivals.append(asyncio.create_task(client.customers.archive(BUSINESS, RIVAL, BODY, timeouts=Timeouts())))
        await world.server.until(lambda: len(world.server.requests) == 1)
    call = asyncio.create_task(_archive(client, row))
    if row.rival == "behind":
        rivals.append(asyncio.create_task(client.customers.archive(BUSINESS, RIVAL, BODY, timeouts=Timeouts())))
    (result,) = await asyncio.gather(call, return_exceptions=True)
    for rival in rivals:
        rival.cancel()
        await asyncio.wait([rival])
    if isinstance(result, BaseException) and not isinstance(result, ThredfiError):
        raise result
    (ended,) = (event for event in world.recorder.ended if event.outcome != "cancelled")
    error = result if isinstance(result, ThredfiError) else None
    how = "archived" if error is None else _how(error)
    attempts = result.attempts
    names = ["token" if request.path.endswith(bodies.TOKEN_PATH) else request.method for request in world.received]
    applied = sum(bodies.customer_id_in(request.path) == CUSTOMER for request in world.server.applied_requests)
    says = "" if error is None else "; ".join([str(error), *getattr(error, "__notes__", ())])
    assert (ended.outcome, ended.attempts) == ("succeeded" if error is None else "failed", attempts)
    if isinstance(result, ThredfiError):
        assert ended.effect == result.effect
    else:
        assert result.already_archived == (ended.effect is Effect.NOT_APPLIED)
    connections, waited = world.server.connections, round(world.clock.waited, 1)
    return Ends(how, str(ended.effect), attempts, " ".join(names), applied, connections, says, waited), error


async def _archive(client: ThredfiClient, row: Row) -> RawResponse[Customer]:
    return await client.customers.with_raw_response.archive(
        BUSINESS, CUSTOMER, BODY if row.call.body else None, settle=row.call.settle, idempotency_key=row.call.key
    )


async def _before(world: World, client: ThredfiClient) -> None:
    assert world.row.before is not None
    world._set(world.server, (world.row.before,), {})
    await client.customers.archive(BUSINESS, OTHER, BODY)
    await world.server.until(lambda: world.server.played == 1)
    await asyncio.sleep(0.01)  # time for the client to notice the state of its connection
    world.recorder.ended.clear()


def _how(error: ThredfiError) -> str:
    match error:
        case APIError(status=detail) | RequestTimeoutError(phase=detail):
            return f"{type(error).__name__} {detail}"
        case _:
            return type(error).__name__


def spelled_out(received: str) -> str:
    """Expand `POST*2 GET` to `POST POST GET`."""
    pairs = (part.partition("*") for part in received.split())
    return " ".join(" ".join([name] * int(count or 1)) for name, _, count in pairs)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
async def test_row(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call ends as the row says, its effect is true, nothing is left behind, and the client still works."""
    world = World(row, monkeypatch)
    before = asyncio.all_tasks()
    async with world.running() as client:
        seen, error = await observe(world, client)
        ends = row.pure or row.ends if PARSES_IN_PYTHON else row.ends
        assert ends.says in seen.says
        assert replace(seen, says=ends.says) == replace(ends, received=spelled_out(ends.received))
        assert_true(row, seen)
        assert_same_request(world, error)
        world.heal()
        assert client._limiter.in_use == 0
        await client.customers.archive(
            BUSINESS, AFTERWARDS, BODY, retry=RetryPolicy(jitter=lambda: 0.0), timeouts=Timeouts()
        )
        assert AFTERWARDS in world.server.applied_ids
        assert client._limiter.in_use == 0
        assert world.tasks == before
    assert asyncio.all_tasks() == before


def assert_true(row: Row, seen: Ends) -> None:
    """Check the call's effect against what the server did."""
    if seen.how == "archived":
        assert seen.applied or row.archived
    if seen.effect == "NOT_APPLIED":
        assert not seen.applied
    if seen.effect == "APPLIED":
        assert seen.applied


def assert_same_request(world: World, error: ThredfiError | None) -> None:
    """Check that every attempt carries the same key and the same bytes."""
    posts = [request for request in world.received if bodies.is_archive(request)]
    keys = {request.header("Idempotency-Key") for request in posts}
    assert len(keys) <= 1
    assert len({request.body for request in posts if request.complete}) <= 1
    if world.row.call.key is not None:
        assert keys == {world.row.call.key}
    if error is not None and keys:
        assert {error.idempotency_key} == keys


SAMPLE = Request("POST", f"/v1/platform/businesses/{BUSINESS}/customers/{CUSTOMER}/archive/", [], 1)


def played(step: Step) -> object:
    """Return what a server does in this step, for comparison."""
    match step:
        case Answer():
            sent = hashlib.sha256(step._what_is_sent(step.render(SAMPLE))).hexdigest()
            return (sent, step.ending, step.is_applied, step.drip_size, step.drip_pause, step.delay)
        case Stray():
            return (played(step.first), played(step.stray))
        case _:
            return step


def path(row: Row) -> object:
    """Return the server's steps in a row: how it was reached, and how it handled each kind of request."""
    before = None if row.before is None else played(row.before)
    answers = tuple(tuple(played(step) for step in steps) for steps in (row.steps, row.post, row.get, row.token))
    return (row.reach, row.tls, before, row.hits, answers, row.rival)


def test_every_row_differs() -> None:
    """No row duplicates another, in how the call ends or in what the server does."""
    names: dict[object, list[str]] = {}
    for name, row in ROWS.items():
        names.setdefault((row.ends, path(row)), []).append(name)
    assert [doubles for doubles in names.values() if len(doubles) > 1] == []
    assert len(ROWS) == sum(len(rows) for rows in MATRIX.values())


def test_enough_rows_differ_by_what_can_be_seen_alone() -> None:
    """At least 60 rows differ from every other by how the call ends and what the server received and applied."""
    assert len({row.ends for row in ROWS.values()}) >= 60


def test_page_shows_the_table() -> None:
    """The page in the documentation is generated from the table."""
    assert PAGE.read_text("utf-8") == markdown(), "run: nox -s fault_matrix_page"
