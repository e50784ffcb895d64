"""Publishing items and collecting outcomes, on a real NATS server."""

import asyncio
import datetime as dt
import json
import sqlite3
import threading
from collections.abc import AsyncGenerator, Generator, Iterable, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from attrs import evolve
from helpers import body, until
from natsserver import NatsServer, send_raw

from thredfi_async.bulk import ArchiveItem, ItemState, JournalError, read_journal
from thredfi_async.bulk.journal import Journal, Outcome
from thredfi_async.worker import ArchiveCommand, OutcomeEvent, StreamConfig
from thredfi_async.worker.broker import Broker, connected
from thredfi_async.worker.errors import BrokerError
from thredfi_async.worker.fanout import (
    Collector,
    DistributedRun,
    Publisher,
    QueueDepth,
    Refused,
    Until,
    message_id_of,
    read_queue_depth,
)
from thredfi_async.worker.fanout.chunks import Feed
from thredfi_async.worker.settings import NatsSettings
from thredfi_async.worker.streams import ensure_streams

BUSINESS = UUID("33333333-3333-4333-8333-333333333333")
TOPOLOGY = StreamConfig()


def item(number: int, **fields: Any) -> ArchiveItem:
    """The item of this number."""
    return ArchiveItem(BUSINESS, UUID(int=number), **fields)


@pytest.fixture
def nats_server(tmp_path: Path) -> Generator[NatsServer]:
    """A NATS server with its own store."""
    with NatsServer(tmp_path) as server:
        yield server


def settings(server: NatsServer) -> NatsSettings:
    """The settings to reach it."""
    return NatsSettings(url=server.url)


@asynccontextmanager
async def the_broker(server: NatsServer) -> AsyncGenerator[Broker]:
    """A connection, with all streams created."""
    async with connected(settings(server)) as broker:
        await ensure_streams(broker, TOPOLOGY)
        yield broker


async def commands(broker: Broker) -> list[ArchiveCommand]:
    """The commands in the queue."""
    last = (await broker.jetstream.stream_info(TOPOLOGY.stream)).state.last_seq
    messages = [await broker.jetstream.get_msg(TOPOLOGY.stream, number) for number in range(1, last + 1)]
    return [ArchiveCommand.from_json(message.data) for message in messages]


async def happen(broker: Broker, number: int, state: ItemState | str, **fields: Any) -> None:
    """Store the outcome event of an item."""
    event = OutcomeEvent(business_id=BUSINESS, customer_id=UUID(int=number), state=state, **fields)
    await broker.jetstream.publish(TOPOLOGY.outcomes_subject(state), event.to_json())


class Taken:
    """The outcomes that a collector recorded, and the next position."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.next = 1

    def start(self, state: QueueDepth) -> int:
        return self.next

    def record(self, outcomes: Sequence[Outcome], following: int, in_flight: int) -> int:
        self.outcomes += outcomes
        self.next = following
        return len(outcomes)

    @property
    def numbers(self) -> list[int]:
        return [outcome.customer_id.int for outcome in self.outcomes]


async def test_every_item_is_published_once(nats_server: NatsServer) -> None:
    """Each item becomes a command; publishing again stores nothing new, and with other message ids stores all again."""
    items = [item(number) for number in range(1, 201)]
    async with the_broker(nats_server) as broker:
        first, again = (Publisher(broker, TOPOLOGY, window=16) for _ in range(2))
        other = Publisher(broker, TOPOLOGY, message_id=lambda item: f"fixed/{message_id_of(item)}")
        assert await first.publish(items)
        assert await again.publish([*items, item(5000)])
        assert (first.stored, first.repeats, again.stored, again.repeats) == (200, 0, 1, 200)
        found = await commands(broker)
        assert {command.customer_id.int for command in found} == {*range(1, 201), 5000}
        await other.publish(items[:10])
        assert other.stored == 10


async def test_bodies_and_keys_come_along(nats_server: NatsServer) -> None:
    """A command has the item's body and the given key."""
    async with the_broker(nats_server) as broker:
        publisher = Publisher(broker, TOPOLOGY, key=lambda item: f"key-{item.customer_id.int}")
        await publisher.publish([item(1, customer=body(email="ann@example.com"))])
        (command,) = await commands(broker)
    assert command.idempotency_key == "key-1"
    assert command.customer is not None
    assert command.customer.email == "ann@example.com"


async def test_what_cannot_be_a_message_is_refused(nats_server: NatsServer) -> None:
    """A body that is too large for the queue or breaks the contract is reported by ids, and the others go on."""
    refused: list[Refused] = []
    large = body(notes="Ann" * 200_000)
    async with the_broker(nats_server) as broker:
        publisher = Publisher(broker, TOPOLOGY, refuse=refused.append)
        await publisher.publish([item(1), item(2, customer=large), item(3, customer={"email": "Ann"}), item(4)])
        assert [command.customer_id.int for command in await commands(broker)] == [1, 4]
    assert (publisher.stored, publisher.refused) == (2, 2)
    assert {each.code: each.item.customer_id.int for each in refused} == {"too_large": 2, "invalid_request": 3}
    (too_large,) = (str(each) for each in refused if each.code == "too_large")
    assert too_large.startswith(f"customer {UUID(int=2)} of business {BUSINESS}: its message would have 600,")
    assert "Ann" not in "".join(map(str, refused))


async def test_a_broker_that_restarts_loses_nothing(nats_server: NatsServer) -> None:
    """Publishing waits while the broker is gone, and continues when it is back."""
    async with the_broker(nats_server) as broker:
        broker.request_seconds = 0.3  # seconds in which the broker must answer
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
        publisher = Publisher(broker, TOPOLOGY, window=16)
        publishing = asyncio.create_task(publisher.publish(map(item, range(1, 100_000))))
        await until(lambda: publisher.stored > 0)
        publisher.drain()
        assert not await publishing
        info = await broker.jetstream.stream_info(TOPOLOGY.stream)
        assert 0 < publisher.stored == info.state.messages < 10_000


async def test_a_source_that_breaks_is_told_after_what_is_under_way(nats_server: NatsServer) -> None:
    """An error of the iterator is raised unchanged, and all items before it are stored."""

    def items() -> Generator[ArchiveItem]:
        yield from map(item, range(1, 601))
        raise OSError("the disk is gone")

    async with the_broker(nats_server) as broker:
        publisher = Publisher(broker, TOPOLOGY, window=16)
        with pytest.raises(OSError, match="the disk is gone"):
            await publisher.publish(items())
        info = await broker.jetstream.stream_info(TOPOLOGY.stream)
        assert publisher.stored == info.state.messages == 600


async def test_a_queue_that_is_missing_is_named(nats_server: NatsServer) -> None:
    """Publishing and collecting report missing streams in one sentence."""
    async with connected(settings(nats_server)) as broker:
        with pytest.raises(BrokerError, match="limits of the stream THREDFI from NATS: stream not found"):
            await Publisher(broker, TOPOLOGY).publish([item(1)])
        with pytest.raises(BrokerError, match="no streams THREDFI and THREDFI_OUTCOMES"):
            await Collector(broker, TOPOLOGY, Taken()).collect()


async def test_events_become_outcomes_in_their_order(nats_server: NatsServer) -> None:
    """Events are recorded completely and in order, and other messages are skipped."""
    at = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    async with the_broker(nats_server) as broker:
        for number in range(1, 221):
            await happen(broker, number, "archived")
        await broker.jetstream.publish(TOPOLOGY.outcomes_subject("x"), b"{")
        await happen(broker, 7, "rejected", code="not_found", attempts=2, elapsed_ms=1500, at=at)
        taken = Taken()
        collector = Collector(broker, TOPOLOGY, taken)
        await collector.collect()
    assert taken.numbers == [*range(1, 221), 7]
    assert (collector.read, collector.unreadable, taken.next) == (221, 1, 223)
    assert taken.outcomes[-1] == Outcome(
        business_id=BUSINESS,
        customer_id=UUID(int=7),
        state=ItemState.REJECTED,
        attempts=2,
        code="not_found",
        elapsed=1.5,
        ended_at=at.timestamp(),
    )


async def test_no_event_ends_a_collector(nats_server: NatsServer, tmp_path: Path) -> None:
    """Events that a stranger published are counted and passed over, whatever is wrong; the journal takes the others."""
    good = OutcomeEvent(business_id=BUSINESS, customer_id=UUID(int=1), state=ItemState.ARCHIVED)
    fields = json.loads(good.to_json())
    strange: list[dict[str, Any]] = [
        {"attempts": 10**30},
        {"attempts": 2**63},
        {"elapsed_ms": 2**53},
        {"at": "0001-01-01T00:00:00"},
        {"at": "0001-01-01T00:00:00Z"},
        {"at": "2999-01-01T00:00:00Z"},
        {"code": "\ud800"},
        {"code": "x" * 500_000},
        {"state": []},
        {"command_id": {}},
    ]
    async with the_broker(nats_server) as broker:
        # A stream that is older than this release takes events of any size.
        await broker.jetstream.delete_stream(TOPOLOGY.outcomes_stream)
        subjects = [TOPOLOGY.outcomes_subjects]
        await broker.jetstream.add_stream(name=TOPOLOGY.outcomes_stream, subjects=subjects)
        for change in strange:
            payload = json.dumps(fields | change).encode()
            await broker.jetstream.publish(TOPOLOGY.outcomes_subject("archived"), payload)
        await send_raw(nats_server, TOPOLOGY.outcomes_subject("x"), b"\xff", b"NATS/1.0 \xff\xff\r\n\r\n")
        await broker.jetstream.publish(TOPOLOGY.outcomes_subject("archived"), good.to_json())
        with the_run(tmp_path / "run.db") as run:
            collector = Collector(broker, TOPOLOGY, run)
            await collector.collect()
    assert (collector.read, collector.unreadable) == (1, len(strange) + 1)
    assert rows(tmp_path / "run.db") == {1: ("archived", None, 0)}


async def test_collecting_goes_on_where_it_was(nats_server: NatsServer) -> None:
    """A collector that starts where another ended reads nothing twice; deleted events are skipped."""
    async with the_broker(nats_server) as broker:
        for number in range(1, 6):
            await happen(broker, number, "archived")
        await broker.jetstream.delete_msg(TOPOLOGY.outcomes_stream, 2)
        taken = Taken()
        await Collector(broker, TOPOLOGY, taken).collect()
        assert (taken.numbers, taken.next) == ([1, 3, 4, 5], 6)
        await Collector(broker, TOPOLOGY, taken).collect()
        await happen(broker, 6, "archived")
        await Collector(broker, TOPOLOGY, taken).collect()
    assert (taken.numbers, taken.next) == ([1, 3, 4, 5, 6], 7)


async def test_until_done_waits_for_an_empty_queue(nats_server: NatsServer) -> None:
    """Collecting until done ends when the queue is empty, with every outcome; the queue depth shows the progress."""
    async with the_broker(nats_server) as broker:
        await Publisher(broker, TOPOLOGY).publish([item(1), item(2)])
        subscription = await broker.jetstream.pull_subscribe(
            TOPOLOGY.subject, durable=TOPOLOGY.consumer, stream=TOPOLOGY.stream
        )
        messages = [*await subscription.fetch(1), *await subscription.fetch(1)]
        taken = Taken()
        collector = Collector(broker, TOPOLOGY, taken, pause=0.01)
        collecting = asyncio.create_task(collector.collect(Until.DONE))
        for number, message in enumerate(messages, 1):
            state = await read_queue_depth(broker, TOPOLOGY)
            assert (state.queued, state.in_flight, state.waiting) == (3 - number, 3 - number, 0)
            assert not collecting.done()
            await happen(broker, number, "archived")
            await message.ack_sync()
        await asyncio.wait_for(collecting, 5)
    assert taken.numbers == [1, 2]


@asynccontextmanager
async def following(nats_server: NatsServer, taken: Taken) -> AsyncGenerator[tuple[Broker, Collector]]:
    """Follow the outcomes, of which the first one has been taken; at the end, `drain` ends it."""
    async with the_broker(nats_server) as broker:
        collector = Collector(broker, TOPOLOGY, taken, pause=0.01)
        task = asyncio.create_task(collector.collect(Until.STOPPED))
        await happen(broker, 1, "archived")
        await until(lambda: taken.numbers == [1])
        yield broker, collector
        await until(lambda: taken.numbers == [1, 2], within=10)
        collector.drain()
        await asyncio.wait_for(task, 5)


async def test_following_survives_a_restart_and_ends_when_told(nats_server: NatsServer) -> None:
    """Following continues over a restart of the broker, and `drain` ends it."""
    async with following(nats_server, Taken()):
        await asyncio.to_thread(nats_server.kill)
        await asyncio.to_thread(nats_server.start)
        async with connected(settings(nats_server)) as other:
            await happen(other, 2, "archived")


async def test_following_a_stream_that_is_created_anew(nats_server: NatsServer, tmp_path: Path) -> None:
    """A stream of outcomes that is gone is told as what is waited for; a new one is read from its beginning."""
    with Journal.open(tmp_path / "run.db") as journal:
        async with the_broker(nats_server) as broker:
            collector = Collector(broker, TOPOLOGY, DistributedRun(journal, TOPOLOGY), pause=0.01)
            following = asyncio.create_task(collector.collect(Until.STOPPED))
            for number in (1, 2, 3):
                await happen(broker, number, "archived")
            await until(lambda: collector.read == 3, within=10)
            await broker.jetstream.delete_stream(TOPOLOGY.outcomes_stream)
            await until(lambda: bool(broker.troubles), within=10)
            assert broker.troubles[0].startswith("NATS has no streams THREDFI and THREDFI_OUTCOMES: check --stream")
            await ensure_streams(broker, TOPOLOGY)
            await happen(broker, 4, "archived")
            await until(lambda: collector.read == 4, within=10)
            assert broker.troubles == []
            collector.drain()
            await asyncio.wait_for(following, 5)


async def test_following_a_stream_that_lost_its_end(nats_server: NatsServer) -> None:
    """Where the broker lost its last events, their numbers are used again, and these events are read too."""
    async with following(nats_server, Taken()) as (broker, collector):
        collector.next = 50
        await happen(broker, 2, "archived")


def test_a_position_beyond_the_end_of_the_stream(tmp_path: Path) -> None:
    """A journal that is further than the stream goes on with what the stream stores next."""
    there = QueueDepth(waiting=0, in_flight=0, outcomes=9, oldest=1, epoch="one")
    with Journal.open(tmp_path / "run.db") as journal:
        run = DistributedRun(journal, TOPOLOGY)
        run.begin(there)
        assert run.start(there) == 10
        assert run.start(evolve(there, outcomes=4)) == 5
        assert run.start(evolve(there, epoch="two")) == 1


async def test_a_feed_hands_out_what_was_prepared() -> None:
    """Items come in their order, `prepare` sees each chunk, and an empty one is no end."""
    chunks: list[Sequence[ArchiveItem]] = []

    def odd(chunk: Sequence[ArchiveItem]) -> Sequence[ArchiveItem]:
        chunks.append(chunk)
        return [each for each in chunk if each.customer_id.int % 2 and each.customer_id.int > 2]

    items = [item(number) for number in range(7)]
    feed = Feed(items, prepare=odd, chunk=2)
    taken: list[ArchiveItem] = []
    while (each := await feed.take()) is not None:
        taken.append(each)
    assert (taken, [each for chunk in chunks for each in chunk]) == ([items[3], items[5]], items)
    assert feed.ended
    assert await feed.take() is None
    await feed.aclose()


async def test_a_feed_that_is_stopped_waits_for_no_source() -> None:
    """After `stop` no one waits for a silent source, such as stdin."""
    silent = threading.Event()

    def items() -> Generator[ArchiveItem]:
        yield item(1)
        silent.wait(10)

    feed = Feed(items(), prepare=lambda chunk: chunk)
    assert await feed.take() == item(1)
    taking = asyncio.create_task(feed.take())
    await asyncio.sleep(0)
    feed.stop()
    assert await asyncio.wait_for(taking, 2) is None
    assert not feed.ended
    silent.set()
    await feed.aclose()


@contextmanager
def the_run(journal: Path) -> Generator[DistributedRun]:
    """A run over the queue, with its journal open."""
    with Journal.open(journal) as opened:
        yield DistributedRun(opened, TOPOLOGY)


async def publish(broker: Broker, journal: Path, items: Iterable[ArchiveItem]) -> Publisher:
    """Publish as the command does."""
    with the_run(journal) as run:
        run.begin(await read_queue_depth(broker, TOPOLOGY))
        publisher = Publisher(broker, TOPOLOGY, key=run.key, message_id=run.message_id, refuse=run.refuse, window=8)
        await publisher.publish(items, prepare=run.take)
        run.release(publisher.left())
        return publisher


async def collect(broker: Broker, journal: Path) -> int:
    """Collect as the command does, and return how many outcomes of the run there were."""
    with the_run(journal) as run:
        collector = Collector(broker, TOPOLOGY, run)
        await collector.collect()
        return collector.read


def rows(journal: Path) -> dict[int, tuple[str, str | None, int]]:
    """State, code and attempts of each item in a journal."""
    with closing(sqlite3.connect(journal)) as connection:
        found = connection.execute("SELECT customer_id, state, code, attempts FROM items")
        return {int.from_bytes(customer): (state, code, attempts) for customer, state, code, attempts in found}


async def test_a_journal_knows_who_is_pending(nats_server: NatsServer, tmp_path: Path) -> None:
    """Published items are pending until their outcome is collected; a second time changes nothing."""
    journal = tmp_path / "run.db"
    async with the_broker(nats_server) as broker:
        await happen(broker, 1, "rejected", code="of_another_run")
        await publish(broker, journal, [item(1), item(2), item(3), item(2)])
        assert rows(journal) == dict.fromkeys((1, 2, 3), ("pending", None, 0))
        await happen(broker, 1, "archived", attempts=1)
        await happen(broker, 2, "unknown", code="http_503", attempts=4)
        await happen(broker, 9, "archived")
        for _ in range(2):
            await collect(broker, journal)
            assert rows(journal) == {1: ("archived", None, 1), 2: ("unknown", "http_503", 4), 3: ("pending", None, 0)}


async def test_outcomes_of_another_run_are_not_counted(nats_server: NatsServer, tmp_path: Path) -> None:
    """What other runs on the same queue do shows neither in the figures nor in the samples of this one."""
    journal = tmp_path / "run.db"
    async with the_broker(nats_server) as broker:
        await publish(broker, journal, [item(1), item(2)])
        for number in (1, 7, 8, 9):
            await happen(broker, number, "archived", attempts=number)
        assert await collect(broker, journal) == 1
        await happen(broker, 2, "failed", code="http_503", attempts=3)
        assert await collect(broker, journal) == 1
    with read_journal(journal) as view:
        assert [(sample.done, sample.requests) for sample in view.samples()] == [(1, 1), (1, 3)]


async def test_publishing_again_takes_up_what_is_open(nats_server: NatsServer, tmp_path: Path) -> None:
    """A second session publishes items without a final outcome; items that a worker gave up do not count as repeats."""
    journal = tmp_path / "run.db"
    items = [item(number) for number in range(1, 6)]
    async with the_broker(nats_server) as broker:
        await publish(broker, journal, items)
        await happen(broker, 1, "archived")
        await happen(broker, 2, "rejected", code="not_found")
        await happen(broker, 3, "failed", code="http_401")
        await happen(broker, 4, "unknown", code="http_503")
        await collect(broker, journal)
        again = await publish(broker, journal, items)
        assert (again.stored, again.repeats) == (2, 1)
        found = await commands(broker)
        assert sorted(command.customer_id.int for command in found) == [1, 2, 3, 3, 4, 4, 5]
        assert len({command.idempotency_key for command in found}) == 5
        await happen(broker, 3, "archived")
        await happen(broker, 4, "failed", code="http_401")
        await collect(broker, journal)
    states = {number: row[0] for number, row in rows(journal).items()}
    assert states == {1: "archived", 2: "rejected", 3: "archived", 4: "unknown", 5: "pending"}


async def test_what_was_not_published_is_not_pending(nats_server: NatsServer, tmp_path: Path) -> None:
    """After `drain`, a journal holds only the published items; refused ones are rejected."""
    journal = tmp_path / "run.db"
    with the_run(journal) as run:
        async with the_broker(nats_server) as broker:
            run.begin(await read_queue_depth(broker, TOPOLOGY))
            publisher = Publisher(broker, TOPOLOGY, refuse=run.refuse, window=4)
            items = chain([item(1, customer={"email": "Ann"})], map(item, range(2, 100_000)))
            publishing = asyncio.create_task(publisher.publish(items, prepare=run.take))
            await until(lambda: publisher.stored > 0)
            publisher.drain()
            await publishing
            assert publisher.left()
            run.release(publisher.left())
            found = rows(journal)
    assert found.pop(1) == ("rejected", "invalid_request", 0)
    assert set(found.values()) == {("pending", None, 0)}
    assert len(found) == publisher.stored


async def test_without_a_list_all_outcomes_belong_to_the_run(nats_server: NatsServer, tmp_path: Path) -> None:
    """A journal without published items takes all customers in the events, and restarts with a recreated stream."""
    journal = tmp_path / "run.db"
    async with the_broker(nats_server) as broker:
        await happen(broker, 1, "archived")
        await happen(broker, 2, "archived")
        await collect(broker, journal)
        await broker.jetstream.delete_stream(TOPOLOGY.outcomes_stream)
        await ensure_streams(broker, TOPOLOGY)
        await happen(broker, 3, "archived")
        await happen(broker, 2, "failed", code="http_401")
        await happen(broker, 4, "archived")
        await collect(broker, journal)
    assert rows(journal) == dict.fromkeys((1, 2, 3, 4), ("archived", None, 0))


async def test_the_course_of_a_run_is_told_by_its_outcomes(nats_server: NatsServer, tmp_path: Path) -> None:
    """Samples record when outcomes ended and how long they took, for the report's charts."""
    begun = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    async with the_broker(nats_server) as broker:
        for number in range(1, 251):
            at = begun + dt.timedelta(seconds=number / 100)
            await happen(broker, number, "archived" if number % 5 else "rejected", elapsed_ms=number, at=at)
        await collect(broker, tmp_path / "run.db")
    with read_journal(tmp_path / "run.db") as view:
        first, second = view.samples()
    assert (first.at, first.done, first.archived, first.rejected) == (begun.timestamp() + 2.0, 200, 160, 40)
    assert (first.p50_ms, first.p90_ms, first.p99_ms) == (101, 181, 199)
    assert (second.at, second.done, second.p50_ms) == (begun.timestamp() + 2.5, 250, 226)


def test_a_journal_of_something_else_is_refused(tmp_path: Path) -> None:
    """The journal of a run without a queue, or over another one, is refused."""
    with Journal.open(tmp_path / "bulk.db") as journal:
        journal.begin()
        with pytest.raises(JournalError, match=r"bulk\.db is the journal of a run without a queue: name another one"):
            DistributedRun(journal, TOPOLOGY)
    with Journal.open(tmp_path / "other.db") as journal:
        DistributedRun(journal, StreamConfig(stream="OTHER"))
        with pytest.raises(JournalError, match=r"other\.db is the journal of a run over the queue OTHER, not THREDFI"):
            DistributedRun(journal, TOPOLOGY)
