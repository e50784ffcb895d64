"""The start, and readiness: what is missing is named, for how long, and the worker goes on when it is there."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from clocks import FakeClock
from helpers import client_of, leaving_nothing, until
from nats.js.api import DiscardPolicy
from nats.js.api import StreamConfig as JetStreamConfig
from natsserver import NatsServer
from workerpark import TOPOLOGY, commands_for, outcomes, publish, queue

from thredfi_async import AuthenticationError, ThredfiClient
from thredfi_async.mock_server import MockServer
from thredfi_async.worker import ArchiveHandler, BrokerError, NatsSettings, Worker, WorkerOptions
from thredfi_async.worker.broker import Broker, connected
from thredfi_async.worker.gate import Gate
from thredfi_async.worker.streams import ensure_consumer, ensure_streams


def worker_of(url: str, client: ThredfiClient, **options: Any) -> Worker:
    """A worker with short waits."""
    login = options.pop("login", {})
    return Worker(
        client,
        nats=NatsSettings(url=url, **login),
        options=WorkerOptions(poll=0.05, **options),
        handler=ArchiveHandler(client, delay_initial=0.02, delay_max=0.02),
        gate=Gate(wait_initial=0.02, wait_max=0.05),
    )


@contextlib.asynccontextmanager
async def running(worker: Worker) -> AsyncGenerator[asyncio.Event]:
    """Run a worker in the background, with an event that is set once it is ready."""
    ready = asyncio.Event()
    task = asyncio.create_task(worker.run(on_ready=ready.set))
    try:
        yield ready
        worker.stop()
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_nats_comes_later(tmp_path: Path) -> None:
    """While NATS is not there, the worker says so and goes on trying; when it comes, it works."""
    nats = NatsServer(tmp_path)
    async with leaving_nothing(), MockServer(1) as server, client_of(server.url, token=server.token) as client:
        worker = worker_of(nats.url, client)
        async with running(worker) as ready:
            await until(lambda: len(worker.troubles_of_work()) == 2)
            starting, trouble = worker.troubles_of_work()
            assert starting.startswith("it is starting")
            assert trouble.startswith(f"NATS cannot be reached at {nats.url}: Connection refused (for ")
            assert worker.troubles_of_life() == []
            await asyncio.to_thread(nats.start)
            try:
                await asyncio.wait_for(ready.wait(), 20)
                assert worker.troubles_of_work() == []
            finally:
                nats.kill()


async def test_an_end_to_the_patience() -> None:
    """With `connect_timeout`, the start ends with the reason."""
    async with client_of("http://127.0.0.1:9") as client:
        worker = worker_of("nats://127.0.0.1:9", client, connect_timeout=0.1)
        with pytest.raises(BrokerError, match=r"NATS was not ready within 0\.1 s: .*Connection refused"):
            await worker.run()


async def test_a_stop_during_the_start() -> None:
    """A stop before NATS is there ends the worker at once, without an error."""
    async with leaving_nothing(), client_of("http://127.0.0.1:9") as client:
        worker = worker_of("nats://127.0.0.1:9", client)
        async with running(worker) as ready:
            await until(lambda: len(worker.troubles_of_work()) == 2)
        assert not ready.is_set()


async def test_a_server_without_jetstream(tmp_path: Path) -> None:
    """A server without JetStream is named as what it is, not only as an error code."""
    nats = NatsServer(tmp_path, jetstream=False)
    with nats:
        async with client_of("http://127.0.0.1:9") as client:
            worker = worker_of(nats.url, client)
            async with running(worker):
                await until(lambda: any("there is no JetStream" in line for line in worker.troubles_of_work()))
            (trouble,) = (line for line in worker.troubles_of_work() if "JetStream" in line)
    assert "start nats-server with -js, and enable JetStream for the account" in trouble


async def test_wrong_credentials_are_found_at_the_start(nats_server: NatsServer) -> None:
    """A worker with wrong credentials takes no message and says why; with right ones, it goes on."""
    async with MockServer(3) as server, queue(nats_server) as broker:
        await publish(broker, commands_for(server.customers))
        tries = 0

        async def token() -> str:
            nonlocal tries
            tries += 1
            if tries < 3:
                raise AuthenticationError("401", status=401)
            return server.token

        async with client_of(server.url, token_provider=token) as client:
            worker = worker_of(nats_server.url, client)
            async with running(worker) as ready:
                await until(lambda: tries == 2)
                assert any("the API refuses the credentials: " in line for line in worker.troubles_of_work())
                assert (worker.in_flight, ready.is_set()) == (0, False)
                await asyncio.wait_for(ready.wait(), 20)
                await until(lambda: server.requests.applied == 3, within=20)


async def test_the_credentials_are_proved_with_one_token(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    """At its start the worker gets one token, which its calls then use, and says that it was accepted."""
    caplog.set_level("INFO")
    async with MockServer(2) as server, queue(nats_server) as broker:
        await publish(broker, commands_for(server.customers))
        fetched = 0

        async def token() -> str:
            nonlocal fetched
            fetched += 1
            return server.token

        client = client_of(server.url, token_provider=token)
        async with client, running(worker_of(nats_server.url, client)) as ready:
            await ready.wait()
            await until(lambda: server.requests.applied == 2, within=10)
    assert fetched == 1
    assert "the API accepted the credentials" in caplog.text


async def test_outcomes_that_are_not_stored(nats_server: NatsServer) -> None:
    """A stream of outcomes that is full is named with the broker's reason and counted, until there is room again."""
    async with MockServer(4) as server, connected_with_full_outcomes(nats_server) as broker:
        await publish(broker, commands_for(server.customers))
        async with client_of(server.url, token=server.token) as client:
            worker = worker_of(nats_server.url, client)
            async with running(worker):
                await until(lambda: bool(worker.troubles_of_work()) and server.requests.applied == 4, within=10)
                await until(lambda: any("does not store" in line for line in worker.troubles_of_work()), within=10)
                (trouble,) = worker.troubles_of_work()
                assert trouble.startswith("the stream THREDFI_OUTCOMES does not store messages: maximum messages exc")
                assert worker.metrics.value("store_failures_total", stream="outcomes") >= 1
                await broker.jetstream.update_stream(outcomes_of(100))
                await until(lambda: worker.in_flight == 0, within=20)
                await until(lambda: worker.troubles_of_work() == [])
        assert len(await outcomes(broker)) == 4


def outcomes_of(most: int) -> JetStreamConfig:
    """Return a stream of outcomes with a bound."""
    return JetStreamConfig(
        name=TOPOLOGY.outcomes_stream,
        subjects=[TOPOLOGY.outcomes_subjects],
        max_msgs=most,
        discard=DiscardPolicy.NEW,
    )


@contextlib.asynccontextmanager
async def connected_with_full_outcomes(nats: NatsServer) -> AsyncGenerator[Broker]:
    """Connect to a broker whose stream of outcomes holds one message."""
    async with connected(NatsSettings(url=nats.url)) as broker:
        await broker.jetstream.add_stream(outcomes_of(1))
        await ensure_streams(broker, TOPOLOGY)
        await ensure_consumer(broker, TOPOLOGY)
        yield broker


async def test_a_login_that_is_revoked_and_comes_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """While the login is revoked, the worker is not ready and goes on trying; afterwards it archives what came."""
    path, login = tmp_path / "nats.conf", {"user": "worker", "password": "s3cret"}

    def configure(*users: str) -> None:
        listed = ", ".join(f"{{ user: {name}, password: s3cret }}" for name in users)
        # In the file: a reload of nats-server 2.9 forgets what the command line said.
        store = f'jetstream {{ store_dir: "{tmp_path / "store"}" }}'
        path.write_text(f"{store}\nauthorization: {{ users: [ {listed} ] }}\n")

    configure("admin", "worker")
    with NatsServer(tmp_path, "-c", str(path), jetstream=False) as nats:
        async with MockServer(2) as server, client_of(server.url, token=server.token) as client:
            worker = worker_of(nats.url, client, login=login)
            async with running(worker) as ready:
                await ready.wait()
                configure("admin")
                nats.signal(signal.SIGHUP)
                await until(lambda: any("uthorization" in line for line in worker.troubles_of_work()), within=10)
                assert worker.troubles_of_life() == []
                configure("admin", "worker")
                nats.signal(signal.SIGHUP)
                await until(lambda: worker.troubles_of_work() == [], within=20)
                async with connected(NatsSettings(url=nats.url, user="admin", password="s3cret")) as broker:
                    await publish(broker, commands_for(server.customers))
                    await until(lambda: server.requests.applied == 2, within=20)
    assert "NATS is disconnected: " in caplog.text


async def test_a_consumer_that_may_not_be_asked(tmp_path: Path) -> None:
    """Without the permission to request messages, the worker says so instead of being ready for ever."""
    path = tmp_path / "nats.conf"
    denied = 'permissions: { publish: { deny: "$JS.API.CONSUMER.MSG.NEXT.>" } }'
    path.write_text(f"authorization: {{ users: [ {{ user: worker, password: s3cret, {denied} }} ] }}\n")
    with NatsServer(tmp_path, "-c", str(path)) as nats:
        async with client_of("http://127.0.0.1:9") as client:
            worker = worker_of(nats.url, client, login={"user": "worker", "password": "s3cret"})
            async with running(worker) as ready:
                await ready.wait()
                await until(lambda: len(worker.troubles_of_work()) == 2, within=10)
                troubles = worker.troubles_of_work()
    assert any("NATS does not answer requests for messages" in trouble for trouble in troubles)
    assert any("permissions violation for publish" in trouble for trouble in troubles)


async def test_nothing_ends_and_nothing_explains_it(clock: FakeClock) -> None:
    """Messages of which none ends for half an hour, though nothing is known to hold them up, call for a restart."""
    async with client_of("http://127.0.0.1:9") as client:
        status = Worker(client, clock=clock)._status
        status.is_ready()
        assert status.troubles_of_life(3) == []
        clock.now += 1801
        assert status.troubles_of_life(3) == ["none of 3 messages has come to an end for 1801 s"]
        status.conditions.begin("nats", "NATS is away")
        assert status.troubles_of_life(3) == []  # a restart would not help
        status.conditions.end("nats")
        assert status.troubles_of_life(3) == []  # and it gets its time from then on
