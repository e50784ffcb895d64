"""Publishing items and collecting outcomes, on a real NATS server."""

import asyncio
import datetime as dt
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from helpers import body, until

from thredfi_async.bulk import ArchiveItem, ItemState
from thredfi_async.bulk.journal import Outcome
from thredfi_async.worker import ArchiveCommand, OutcomeEvent, Topology
from thredfi_async.worker.broker import Broker, connected
from thredfi_async.worker.errors import BrokerError
from thredfi_async.worker.fanout import Collector, Publisher, Refused, Until, backlog
from thredfi_async.worker.fanout.feed import Feed
from thredfi_async.worker.settings import NatsSettings
from thredfi_async.worker.streams import ensure_streams

BUSINESS = UUID("33333333-3333-4333-8333-333333333333")
TOPOLOGY = Topology()


def item(number: int, **fields: Any) -> ArchiveItem:
    """The item of this number."""
    return ArchiveItem(BUSINESS, UUID(int=number), **fields)


class NatsServer:
    """A NATS server with JetStream in a process of its own, which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> NatsSettings:
        return NatsSettings(url=f"nats://127.0.0.1:{self.port}")

    def start(self) -> None:
        command = ["nats-server", "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self._folder)]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 10
        while not self._listens():
            assert time.monotonic() < end
            time.sleep(0.01)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture
def nats_server(tmp_path: Path) -> Generator[NatsServer]:
    """A NATS server with a store of its own."""
    if shutil.which("nats-server") is None:
        pytest.skip("nats-server is not installed (apt install nats-server)")
    server = NatsServer(tmp_path / "store")
    server.start()
    yield server
    server.kill()


@asynccontextmanager
async def the_broker(server: NatsServer) -> AsyncGenerator[Broker]:
    """A connection, with all streams there."""
    async with connected(server.settings) as broker:
        await ensure_streams(broker, TOPOLOGY)
        yield broker


async def commands(broker: Broker) -> list[ArchiveCommand]:
    """What is in the queue."""
    last = (await broker.jetstream.stream_info(TOPOLOGY.stream)).state.last_seq
    messages = [await broker.jetstream.get_msg(TOPOLOGY.stream, number) for number in range(1, last + 1)]
    return [ArchiveCommand.from_json(message.data) for message in messages]


async def happen(broker: Broker, number: int, state: ItemState | str, **fields: Any) -> None:
    """Store the event that an item has ended."""
    event = OutcomeEvent(business_id=BUSINESS, customer_id=UUID(int=number), state=state, **fields)
    await broker.jetstream.publish(TOPOLOGY.outcomes_subject(state), event.to_json())


class Ledger:
    """What a collector has handed over, and how far it is to go on."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.next = 1

    def record(self, outcomes: Sequence[Outcome], following: int) -> None:
        self.outcomes += outcomes
        self.next = following

    @property
    def numbers(self) -> list[int]:
        return [outcome.customer_id.int for outcome in self.outcomes]


async def test_every_item_is_published_once(nats_server: NatsServer) -> None:
    """Each item becomes a command, a second time stores nothing new, and another batch stores all again."""
    items = [item(number) for number in range(1, 601)]
    async with the_broker(nats_server) as broker:
        first, again, other = (Publisher(broker, TOPOLOGY, batch=batch) for batch in ("", "", "mended"))
        assert await first.publish(items)
        assert await again.publish([*items, item(5000)])
        assert (first.stored, first.repeats, again.stored, again.repeats) == (600, 0, 1, 600)
        found = await commands(broker)
        assert {command.customer_id.int for command in found} == {*range(1, 601), 5000}
        await other.publish(items[:10])
        assert other.stored == 10


async def test_bodies_and_keys_come_along(nats_server: NatsServer) -> None:
    """A command has the item's body and the key that it was given."""
    async with the_broker(nats_server) as broker:
        publisher = Publisher(broker, TOPOLOGY, key=lambda item: f"key-{item.customer_id.int}")
        await publisher.publish([item(1, customer=body(email="ann@example.com"))])
        (command,) = await commands(broker)
    assert command.idempotency_key == "key-1"
    assert command.customer is not None
    assert command.customer.email == "ann@example.com"


async def test_what_cannot_be_a_message_is_refused(nats_server: NatsServer) -> None:
    """A body that is larger than the queue takes, or breaks the contract, is told by ids, and the others go on."""
    refused: list[Refused] = []
    large = body(notes="Ann" * 200_000)
    async with the_broker(nats_server) as broker:
        publisher = Publisher(broker, TOPOLOGY, refuse=refused.append)
        await publisher.publish([item(1), item(2, customer=large), item(3, customer={"email": "Ann"}), item(4)])
        assert [command.customer_id.int for command in await commands(broker)] == [1, 4]
    assert (publisher.stored, publisher.refused) == (2, 2)
    assert {each.code: each.item.customer_id.int for each in refused} == {"too_large": 2, "invalid_request": 3}
    (too_large,) = (str(each) for each in refused if each.code == "too_large")
    assert too_large.startswith(f"customer {UUID(int=2)} of business {BUSINESS}: its command has 600,")
    assert "Ann" not in "".join(map(str, refused))


async def test_a_broker_that_restarts_loses_nothing(nats_server: NatsServer) -> None:
    """While the broker is gone publishing waits, and goes on when it is back."""
    async with the_broker(nats_server) as broker:
        publisher = Publisher(broker, TOPOLOGY, window=16)

        def items() -> Generator[ArchiveItem]:
            yield from map(item, range(1, 501))
            nats_server.kill()
            nats_server.start()
            yield from map(item, range(501, 801))

        assert await publisher.publish(items())
        assert publisher.done == 800
        info = await broker.jetstream.stream_info(TOPOLOGY.stream)
        assert info.state.messages == 800


async def test_draining_ends_what_is_under_way(nats_server: NatsServer) -> None:
    """After `drain` nothing new is read, and what was counted is stored."""
    async with the_broker(nats_server) as broker:
        publisher = Publisher(broker, TOPOLOGY)

        def items() -> Generator[ArchiveItem]:
            for number in range(1, 100_000):
                if number == 1500:
                    publisher.drain()
                yield item(number)

        assert not await publisher.publish(items())
        info = await broker.jetstream.stream_info(TOPOLOGY.stream)
        assert 0 < publisher.stored == info.state.messages < 1500


async def test_a_source_that_breaks_is_told_after_what_is_under_way(nats_server: NatsServer) -> None:
    """What the iterator raises comes out as it is, and what was handed out before is stored."""

    def items() -> Generator[ArchiveItem]:
        yield from map(item, range(1, 601))
        raise OSError("the disk is gone")

    async with the_broker(nats_server) as broker:
        publisher = Publisher(broker, TOPOLOGY)
        with pytest.raises(OSError, match="the disk is gone"):
            await publisher.publish(items())
        info = await broker.jetstream.stream_info(TOPOLOGY.stream)
        assert publisher.stored == info.state.messages == 500


async def test_a_queue_that_is_missing_is_named(nats_server: NatsServer) -> None:
    """Without the streams there is one sentence, for publishing and for collecting."""
    async with connected(nats_server.settings) as broker:
        with pytest.raises(BrokerError, match="what the stream THREDFI takes: stream not found"):
            await Publisher(broker, TOPOLOGY).publish([item(1)])
        with pytest.raises(BrokerError, match="no streams THREDFI, THREDFI_OUTCOMES and THREDFI_DEAD"):
            await Collector(broker, TOPOLOGY, Ledger().record).collect()


async def test_events_become_outcomes_in_their_order(nats_server: NatsServer) -> None:
    """All that an event says is handed over, in the order in which it came about, and other messages are left out."""
    at = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    async with the_broker(nats_server) as broker:
        for number in range(1, 301):
            await happen(broker, number, "archived")
        await broker.jetstream.publish(TOPOLOGY.outcomes_subject("x"), b"{")
        await happen(broker, 7, "rejected", code="not_found", attempts=2, elapsed_ms=1500, at=at)
        ledger = Ledger()
        collector = Collector(broker, TOPOLOGY, ledger.record)
        await collector.collect()
    assert ledger.numbers == [*range(1, 301), 7]
    assert (collector.read, collector.unreadable, ledger.next) == (301, 1, 303)
    assert ledger.outcomes[-1] == Outcome(
        business_id=BUSINESS,
        customer_id=UUID(int=7),
        state=ItemState.REJECTED,
        attempts=2,
        code="not_found",
        elapsed=1.5,
        ended_at=at.timestamp(),
    )


async def test_collecting_goes_on_where_it_was(nats_server: NatsServer) -> None:
    """A collector that starts where another ended reads nothing twice; deleted events are passed over."""
    async with the_broker(nats_server) as broker:
        for number in range(1, 6):
            await happen(broker, number, "archived")
        await broker.jetstream.delete_msg(TOPOLOGY.outcomes_stream, 2)
        ledger = Ledger()
        await Collector(broker, TOPOLOGY, ledger.record).collect()
        assert (ledger.numbers, ledger.next) == ([1, 3, 4, 5], 6)
        await Collector(broker, TOPOLOGY, ledger.record, start=ledger.next).collect()
        await happen(broker, 6, "archived")
        await Collector(broker, TOPOLOGY, ledger.record, start=ledger.next).collect()
    assert (ledger.numbers, ledger.next) == ([1, 3, 4, 5, 6], 7)


async def test_a_stream_that_is_made_anew_is_read_from_its_beginning(nats_server: NatsServer) -> None:
    """A place in a stream that is gone means nothing in another one."""
    async with the_broker(nats_server) as broker:
        await happen(broker, 1, "archived")
        ledger = Ledger()
        await Collector(broker, TOPOLOGY, ledger.record, start=1000).collect()
    assert (ledger.numbers, ledger.next) == ([1], 2)


async def test_until_done_waits_for_an_empty_queue(nats_server: NatsServer) -> None:
    """Collecting until done ends when the queue is empty, with every outcome; the backlog says how far it is."""
    async with the_broker(nats_server) as broker:
        await Publisher(broker, TOPOLOGY).publish([item(1), item(2)])
        subscription = await broker.jetstream.pull_subscribe(
            TOPOLOGY.subject, durable=TOPOLOGY.consumer, stream=TOPOLOGY.stream
        )
        messages = [*await subscription.fetch(1), *await subscription.fetch(1)]
        ledger = Ledger()
        collector = Collector(broker, TOPOLOGY, ledger.record, pause=0.01)
        collecting = asyncio.create_task(collector.collect(Until.DONE))
        for number, message in enumerate(messages, 1):
            state = await backlog(broker, TOPOLOGY)
            assert (state.queued, state.held, state.waiting) == (3 - number, 3 - number, 0)
            assert not collecting.done()
            await happen(broker, number, "archived")
            await message.ack_sync()
        await asyncio.wait_for(collecting, 5)
    assert ledger.numbers == [1, 2]


async def test_following_survives_a_restart_and_ends_when_told(nats_server: NatsServer) -> None:
    """Following goes on over a restart of the broker, and `drain` ends it."""
    ledger = Ledger()
    async with the_broker(nats_server) as broker:
        collector = Collector(broker, TOPOLOGY, ledger.record, pause=0.01)
        following = asyncio.create_task(collector.collect(Until.STOPPED))
        await happen(broker, 1, "archived")
        await until(lambda: ledger.numbers == [1])
        await asyncio.to_thread(nats_server.kill)
        await asyncio.to_thread(nats_server.start)
        async with connected(nats_server.settings) as other:
            await happen(other, 2, "archived")
        await until(lambda: ledger.numbers == [1, 2], within=10)
        collector.drain()
        await asyncio.wait_for(following, 5)


async def test_a_feed_reads_chunks_in_a_thread() -> None:
    """Items come in their order, `prepare` sees each chunk, and an empty one is no end."""
    chunks: list[Sequence[int]] = []

    def odd(chunk: Sequence[int]) -> Sequence[int]:
        chunks.append(chunk)
        return [number for number in chunk if number % 2 and number > 2]

    feed = Feed(range(7), prepare=odd, chunk=2)
    taken: list[int] = []
    while (number := await feed.take()) is not None:
        taken.append(number)
    assert (taken, chunks, feed.ended) == ([3, 5], [[0, 1], [2, 3], [4, 5], [6]], True)
    assert await feed.take() is None
