"""Hooks that follow clients and calls: what they are told, in what order, and what their headers become."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import pytest
from faultserver import Answer, FaultServer, Healthy, Step, faults
from helpers import BUSINESS, CUSTOMER, GET, HANGS, PATH, POST, Recorder, body, client_of, failure, ring, stuck

from thredfi_async import (
    Attempt,
    AttemptStarted,
    CallContext,
    CallObserver,
    CallStarted,
    ConnectError,
    Effect,
    Event,
    ThredfiClient,
)
from thredfi_async._engine import hooks


class Observer(Recorder):
    """Follows one call, and offers headers."""

    def __init__(self, headers: Any) -> None:
        super().__init__()
        self.headers = headers
        self.started: list[AttemptStarted] = []

    def on_attempt(self, attempt: AttemptStarted, /) -> Mapping[str, str]:
        self.started.append(attempt)
        if isinstance(self.headers, Exception):
            raise self.headers
        offered: Mapping[str, str] = self.headers
        return offered


class Follower(Recorder):
    """A hook that follows every call with an observer of its own."""

    def __init__(self, *, headers: Any = None, follows: bool = True) -> None:
        super().__init__()
        self.headers = headers
        self.follows = follows
        self.clients: list[ThredfiClient] = []
        self.calls: list[CallStarted] = []
        self.observers: list[Observer] = []

    def on_client(self, client: ThredfiClient, /) -> None:
        self.clients.append(client)

    def on_call(self, started: CallStarted, /) -> CallObserver | None:
        self.calls.append(started)
        if not self.follows:
            return None
        self.observers.append(Observer(self.headers))
        return self.observers[-1]


def kinds(events: list[Event]) -> list[str]:
    """Return the names of the events' classes."""
    return [type(event).__name__ for event in events]


async def test_an_observer_gets_the_events_of_its_call() -> None:
    """Each call has an observer, which gets its events in the hook's place; other hooks get all."""
    follower, plain = Follower(), Recorder()
    routes: dict[tuple[str, str], list[Step]] = {POST: [faults.problem(503), Healthy(), Healthy()]}
    async with FaultServer(routes=routes) as server, client_of(server.url, hooks=[follower, plain]) as client:
        await client.customers.archive(BUSINESS, CUSTOMER, body())
        await client.customers.archive(BUSINESS, CUSTOMER, body())
    first, second = follower.observers
    assert follower.events == []
    assert kinds(first.events) == ["Attempt", "RetryScheduled", "Attempt", "CallEnded"]
    assert kinds(second.events) == ["Attempt", "CallEnded"]
    assert plain.events == [*first.events, *second.events]
    assert [started.operation for started in follower.calls] == ["customers.archive"] * 2
    ended = [event for event in first.events if isinstance(event, Attempt)]
    assert [(each.number, each.request) for each in first.started] == [(each.number, each.request) for each in ended]
    assert [each.request.resend_count for each in first.started] == [0, 1]
    assert not any(each.request.is_instrumented for each in first.started)


async def test_a_hook_may_leave_a_call_unfollowed() -> None:
    """A hook that returns no observer gets the events itself."""
    follower = Follower(follows=False)
    async with FaultServer([Healthy()]) as server, client_of(server.url, hooks=[follower]) as client:
        await client.customers.archive(BUSINESS, CUSTOMER, body())
    assert kinds(follower.events) == ["Attempt", "CallEnded"]


@pytest.mark.parametrize("direct", ["1", "0"])
async def test_every_attempt_carries_what_is_offered(direct: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers go out with GETs and POSTs, retried or not, whichever way the POST takes; a caller's own header wins."""
    monkeypatch.setenv("THREDFI_DIRECT_POST", direct)
    follower = Follower(headers={"traceparent": "00-a-b-01", "X-Tenant": "offered"})
    routes: dict[tuple[str, str], list[Step]] = {POST: [faults.problem(503), Healthy()], GET: [Healthy()]}
    async with FaultServer(routes=routes) as server, client_of(server.url, hooks=[follower]) as client:
        await client.customers.archive(BUSINESS, CUSTOMER, headers={"x-tenant": "own"})
        assert [request.header("traceparent") for request in server.requests] == ["00-a-b-01"] * 3
        sent = [[value for name, value in each.headers if name.lower() == "x-tenant"] for each in server.requests]
        assert sent == [["own"]] * 3
        keys = [request.header("Idempotency-Key") for request in server.requests]
        assert (keys[0], keys[1] is None) == (None, False)
        assert keys[1] == keys[2]


@pytest.mark.parametrize(
    ("offered", "problem"),
    [
        ({"Idempotency-Key": "mine"}, "headers[Idempotency-Key]: is set by the client itself"),
        ({"traceparent": "a\r\nb"}, "headers[traceparent]: must be visible ASCII characters, and not empty"),
        ("traceparent", "headers: must be a mapping, not str"),
    ],
)
async def test_headers_that_cannot_be_sent(offered: Any, problem: str, caplog: pytest.LogCaptureFixture) -> None:
    """What a hook offers is checked as all headers are, and left out with a line in the log."""
    follower = Follower(headers=offered)
    with caplog.at_level(logging.WARNING, "thredfi_async"):
        async with FaultServer([Healthy()]) as server, client_of(server.url, hooks=[follower]) as client:
            await client.customers.archive(BUSINESS, CUSTOMER, body())
            (request,) = server.requests
    assert request.header("traceparent") is None
    assert request.header("Idempotency-Key") != "mine"
    assert [record.getMessage() for record in caplog.records] == [
        f"headers of the hook Observer are left out: {problem}"
    ]


async def test_hooks_that_raise(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever the optional methods raise is logged by its name, and the call goes on."""

    class Broken(Recorder):
        def on_client(self, client: object, /) -> None:
            raise RuntimeError("secret")

        def on_call(self, started: CallStarted, /) -> CallObserver | None:
            raise KeyError("secret")

    broken, raising = Broken(), Follower(headers=OSError("secret"))
    with caplog.at_level(logging.WARNING, "thredfi_async"):
        async with FaultServer([Healthy()]) as server, client_of(server.url, hooks=[broken, raising]) as client:
            assert (await client.customers.archive(BUSINESS, CUSTOMER, body())).is_archived
    assert [record.getMessage() for record in caplog.records] == [
        "the hook Broken raised RuntimeError",
        "the hook Broken raised KeyError",
        "the hook Observer raised OSError",
    ]
    assert kinds(broken.events) == ["Attempt", "CallEnded"]


async def test_the_end_of_what_a_call_carries_may_raise(caplog: pytest.LogCaptureFixture) -> None:
    """What a call carries is closed at its end, once, and what that raises changes nothing."""
    closed = list[str]()

    class Carrying(Recorder):
        def on_call(self, started: CallStarted, /) -> CallContext:
            def close() -> None:
                closed.append(started.operation)
                raise ValueError("secret")

            return CallContext({"X-Carried": "1"}, close, is_silent=True)

    hook = Carrying()
    with caplog.at_level(logging.WARNING, "thredfi_async"):
        async with FaultServer([Healthy()]) as server, client_of(server.url, hooks=[hook]) as client:
            await client.customers.archive(BUSINESS, CUSTOMER, body())
            (request,) = server.requests
    assert (request.header("X-Carried"), closed, hook.events) == ("1", ["customers.archive"], [])
    assert [record.getMessage() for record in caplog.records] == ["the hook Carrying raised ValueError"]


async def test_a_hook_knows_its_clients() -> None:
    """A hook is told of each client that has it, and of none twice."""
    first, second = Follower(), Follower()
    client = ThredfiClient("secret-token", hooks=[first])
    other = client.with_options(hooks=[second])
    assert (first.clients, second.clients) == ([client], [other])
    assert (client.hooks, other.hooks) == ((first,), (first, second))


async def test_what_requests_are_about() -> None:
    """The template of every path is the one that the request has, behind the base URL's own path, and holds no id."""
    follower = Follower()
    page = Answer.json(200, {"count": 0, "next": None, "previous": None, "results": []})
    routes: dict[tuple[str, str], list[Step]] = {("GET", "/customers/"): [page], GET: [Healthy(), Healthy()]}
    async with FaultServer(routes=routes) as server, client_of(f"{server.url}/api", hooks=[follower]) as client:
        await client.customers.get(BUSINESS, CUSTOMER)
        _ = [each async for each in client.customers.list(BUSINESS)]
        await client.request("GET", PATH)
        paths, port = [request.path for request in server.requests], server.port
    found = [started.request for observer in follower.observers for started in observer.started]
    templates = [None if each.url_template is None else _filled(each.url_template) for each in found]
    assert templates == [*paths[:2], None]
    assert {(each.server_address, each.server_port) for each in found} == {("127.0.0.1", port)}


def _filled(template: str) -> str:
    return template.format(business_id=BUSINESS, customer_id=CUSTOMER)


async def test_a_token_that_cannot_be_had() -> None:
    """Without a token nothing is sent: the attempt ends without a request, and none was started."""

    async def provider() -> str:
        raise OSError

    follower = Follower()
    client = ThredfiClient(token_provider=provider, hooks=[follower], max_retries=0)
    await failure(client.customers.get(BUSINESS, CUSTOMER), ConnectError)
    await client.aclose()
    (observer,) = follower.observers
    assert observer.started == []
    assert [event.request for event in observer.events if isinstance(event, Attempt)] == [None]


@pytest.mark.parametrize(
    ("how", "error"),
    [("cancelled", "CancelledError"), ("overdue", "RequestTimeoutError"), ("closed", "ClientStateError")],
)
async def test_an_attempt_that_is_cut_off(how: str, error: str) -> None:
    """An attempt that was cut off ends with an event that says why, and what it may have done."""
    hook = Recorder()
    async with FaultServer([HANGS]) as server, client_of(server.url, hooks=[hook]) as client:
        call = asyncio.create_task(client.customers.archive(BUSINESS, CUSTOMER, body(), settle=False))
        await server.until(lambda: server.applied == 1)
        if how == "cancelled":
            call.cancel()
        elif how == "overdue":
            ring(client)
        else:
            await client.aclose(drain=0.0)
        await asyncio.wait([call])
    assert kinds(hook.events) == ["Attempt", "CallEnded"]
    (attempt,) = hook.attempts
    assert (attempt.status, attempt.error, attempt.effect) == (None, error, Effect.UNKNOWN)
    assert attempt.request is not None


async def test_a_cut_while_a_token_is_fetched() -> None:
    """A call that is cut off before it has a token has no attempt."""
    async with stuck("fetching a token") as case:
        case.call.cancel()
        await asyncio.wait([case.call])
        assert case.hook.attempts == []


async def test_a_call_that_never_had_its_turn() -> None:
    """A call whose turn never came is followed all the same, from its start to its end."""
    follower = Follower()
    async with FaultServer([]) as server, client_of(server.url, hooks=[follower], max_connections=1) as client:
        assert client._limiter.acquire_nowait()
        call = asyncio.create_task(client.customers.get(BUSINESS, CUSTOMER))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
        client._limiter.release()
    (observer,) = follower.observers
    assert kinds(observer.events) == ["CallEnded"]


@pytest.mark.parametrize("value", ["", " a", "a ", "a\r\nb", "\x7f", "é", "a" * 8191, b"a"])
def test_a_name_that_was_good_before(value: Any) -> None:
    """The value of a name that is known is checked too."""
    assert hooks.checked(None, {"X-Known": "a b"}) == {"X-Known": "a b"}
    assert hooks.checked(None, {"X-Known": "a"}) == {"X-Known": "a"}
    assert hooks.checked(None, {"X-Known": value}) == {}


def test_names_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that were found good are remembered, but not ever more of them."""
    known: set[str] = set()
    monkeypatch.setattr(hooks, "_good_names", known)
    monkeypatch.setattr(hooks, "_MOST_NAMES", 1)
    for name in ("X-One", "X-One", "X-Two"):
        assert hooks.checked(None, {name: "1"}) == {name: "1"}
    assert known == {"X-One"}
