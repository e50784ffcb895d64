"""The connection, the streams and the consumer: created where they are missing, refused where they are unsuitable."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock

import nats.errors
import pytest
from clocks import FakeClock
from faultserver import ports
from helpers import leaving_nothing, until
from nats.js.api import ConsumerConfig
from nats.js.api import StreamConfig as JetStreamConfig
from natsserver import NatsServer
from workerpark import TOPOLOGY, queue

from thredfi_async import ConfigurationError
from thredfi_async.worker import BrokerError, NatsSettings, StreamConfig
from thredfi_async.worker.broker import Broker, connected
from thredfi_async.worker.fetcher import Fetcher
from thredfi_async.worker.streams import ensure_consumer, ensure_streams


async def test_they_are_made_once(nats_server: NatsServer) -> None:
    """Streams and consumer are created, and every other worker accepts them."""
    async with queue(nats_server) as broker:
        await ensure_streams(broker, TOPOLOGY)
        assert await ensure_consumer(broker, TOPOLOGY) == 30.0
        info = await broker.jetstream.stream_info(TOPOLOGY.stream)
        assert (info.config.retention, info.config.duplicate_window) == ("workqueue", 3600.0)
        consumer = (await broker.jetstream.consumer_info(TOPOLOGY.stream, TOPOLOGY.consumer)).config
        assert (consumer.ack_policy, consumer.max_deliver, consumer.max_ack_pending) == ("explicit", -1, -1)


async def test_stored_once(nats_server: NatsServer) -> None:
    """A message id is stored once within the stream's window, across a restart of the broker too."""
    async with queue(nats_server) as broker:
        store: dict[str, Any] = {"message_id": "1", "stream": TOPOLOGY.stream}
        assert await broker.store(TOPOLOGY.subject, b"x", **store) == (1, True)
        assert await broker.store(TOPOLOGY.subject, b"x", **store) == (1, False)


async def test_a_stream_of_ones_own(nats_server: NatsServer) -> None:
    """A stream with wildcards and without a work queue's retention is accepted too."""
    async with connected(NatsSettings(url=nats_server.url)) as broker:
        await broker.jetstream.add_stream(JetStreamConfig(name="THREDFI", subjects=["thredfi.archive", "other.>"]))
        await broker.jetstream.add_stream(JetStreamConfig(name="THREDFI_DEAD", subjects=["thredfi.*.dead"]))
        await ensure_streams(broker, TOPOLOGY)
        await ensure_consumer(broker, TOPOLOGY)


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"subjects": ["other.>"]}, "does not accept the subject thredfi.archive"),
        ({"subjects": ["thredfi.archive.>"]}, "does not accept the subject thredfi.archive"),
        ({"subjects": ["thredfi"]}, "does not accept the subject thredfi.archive"),
        ({"no_ack": True}, "does not acknowledge what it stores (no_ack)"),
        ({"retention": "interest"}, "keeps messages only while a consumer is interested (retention interest)"),
    ],
)
async def test_a_stream_that_cannot_serve(nats_server: NatsServer, config: dict[str, Any], problem: str) -> None:
    """An unsuitable stream is refused with the reason, and what to do."""
    async with connected(NatsSettings(url=nats_server.url)) as broker:
        wrong: dict[str, Any] = {"name": "THREDFI", "subjects": ["thredfi.*"]} | config
        await broker.jetstream.add_stream(JetStreamConfig(**wrong))
        with pytest.raises(ConfigurationError) as caught:
            await ensure_streams(broker, TOPOLOGY)
    assert str(caught.value) == f"the stream THREDFI already exists, and {problem}: fix it, or name another"


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"max_deliver": 5}, "gives up after 5 deliveries (max_deliver), and strands a message then"),
        ({"deliver_subject": "push"}, "is a push consumer"),
        ({"headers_only": True}, "delivers messages without their payloads (headers_only)"),
        ({"ack_policy": "all"}, "does not ask for an acknowledgement of each message (ack_policy explicit)"),
    ],
)
async def test_a_consumer_that_cannot_serve(nats_server: NatsServer, config: dict[str, Any], problem: str) -> None:
    """An unsuitable consumer is refused with the reason: past a delivery limit, JetStream would strand messages."""
    async with connected(NatsSettings(url=nats_server.url)) as broker:
        await broker.jetstream.add_stream(JetStreamConfig(name="THREDFI", subjects=["thredfi.archive"]))
        wrong: dict[str, Any] = {"durable_name": TOPOLOGY.consumer, "ack_policy": "explicit"} | config
        await broker.jetstream.add_consumer("THREDFI", ConsumerConfig(**wrong))
        with pytest.raises(ConfigurationError) as caught:
            await ensure_consumer(broker, TOPOLOGY)
    assert problem in str(caught.value)


async def test_another_stream_has_the_subject(nats_server: NatsServer) -> None:
    """The error contains the broker's own reason."""
    async with queue(nats_server) as broker:
        with pytest.raises(BrokerError, match="have the stream OTHER, and does not create it: subjects overlap"):
            await ensure_streams(broker, StreamConfig(stream="OTHER"))


async def test_no_stream_for_a_consumer(nats_server: NatsServer) -> None:
    """A consumer cannot be created without its stream."""
    async with connected(NatsSettings(url=nats_server.url)) as broker:
        with pytest.raises(BrokerError, match="have the consumer thredfi-worker on the stream THREDFI, and"):
            await ensure_consumer(broker, TOPOLOGY)


async def test_nobody_there() -> None:
    """A broker that cannot be reached is an error with the reason, and nothing is left running."""
    async with leaving_nothing():
        with ports.refused() as url, pytest.raises(BrokerError) as caught:
            async with connected(NatsSettings(url=url.replace("http", "nats")), within=0.2):
                pytest.fail("it cannot be")
    assert str(caught.value).startswith("NATS cannot be reached at nats://127.0.0.1:")
    assert str(caught.value).endswith(": Connection refused")


async def test_a_broker_that_wants_to_know_who(tmp_path: Path) -> None:
    """Refused credentials are reported as such; the right ones are accepted."""
    with NatsServer(tmp_path, "--user", "jane", "--pass", "s3cret") as server:
        with pytest.raises(BrokerError, match="Authorization Violation"):
            async with connected(NatsSettings(url=server.url, user="jane", password="wrong")):
                pytest.fail("it cannot be")
        async with connected(NatsSettings(url=server.url, user="jane", password="s3cret")) as broker:
            assert broker.is_connected


async def test_a_credentials_file_that_is_not_there(tmp_path: Path) -> None:
    """The error names the file."""
    with pytest.raises(ConfigurationError, match=r"cannot read .*x\.creds: No such file"):
        async with connected(NatsSettings(credentials_file=tmp_path / "x.creds")):
            pytest.fail("it cannot be")


async def test_too_large(nats_server: NatsServer) -> None:
    """A message that the broker does not accept is not retried for ever."""
    async with queue(nats_server) as broker:
        with pytest.raises(BrokerError, match="bytes are more than the broker accepts in one message"):
            await broker.store(TOPOLOGY.dead_subject, b"x" * 2**21, message_id="1", stream=TOPOLOGY.dead_stream)


async def test_storing_goes_on_until_it_is_stored(nats_server: NatsServer, clock: FakeClock) -> None:
    """While no stream accepts a message, it is retried after growing waits."""
    async with connected(NatsSettings(url=nats_server.url), clock=clock) as broker:
        sleep, tries = clock.sleep, 0

        async def slept(seconds: float) -> None:
            nonlocal tries
            tries += 1
            if tries == 3:
                await ensure_streams(broker, TOPOLOGY)
            await sleep(seconds)

        clock.sleep = slept  # type: ignore[method-assign] # a hook into the waits
        assert await broker.store(TOPOLOGY.subject, b"x", message_id="1", stream=TOPOLOGY.stream)
    assert clock.sleeps == [0.1, 0.2, 0.4]


async def test_a_request_on_a_dead_connection_waits_for_the_next_one() -> None:
    """What fails at once is not tried again at once: that would leave the loop no time to notice the end."""
    connection = SimpleNamespace(publish=AsyncMock(side_effect=nats.errors.ConnectionClosedError))
    broker = cast("Broker", SimpleNamespace(is_connected=True, connection=connection))
    fetcher = Fetcher(broker, StreamConfig(), lambda _, __: True, expires=30.0)
    request = asyncio.create_task(fetcher.fetch(1))
    await asyncio.sleep(0)
    assert not request.done()
    fetcher.reconnected()
    assert await request is None
    assert connection.publish.await_count == 1


async def test_a_stream_that_stores_some_messages(nats_server: NatsServer) -> None:
    """It does not store as long as one message waits for it, whatever is stored meanwhile."""
    async with queue(nats_server) as broker:
        await broker.jetstream.add_stream(name="SMALL", subjects=["small"], max_msg_size=1_000)
        store = asyncio.create_task(broker.store("small", b"x" * 1_000, message_id="1", stream="SMALL"))
        await until(lambda: broker.conditions.reason("store SMALL") is not None, within=20)
        await broker.store("small", b"x", message_id="2", stream="SMALL")
        assert broker.conditions.reason("store SMALL") is not None
        await broker.jetstream.update_stream(name="SMALL", subjects=["small"], max_msg_size=2_000)
        await store
        assert broker.conditions.reason("store SMALL") is None


async def test_outcomes_of_every_state_can_be_stored(nats_server: NatsServer) -> None:
    """A stream that takes only those of some states is refused at the start, and not when there is another."""
    async with connected(NatsSettings(url=nats_server.url)) as broker:
        some = [TOPOLOGY.outcomes_subject(state) for state in ("archived", "already_archived", "rejected")]
        await broker.jetstream.add_stream(JetStreamConfig(name=TOPOLOGY.outcomes_stream, subjects=some))
        with pytest.raises(ConfigurationError, match=r"does not accept the subject thredfi\.archive\.outcomes\.failed"):
            await ensure_streams(broker, TOPOLOGY)
