"""TLS: handshakes that will never succeed are said to be so, and calls that are given up leave no socket behind."""

import asyncio
import re
import ssl
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import pytest
from blocking_server import BlockingServer
from faultserver import Connection, Cut, FaultServer, Healthy, Point, Request, Step, faults
from faultserver.certificates import Shown, choosy_client_context, choosy_server_context, client_context
from helpers import BUSINESS, CUSTOMER, ONCE, Recorder, body, client_of, failure, until
from loops import loop_name

from thredfi_async import (
    ConnectError,
    ConnectionLostError,
    Effect,
    RequestTimeoutError,
    ResponseDecodeError,
    RetryPolicy,
    ThredfiClient,
    ThredfiError,
    Timeouts,
)
from thredfi_async._transport.connections import Connector

OLD, NEW = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
QUICK = RetryPolicy(backoff_initial=0.001)
NO_TLS = "no connection: the server does not speak TLS on this port: check base_url"
NO_VERSION = "no connection: there is no TLS version that both sides accept"
NO_CIPHER = "no connection: the server refused the TLS handshake: no common cipher, or it wants a client certificate"
NO_CERTIFICATE = "no connection: the server wants a client certificate, or another one"


async def ending(url: str, context: ssl.SSLContext, **settings: Any) -> ThredfiError:
    """Return the error of a call with four attempts and settling."""
    async with client_of(url, **{"ssl": context, "retry": QUICK, **settings}) as client:
        with pytest.raises(ThredfiError) as caught:
            await client.customers.archive(BUSINESS, CUSTOMER, body())
    return caught.value


def assert_lasting(
    error: ThredfiError, words: str, server: BlockingServer, *, connections: int = 1, attempts: int = 1
) -> None:
    """Check that the error says why, that nothing was sent, and that there was one attempt."""
    assert type(error) is ConnectError
    assert str(error) == words
    assert (error.effect, error.transient, error.attempts) == (Effect.NOT_APPLIED, False, attempts)
    assert (server.connections, server.received) == (connections, b"")
    assert error.__cause__ is None
    assert error.__context__ is None


# Handshakes


@pytest.mark.parametrize(
    "greeting",
    [
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        b"HTTP/1.0 400 Bad Request\r\n\r\n<html>The plain HTTP request was sent to HTTPS port</html>",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"220 mail.example ESMTP\r\n",
        b"\x00\x00\x06\x04\x00\x00\x00\x00\x00" * 3,
    ],
    ids=["HTTP/1.1", "HTTP/1.0", "SSH", "SMTP", "HTTP/2"],
)
async def test_a_port_without_tls(greeting: bytes) -> None:
    """What answers a handshake in another protocol will do so the next time."""
    with BlockingServer(greeting=greeting) as server:
        error = await ending(server.https_url, client_context())
        assert_lasting(error, NO_TLS, server)


@pytest.mark.parametrize(("ours", "theirs"), [(OLD, NEW), (NEW, OLD)])
async def test_no_common_version(ours: ssl.TLSVersion, theirs: ssl.TLSVersion) -> None:
    """Whichever side is too old, no retry helps."""
    with BlockingServer(choosy_server_context(version=theirs)) as server:
        error = await ending(server.https_url, choosy_client_context(version=ours))
        assert_lasting(error, NO_VERSION, server)
        await until(lambda: bool(server.refusals))


async def test_no_common_cipher() -> None:
    """Without a common cipher, no retry helps."""
    theirs = choosy_server_context(version=OLD, cipher="ECDHE-ECDSA-AES256-GCM-SHA384")
    with BlockingServer(theirs) as server:
        error = await ending(
            server.https_url, choosy_client_context(version=OLD, cipher="ECDHE-ECDSA-AES128-GCM-SHA256")
        )
        assert_lasting(error, NO_CIPHER, server)
        await until(lambda: server.refusals == ["NO_SHARED_CIPHER"])


@pytest.mark.parametrize(
    ("shows", "words"), [("nothing", NO_CIPHER), ("a certificate of an unknown authority", NO_CERTIFICATE)]
)
async def test_a_client_certificate_that_is_refused_before_sending(shows: Shown, words: str) -> None:
    """In TLS 1.2 the server looks at the client's certificate within the handshake."""
    with BlockingServer(choosy_server_context(version=OLD, wants_certificate=True)) as server:
        error = await ending(server.https_url, choosy_client_context(version=OLD, shows=shows))
        assert_lasting(error, words, server)
        await until(lambda: bool(server.refusals))


@pytest.mark.parametrize("shows", ["nothing", "a certificate of an unknown authority"])
@pytest.mark.parametrize("method", ["POST", "long POST", "GET"])
async def test_a_client_certificate_that_is_refused_after_sending(method: str, shows: Shown) -> None:
    """In TLS 1.3 the refusal comes when the request may have left; the server has read nothing of it."""
    with BlockingServer(choosy_server_context(version=NEW, wants_certificate=True)) as server:
        context = choosy_client_context(version=NEW, shows=shows)
        fields = body(notes="x" * 100_000) if method == "long POST" else body()
        hook = Recorder()
        async with client_of(server.https_url, ssl=context, retry=QUICK, hooks=[hook]) as client:
            with pytest.raises(ThredfiError) as caught:
                await (
                    client.customers.get(BUSINESS, CUSTOMER)
                    if method == "GET"
                    else client.customers.archive(BUSINESS, CUSTOMER, fields)
                )
        assert server.received == b""
        await until(lambda: bool(server.refusals))
        broken = {attempt.error for attempt in hook.attempts[:-1]}
        if loop_name() == "uvloop" and "ConnectionLostError" in {attempt.error for attempt in hook.attempts}:
            # uvloop writes on, and may see the reset that follows before the alert: then no one knows.
            assert caught.value.effect is (Effect.NOT_APPLIED if method == "GET" else Effect.UNKNOWN)
        elif loop_name() == "uvloop" and re.search("ServerDisconnectedError|ClientOSError", str(caught.value)):
            # Or it closes before the first byte, and does not say why until later.
            assert (type(caught.value), caught.value.effect) == (ConnectError, Effect.NOT_APPLIED)
        else:
            attempts = len(hook.attempts) if loop_name() == "uvloop" and broken else 1
            assert_lasting(caught.value, NO_CERTIFICATE, server, connections=attempts, attempts=attempts)


@pytest.mark.parametrize("way", ["1", "0"], ids=["direct", "session"])
@pytest.mark.parametrize("shows", ["nothing", "a certificate of an unknown authority"])
async def test_a_client_certificate_that_is_refused_before_the_first_byte(
    shows: Shown, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In TLS 1.3 the refusal may also come before anything was written; it says the same, whichever way it went."""
    monkeypatch.setenv("THREDFI_DIRECT_POST", way)
    lend = Connector.lend

    async def late(*arguments: Any) -> Any:
        connection = await lend(*arguments)
        await until(lambda: connection.transport is None)
        return connection

    monkeypatch.setattr(Connector, "lend", late)
    with BlockingServer(choosy_server_context(version=NEW, wants_certificate=True)) as server:
        error = await ending(server.https_url, choosy_client_context(version=NEW, shows=shows))
        assert_lasting(error, NO_CERTIFICATE, server)


@pytest.mark.parametrize("version", [OLD, NEW])
async def test_a_client_certificate_that_is_accepted(version: ssl.TLSVersion) -> None:
    """With the right certificate the request arrives, and what happens to it then is not the handshake's matter."""
    with BlockingServer(choosy_server_context(version=version, wants_certificate=True)) as server:
        error = await ending(
            server.https_url, choosy_client_context(version=version, shows="a good certificate"), retry=ONCE
        )
        assert server.received.startswith(b"POST /v1/platform/")
        assert not server.refusals
    assert type(error) is ConnectionLostError
    assert error.effect is Effect.UNKNOWN


async def test_an_alert_after_the_request_is_no_refused_handshake() -> None:
    """TLS that breaks in the middle of an answer says nothing about the request: UNKNOWN."""

    class Garbles:
        at: Point = "request"

        async def play(self, conn: Connection) -> None:
            await conn.read_body()
            conn.apply()
            await asyncio.get_running_loop().sock_sendall(conn._sock, b"HTTP/1.1 502 no record of TLS\r\n\r\n")
            await conn.end("half-close")

    async with FaultServer([Garbles()], tls="good") as server, reach(server) as client:
        error = await failure(archiving(client), ConnectionLostError)
    assert error.effect is Effect.UNKNOWN


async def test_a_handshake_that_breaks_may_succeed_later() -> None:
    """A connection that ends within the handshake says nothing lasting: the next attempt is served."""
    hook = Recorder()
    script: list[Step] = [Cut("accept", "fin"), Cut("accept", "fin"), Healthy()]
    async with (
        FaultServer(script, tls="good") as server,
        client_of(server.url, ssl=client_context(), retry=QUICK, hooks=[hook]) as client,
    ):
        assert (await client.customers.archive(BUSINESS, CUSTOMER, body())).is_archived
        assert server.applied == 1
    assert [attempt.effect for attempt in hook.attempts] == [
        Effect.NOT_APPLIED,
        Effect.NOT_APPLIED,
        Effect.APPLIED,
    ]


# Sockets


@dataclass
class Deaf:
    """Read a request and begin an answer, or none; then take bytes of TLS without ever answering its polite end."""

    beginning: bytes = b""
    at: Point = "request"

    async def play(self, conn: Connection) -> None:
        await conn.read_body()
        if self.beginning:
            await conn.send(self.beginning)
        loop = asyncio.get_running_loop()
        while await loop.sock_recv(conn._sock, 65_536):
            pass
        conn.close()


@dataclass
class Flood:
    """An answer without end, whose bytes are counted."""

    sent: int = 0
    at: Point = "request"
    piece: bytes = field(default=b"10000\r\n" + b" " * 65_536 + b"\r\n", repr=False)

    async def play(self, conn: Connection) -> None:
        await conn.read_body()
        await conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:  # ends with a ConnectionError when the client has gone
            await conn.send(self.piece)
            self.sent += len(self.piece)


@pytest.fixture(params=["TLS", "plain"])
async def deaf(request: pytest.FixtureRequest) -> AsyncGenerator[FaultServer]:
    """Serve requests that are never answered."""
    async with FaultServer([Deaf()], repeat_last=True, tls="good" if request.param == "TLS" else None) as server:
        yield server


def reach(server: FaultServer, **settings: Any) -> ThredfiClient:
    """Return a client of ten connections."""
    tls = {"ssl": client_context()} if server.url.startswith("https") else {}
    return client_of(server.url, **{"max_connections": 10, "retry": ONCE, **tls, **settings})


def archiving(client: ThredfiClient) -> Any:
    """Make one attempt to archive, without settling."""
    return client.customers.archive(BUSINESS, CUSTOMER, body(), settle=False)


def sockets_to(server: FaultServer) -> int:
    """Return how many connections to the server the kernel has that have not been ended by the client's side."""
    established, port = "01", f":{server.port:04X}"
    with open("/proc/net/tcp", encoding="ascii") as table:  # noqa: PTH123 - not a file of a disk
        rows = [line.split() for line in table][1:]
    return sum(remote.endswith(port) and state == established for _, _, remote, state, *_ in rows)


async def test_calls_that_time_out_leave_no_socket(deaf: FaultServer) -> None:
    """Of 40 calls over 10 connections that are given up, none leaves a socket open, while the client goes on."""
    most = 0
    async with reach(deaf, timeouts=Timeouts(read=0.05, deadline=20.0)) as client:
        calls = [asyncio.create_task(failure(archiving(client), RequestTimeoutError)) for _ in range(40)]
        while not all(call.done() for call in calls):
            await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED, timeout=0.02)
            for _ in range(3):  # of the loop's iterations: it closes what was aborted in the next ones
                await asyncio.sleep(0)
            most = max(most, sockets_to(deaf))
            calls = [call for call in calls if not call.done()]
        await deaf.until(lambda: deaf.open_connections == 0)
    assert deaf.connections == 40
    assert most <= 11


async def test_calls_that_are_cancelled_leave_no_socket(deaf: FaultServer) -> None:
    """A cancelled call's socket is closed at once."""
    async with reach(deaf) as client:
        calls = [asyncio.create_task(failure(archiving(client), ThredfiError)) for _ in range(10)]
        await deaf.until(lambda: len(deaf.requests) == 10)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        await deaf.until(lambda: deaf.open_connections == 0)


async def test_a_deadline_leaves_no_socket(deaf: FaultServer) -> None:
    """Nor does a call that its deadline cuts off."""
    async with reach(deaf, timeouts=Timeouts(deadline=0.2)) as client:
        error = await failure(archiving(client), RequestTimeoutError)
        assert error.phase == "deadline"
        await deaf.until(lambda: deaf.open_connections == 0)


async def test_closing_leaves_no_socket(deaf: FaultServer) -> None:
    """After `aclose()`, neither calls in flight nor idle connections have a socket left."""
    client = reach(deaf)
    calls = [asyncio.create_task(failure(archiving(client), ThredfiError)) for _ in range(10)]
    await deaf.until(lambda: len(deaf.requests) == 10)
    await client.aclose(drain=0.0)
    assert sockets_to(deaf) == 0
    await deaf.until(lambda: deaf.open_connections == 0)
    await asyncio.wait(calls)


@pytest.mark.parametrize("tls", ["good", None], ids=["TLS", "plain"])
async def test_closing_ends_idle_connections(tls: Any) -> None:
    """After `aclose()`, idle connections are closed, also to a server that never answers the polite end of TLS."""
    step = Deaf(faults.good().render(Request("POST", f"/customers/{CUSTOMER}/archive/", [], 1)))
    async with FaultServer([step], repeat_last=True, tls=tls) as server:
        client = reach(server)
        found = await asyncio.gather(*(archiving(client) for _ in range(5)))
        assert all(customer.is_archived for customer in found)
        assert server.open_connections == 5
        await client.aclose()
        assert sockets_to(server) == 0
        await server.until(lambda: server.open_connections == 0)


@pytest.mark.parametrize("tls", ["good", None], ids=["TLS", "plain"])
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_no_more_is_downloaded_than_is_read(method: str, tls: Any) -> None:
    """Past `max_body_bytes` the download ends: only what the kernel's buffers hold has been sent."""
    flood = Flood()
    async with FaultServer([flood], tls=tls) as server, reach(server, max_body_bytes=100_000) as client:
        call = archiving(client) if method == "POST" else client.customers.get(BUSINESS, CUSTOMER)
        await failure(call, ResponseDecodeError)
        await server.until(lambda: server.open_connections == 0)
    assert flood.sent < 12_000_000


async def test_a_handshake_that_is_given_up_leaves_no_socket() -> None:
    """Nor does a connection whose handshake never ended."""
    async with (
        FaultServer([Cut("accept", "hang")], tls="good") as server,
        reach(server, timeouts=Timeouts(connect=0.1, deadline=5.0)) as client,
    ):
        error = await failure(archiving(client), RequestTimeoutError)
        assert error.phase == "connect"
        await server.until(lambda: server.open_connections == 0)
