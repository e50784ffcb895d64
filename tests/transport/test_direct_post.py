"""A POST without aiohttp's session: the same request, the same answers, and no interference with other requests."""

import asyncio
import contextlib
from functools import partial
from importlib import import_module
from typing import Any
from unittest import mock

import aiohttp
import pytest
from faultserver import Cut, Endless, FaultServer, Healthy, faults
from helpers import BUSINESS, CUSTOMER, ONCE, Recorder, body, client_of, failure, ring
from loops import loop_name

from thredfi_async import APIError, ConnectError, Effect, RequestTimeoutError, Timeouts
from thredfi_async._interfaces import Request, Success
from thredfi_async._transport.connections import Connector, Protocol
from thredfi_async._transport.direct_post import LONGEST, _BufferedProtocol


def request_of(**changed: Any) -> Request[None]:
    """Return a request that can be sent directly, with changes."""
    usual: dict[str, Any] = {"method": "POST", "url": "https://api.example/a/", "body": b""}
    return Request(judge=lambda _: Success(None), **usual | changed)


async def test_the_session_would_send_the_same() -> None:
    """With a session of the caller's own, aiohttp writes the same bytes, except for the case of header names."""
    options: dict[str, Any] = {"idempotency_key": "key-1", "headers": {"user-agent": "mine/1", "X-Trace": "abc"}}
    async with FaultServer([Healthy(), Healthy()]) as server, aiohttp.ClientSession() as session:
        for ways in ({}, {"session": session}):
            async with client_of(server.url, **ways) as client:
                await client.customers.archive(BUSINESS, CUSTOMER, body(), **options)
        ours, aiohttps = server.requests
    assert (ours.method, ours.target, ours.body) == (aiohttps.method, aiohttps.target, aiohttps.body)
    assert sorted((name.lower(), value) for name, value in ours.headers) == sorted(
        (name.lower(), value) for name, value in aiohttps.headers
    )


async def test_answers_that_only_announce() -> None:
    """Informational answers (100 and 103) are skipped."""
    async with FaultServer([faults.informational(100, 103, 102)]) as server, client_of(server.url) as client:
        assert (await client.customers.archive(BUSINESS, CUSTOMER, body())).is_archived


async def test_a_body_that_is_long() -> None:
    """A body that the server may be slow to read goes through the session, which waits."""
    long = body(notes="x" * LONGEST)
    async with FaultServer([Healthy()]) as server, client_of(server.url) as client:
        assert (await client.customers.archive(BUSINESS, CUSTOMER, long)).is_archived
        assert server.requests[0].json()["notes"] == long["notes"]


@pytest.mark.parametrize(
    ("changed", "takes"),
    [({}, True), ({"body": b"x" * (LONGEST + 1)}, False), ({"body": None}, False), ({"method": "GET"}, False)],
)
async def test_what_goes_this_way(changed: dict[str, Any], takes: bool) -> None:
    """A POST with a body that can be written at once is sent directly."""
    async with client_of("https://api.example") as client:
        client._transport._open()
        direct_post = client._transport._direct_post
        assert direct_post is not None
        assert direct_post.can_send(request_of(**changed)) is takes


async def test_the_session_follows_no_redirect_either() -> None:
    """A GET goes through the session, which follows no redirect either."""
    async with FaultServer([faults.redirect(302, "/elsewhere/"), Healthy()]) as server, client_of(server.url) as client:
        error = await failure(client.customers.get(BUSINESS, CUSTOMER), APIError)
        assert (error.status, len(server.requests)) == (302, 1)


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
async def test_no_header_ends_a_line(end: str) -> None:
    """A line break in a header never turns one request into two."""
    async with FaultServer([]) as server, client_of(server.url, retry=ONCE) as client:
        with mock.patch("thredfi_async.resources._headers.headers_problems", return_value=[]):
            call = client.customers.archive(BUSINESS, CUSTOMER, body(), headers={"X-Trace": f"a{end}X-Other: b"})
            error = await failure(call, ConnectError)
        assert (error.effect, error.transient, server.connections) == (Effect.NOT_APPLIED, False, 0)


async def test_a_connection_may_idle_for_longer_than_an_answer() -> None:
    """Silence counts only while waiting for an answer."""
    async with FaultServer([Healthy(), Healthy()]) as server:
        async with client_of(server.url, timeouts=Timeouts(read=0.05)) as client:
            for _ in range(2):
                assert (await client.customers.archive(BUSINESS, CUSTOMER, body())).is_archived
                await asyncio.sleep(0.08)
        assert server.connections == 1


async def test_a_connection_that_is_gone_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pooled connection may be lost in the same moment; it is looked at before the first byte is written."""
    lent = mock.Mock(protocol=None)
    monkeypatch.setattr(Connector, "lend", mock.AsyncMock(return_value=lent))
    async with FaultServer([]) as server, client_of(server.url, retry=ONCE) as client:
        error = await failure(client.customers.archive(BUSINESS, CUSTOMER, body()), ConnectError)
    assert (error.effect, error.transient, error.attempts) == (Effect.NOT_APPLIED, True, 1)
    lent.close.assert_called_once_with()


@pytest.mark.parametrize("way", ["1", "0"], ids=["direct", "session"])
@pytest.mark.parametrize("how", ["closed", "reset", "said something"])
async def test_a_connection_that_goes_while_it_is_lent(how: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens between the pool and the first byte is certain: nothing was sent, and another attempt is made."""
    monkeypatch.setenv("THREDFI_DIRECT_POST", way)
    lend = Connector.lend
    lendings = 0

    async def spoil(*arguments: Any) -> Any:
        nonlocal lendings
        connection: Any = await lend(*arguments)
        lendings += 1
        if lendings == 2:
            match how:
                case "closed":
                    connection.protocol.transport.close()
                case "reset":
                    connection.protocol.transport.abort()
                case _:
                    connection.protocol.data_received(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        return connection

    monkeypatch.setattr(Connector, "lend", spoil)
    hook = Recorder()
    async with FaultServer([Healthy(), Healthy()]) as server, client_of(server.url, hooks=[hook]) as client:
        for _ in range(2):
            assert (await client.customers.archive(BUSINESS, CUSTOMER, body())).is_archived
        assert [request.connection for request in server.requests] == [1, 2]
    assert [(attempt.error, attempt.effect) for attempt in hook.attempts] == [
        (None, Effect.APPLIED),
        ("ConnectError", Effect.NOT_APPLIED),
        (None, Effect.APPLIED),
    ]


@pytest.mark.parametrize("own", [True, False], ids=["our-session", "given"])
async def test_a_connection_that_the_session_finds_closed(own: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """By way of a session it is the same: on a connection that is closed already, nothing of a request leaves."""
    kind = Connector if own else aiohttp.TCPConnector
    connect = kind.connect
    lendings = 0

    async def spoil(*arguments: Any, **more: Any) -> Any:
        nonlocal lendings
        connection: Any = await connect(*arguments, **more)
        lendings += 1
        if lendings == 2:
            connection.protocol.transport.abort()
        return connection

    monkeypatch.setattr(kind, "connect", spoil)
    async with FaultServer([Healthy()]) as server, contextlib.AsyncExitStack() as stack:
        settings = {} if own else {"session": await stack.enter_async_context(aiohttp.ClientSession())}
        async with client_of(server.url, retry=ONCE, **settings) as client:
            await client.customers.get(BUSINESS, CUSTOMER)
            error = await failure(client.customers.archive(BUSINESS, CUSTOMER, body(notes="x" * LONGEST)), ConnectError)
        assert [request.method for request in server.requests] == ["GET"]
    assert (error.effect, error.attempts) == (Effect.NOT_APPLIED, 1)


@pytest.mark.parametrize("status", [100, 102, 103])
@pytest.mark.parametrize("method", ["POST", "long POST", "GET"])
async def test_silence_after_an_announcement(method: str, status: int) -> None:
    """After an informational answer, `Timeouts.read` still bounds the silence."""
    announced = Cut("request", "hang", saying=b"HTTP/1.1 %d Wait\r\n\r\n" % status)
    timeouts = Timeouts(read=0.05, deadline=20.0)
    async with FaultServer([announced]) as server, client_of(server.url, retry=ONCE, timeouts=timeouts) as client:
        fields = body(notes="x" * LONGEST) if method == "long POST" else body()
        call = (
            client.customers.get(BUSINESS, CUSTOMER)
            if method == "GET"
            else client.customers.archive(BUSINESS, CUSTOMER, fields, settle=False)
        )
        error = await failure(call, RequestTimeoutError)
        assert (error.phase, error.effect) == ("read", Effect.NOT_APPLIED if method == "GET" else Effect.UNKNOWN)
        await server.until(lambda: server.open_connections == 0)


async def test_announcements_that_never_end() -> None:
    """Announcements are no answer: the deadline bounds however many of them come."""
    endless = Endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 10)
    async with FaultServer([endless]) as server, client_of(server.url, retry=ONCE) as client:
        archive = client.customers.archive(BUSINESS, CUSTOMER, body(), settle=False)
        call = asyncio.create_task(failure(archive, RequestTimeoutError))
        await server.until(lambda: len(server.requests) == 1)
        for _ in range(3):  # of the loop's iterations, each with thousands of announcements
            await asyncio.sleep(0)
        ring(client)
        error = await call
        assert (error.phase, error.effect) == ("deadline", Effect.UNKNOWN)
        await server.until(lambda: server.open_connections == 0)


async def test_data_may_come_when_the_timer_is_due() -> None:
    """A timer of uvloop that is due at once does not know its time; data that comes before it rings is no error."""
    protocol = _BufferedProtocol(asyncio.get_running_loop(), memoryview(bytearray(64)))
    protocol.read_timeout = 0.0001
    protocol._reschedule_timeout()
    protocol.read_timeout = 30.0
    protocol._reschedule_timeout()
    await asyncio.sleep(0.002)
    assert protocol.exception() is None
    protocol.connection_lost(None)
    assert protocol._watch is None


async def test_no_timer_runs_where_silence_is_allowed() -> None:
    """Without `Timeouts.read`, a connection that had a timer keeps none."""
    protocol = _BufferedProtocol(asyncio.get_running_loop(), memoryview(bytearray(64)))
    protocol.read_timeout = 30.0
    protocol._reschedule_timeout()
    assert protocol._watch is not None
    protocol.read_timeout = None
    protocol._reschedule_timeout()
    protocol._look()
    assert protocol._watch is None


async def test_a_loop_that_reads_before_it_asks_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop of Windows reads into its own memory, and hands that over in pieces: connections can share a buffer."""
    transports: Any = import_module("asyncio.selector_events")
    protocols: Any = import_module("asyncio.protocols")

    def read(transport: Any) -> None:
        data = transport._sock.recv(1 << 18)
        if data:
            protocols._feed_data_to_buffered_proto(transport._protocol, data)
        else:
            transport._read_ready__on_eof()

    if loop_name() == "uvloop":
        pytest.skip("uvloop does not run on Windows")
    monkeypatch.setattr(transports._SelectorSocketTransport, "_read_ready__get_buffer", read)
    monkeypatch.setattr("thredfi_async._transport.direct_post._READ_AT_ONCE", 64)
    async with FaultServer([Healthy()] * 20) as server, client_of(server.url, max_connections=5) as client:
        found = await asyncio.gather(*(client.customers.archive(BUSINESS, CUSTOMER, body()) for _ in range(20)))
    assert [each.id for each in found] == [found[0].id] * 20


@pytest.mark.parametrize("iterations", [1, 2, 3])
async def test_the_reason_of_an_end_is_waited_for(iterations: int) -> None:
    """A transport tells that it is closing before it tells why, as in TLS since Python 3.14: the error says why."""
    loop = asyncio.get_running_loop()
    protocol, reason = Protocol(loop), ConnectionResetError()
    transport = mock.Mock(asyncio.Transport, is_closing=lambda: True)

    def later(left: int) -> None:
        if left:
            loop.call_soon(later, left - 1)
        else:
            protocol.connection_lost(reason)

    transport.abort = partial(later, iterations)
    protocol.connection_made(transport)
    assert protocol.writable() is None
    with pytest.raises(aiohttp.ServerDisconnectedError) as caught:
        await protocol.refuse()
    assert caught.value.__cause__ is reason


async def test_a_reason_that_never_comes_is_not_waited_for() -> None:
    """The wait has an end: without a reason, the error has no cause."""
    protocol = Protocol(asyncio.get_running_loop())
    protocol.connection_made(mock.Mock(asyncio.Transport, is_closing=lambda: True))
    with pytest.raises(aiohttp.ServerDisconnectedError) as caught:
        await protocol.refuse()
    assert caught.value.__cause__ is None
    protocol.connection_lost(None)
