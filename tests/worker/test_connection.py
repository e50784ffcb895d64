"""The connection is made again, whatever ended it, and nothing that a server does keeps it from ending."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from clocks import FakeClock
from fakenats import FakeNats
from helpers import leaving_nothing, until
from nats.aio.client import Client
from natsserver import NatsServer
from workerpark import TOPOLOGY, queue

from thredfi_async.worker import BrokerError, NatsSettings
from thredfi_async.worker.broker import Broker, connected
from thredfi_async.worker.conditions import Conditions
from thredfi_async.worker.nats_client import NatsClient
from thredfi_async.worker.supervision import Supervisor

ENDS: dict[str, bytes | None] = {
    "the login expired": b"-ERR 'User Authentication Expired'\r\n",
    "the account expired": b"-ERR 'Account Authentication Expired'\r\n",
    "the login was revoked": b"-ERR 'Authorization Violation'\r\n",
    "too many connections": b"-ERR 'maximum connections exceeded'\r\n",
    "too many connections of the account": b"-ERR 'maximum account active connections exceeded'\r\n",
    "too slow": b"-ERR 'Slow Consumer Detected'\r\n",
    "stale": b"-ERR 'Stale Connection'\r\n",
    "a subscription that is invalid": b"-ERR 'Invalid Subscription'\r\n",
    "an error that does not exist yet": b"-ERR 'Whatever Comes Next'\r\n",
    "an error without words": b"-ERR \r\n",
    "an INFO that is no JSON": b"INFO {\r\n",
    "a line of no protocol": b"HELLO\r\n",
    "a message that is malformed": b"MSG a b c d e f\r\n",
    "a closed connection": None,
}


@contextlib.asynccontextmanager
async def connected_to(server: FakeNats, clock: FakeClock, **settings: Any) -> AsyncGenerator[Broker]:
    """Connect with waits that take no time."""
    async with connected(NatsSettings(url=server.url, **settings), clock=clock) as broker:
        yield broker


@pytest.mark.parametrize("end", ENDS.values(), ids=[name.replace(" ", "-") for name in ENDS])
async def test_whatever_ends_it(end: bytes | None, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """After each way in which a connection can end, there is a new one, with the same subscriptions, and a warning."""
    async with leaving_nothing(), FakeNats(end) as server, connected_to(server, clock):
        async with asyncio.timeout(5):
            while len(server.subscriptions) < 2 or not server.subscriptions[1]:  # noqa: ASYNC110 - another task's list
                await asyncio.sleep(0.001)
    assert server.accepted == 2
    assert "NATS is disconnected: " in caplog.text


async def test_what_the_server_said_is_told(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """The warning has the server's own words."""
    async with FakeNats(ENDS["the account expired"]) as server, connected_to(server, clock):
        await until(lambda: server.accepted == 2)
    assert "NATS is disconnected: account authentication expired; connecting again" in caplog.text


@pytest.mark.parametrize("greeting", [b"-ERR 'too many'\r\n", b"INFO []\r\n", b"x" * 100_000, b"\r\n"])
async def test_a_server_that_does_not_greet(greeting: bytes) -> None:
    """Whatever comes in the place of a greeting is an error in words, and leaves nothing behind."""
    async with leaving_nothing(), FakeNats(greets=greeting) as server:
        with pytest.raises(BrokerError, match="NATS cannot be reached at nats://"):
            async with connected(NatsSettings(url=server.url), within=0.2):
                pytest.fail("it cannot be")


async def test_no_more_connections(tmp_path: Path) -> None:
    """A server that takes no more connections is told in its own words, though it closes before it is asked."""
    configuration = tmp_path / "nats.conf"
    configuration.write_text("max_connections: 1")
    with NatsServer(tmp_path, "--config", str(configuration)) as server:
        settings = NatsSettings(url=server.url)
        async with connected(settings):
            conditions = Conditions(lambda: 0.0)
            async with connected(settings, within=None, clock=FakeClock(), conditions=conditions):
                await until(lambda: "maximum connections exceeded" in str(conditions.reason("nats")), within=10)


async def test_long_words_of_a_server(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """What a server says is told up to a bound, and without anything that a terminal would obey."""
    said = b"-ERR '\x1b[31m" + b"x" * 20_000 + b"'\r\n"
    async with FakeNats(said) as server, connected_to(server, clock):
        await until(lambda: server.accepted == 2)
    (line,) = [line for line in caplog.messages if "NATS is disconnected: " in line]
    assert line.isprintable()
    assert len(line) < 500


async def test_waits_grow_and_are_bounded(clock: FakeClock) -> None:
    """While no server answers, attempts go on for ever, after growing waits of ten seconds at most."""
    conditions, supervisor = Conditions(clock.monotonic), Supervisor(clock)
    settings = NatsSettings(url="nats://127.0.0.1:9")
    async with connected(settings, within=None, clock=clock, conditions=conditions, supervisor=supervisor):
        await until(lambda: len(clock.sleeps) > 8)
        (trouble,) = conditions.lines()
    assert clock.sleeps[0] <= 0.5
    assert all(5.0 <= seconds <= 10.0 for seconds in clock.sleeps[5:])
    assert "NATS cannot be reached at nats://127.0.0.1:9: Connection refused (for " in trouble


async def test_a_login_that_comes_and_goes_is_not_hammered(clock: FakeClock) -> None:
    """A server that ends each connection at once gets attempts after growing waits, not as fast as it ends them."""
    async with FakeNats(*[None] * 9) as server, connected_to(server, clock):
        await until(lambda: server.accepted == 10)
    assert clock.sleeps[-1] >= 5.0


async def test_a_missing_permission_does_not_end_it(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """A permission that is denied is told, in the log and as a condition that passes, and the connection stays."""
    denied = b"-ERR 'Permissions Violation for Publish to \"thredfi.archive\"'\r\n"
    async with FakeNats(denied) as server, connected_to(server, clock) as broker:
        await until(lambda: bool(broker.troubles))
        assert broker.troubles == [
            'NATS denies something to this login: permissions violation for publish to "thredfi.archive" (for 0 s)'
        ]
        clock.now += 61
        assert (broker.troubles, server.accepted) == ([], 1)


async def test_a_server_that_says_nothing() -> None:
    """A server that accepts and is silent does not keep anyone: the end comes in time, and leaves nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with leaving_nothing():
            settings = NatsSettings(url=f"nats://127.0.0.1:{silent.getsockname()[1]}")
            with pytest.raises(BrokerError, match="no answer in time"):
                async with connected(settings, within=0.05):
                    pytest.fail("it cannot be")


async def test_a_frozen_server_keeps_no_one(tmp_path: Path) -> None:
    """With a server that is halted, a store can be cancelled and the connection closed, though megabytes wait."""
    with NatsServer(tmp_path) as server:
        async with leaving_nothing(), queue(server) as broker:
            os.kill(server.pid, signal.SIGSTOP)
            try:
                stores = [
                    asyncio.create_task(
                        broker.store(TOPOLOGY.subject, b"x" * 400_000, message_id=str(number), stream=TOPOLOGY.stream)
                    )
                    for number in range(30)
                ]
                await asyncio.sleep(0.2)
                for store in stores:
                    store.cancel()
                done, left = await asyncio.wait(stores, timeout=5)
                assert (len(done), left) == (30, set())
                assert all(store.cancelled() for store in done)
            finally:
                os.kill(server.pid, signal.SIGCONT)


async def test_a_cancellation_that_comes_with_the_answer_is_not_lost(nats_server: NatsServer) -> None:
    """A cancellation in the very moment of an answer ends the attempt, also where `wait_for` would swallow it."""
    for turns in range(60):
        client = NatsClient(needs_tls=False, on_error=lambda _: None)
        task = asyncio.create_task(client.open(nats_server.url))
        for _ in range(turns):
            await asyncio.sleep(0)
        is_late = task.done()
        task.cancel()
        await asyncio.wait([task])
        assert is_late or task.cancelled()
        await client.shut()


async def test_the_private_names_are_there() -> None:
    """What replaces nats-py's own methods replaces something: a version without them is noticed here."""
    replaced = ("_select_next_server", "_process_info", "_connect_command", "_close", "_flush_pending", "request")
    assert all(name in vars(NatsClient) and callable(getattr(Client, name)) for name in replaced)
    used = {"_transport", "_subs", "_server_pool", "_reading_task", "_flusher_task", "_ping_interval_task"}
    assert used <= vars(Client()).keys()
