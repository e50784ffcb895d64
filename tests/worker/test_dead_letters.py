"""Dead letters on a real NATS server: read, published again and deleted, whatever is between them."""

import asyncio
from uuid import UUID

import pytest
from helpers import BUSINESS, client_of, until
from natsserver import NatsServer
from workerpark import TOPOLOGY, dead_letters, left, outcomes, queue

import thredfi_async.worker.dead_letters
from thredfi_async import ConfigurationError
from thredfi_async.bulk import ItemState
from thredfi_async.mock_server import MockServer
from thredfi_async.worker import (
    ArchiveCommand,
    BrokerError,
    DeadLetter,
    NatsSettings,
    StreamConfig,
    Worker,
    WorkerOptions,
)
from thredfi_async.worker.broker import Broker, stored_size
from thredfi_async.worker.dead_letters import DeadLetters, Ended, StoredLetter
from thredfi_async.worker.streams import ensure_streams


def command_of(number: int, **fields: object) -> ArchiveCommand:
    """The command for the customer of this number."""
    return ArchiveCommand(BUSINESS, UUID(int=number), **fields)  # type: ignore[arg-type] # as the caller says


async def die(broker: Broker, number: int, *, code: str = "not_found", **fields: object) -> None:
    """Store the dead letter of a command."""
    values = {"reason": "why", "code": code, "original": command_of(number).to_json(), "subject": TOPOLOGY.subject}
    letter = DeadLetter(**values | fields)  # type: ignore[arg-type] # as the caller says
    await broker.jetstream.publish(TOPOLOGY.dead_subject, letter.to_json())


async def numbers(letters: DeadLetters) -> list[int]:
    """The numbers of all letters."""
    return [letter.number async for letter in letters.all()]


def everything(_: StoredLetter) -> bool:
    """Choose all."""
    return True


async def queued(broker: Broker) -> list[bytes]:
    """The payloads in the queue."""
    state = (await broker.jetstream.stream_info(TOPOLOGY.stream)).state
    found = [await broker.jetstream.message(TOPOLOGY.stream, n) for n in range(1, state.last_seq + 1)]
    return [message.data for message in found if message is not None]


async def test_listing(nats_server: NatsServer) -> None:
    """Letters come in order, without those that are gone; what is no letter is shown as such."""
    async with queue(nats_server) as broker:
        for number in range(1, 6):
            await die(broker, number)
        await broker.jetstream.publish(TOPOLOGY.dead_subject, b"garbage")
        await broker.jetstream.delete(TOPOLOGY.dead_stream, 1)
        await broker.jetstream.delete(TOPOLOGY.dead_stream, 3)
        letters = DeadLetters(broker, TOPOLOGY)
        assert await numbers(letters) == [2, 4, 5, 6]
        found = await letters.get(4)
        assert found is not None
        assert found.command == command_of(4)
        assert await letters.get(3) is None
        strange = await letters.get(6)
        assert strange is not None
        assert (strange.letter, strange.command) == (None, None)


async def test_an_empty_stream(nats_server: NatsServer) -> None:
    """There are none, and redriving them does nothing."""
    async with queue(nats_server) as broker:
        letters = DeadLetters(broker, TOPOLOGY)
        assert await numbers(letters) == []
        await letters.redrive(everything)
        assert letters.ended.total() == 0


async def test_redriven_byte_by_byte(nats_server: NatsServer) -> None:
    """The queue gets the original bytes, whatever they are, and the letter is gone."""
    originals = [command_of(1).to_json(), b' {"version" : 1} ', b"\xff\x00", b""]
    async with queue(nats_server) as broker:
        for number, original in enumerate(originals):
            await die(broker, number, original=original)
        letters = DeadLetters(broker, TOPOLOGY)
        await letters.redrive(everything)
        assert letters.ended == {Ended.REDRIVEN: 4}
        assert sorted(await queued(broker)) == sorted(originals)
        assert await dead_letters(broker) == []


async def test_only_what_is_chosen(nats_server: NatsServer) -> None:
    """Others are left where they are."""
    async with queue(nats_server) as broker:
        for number in range(1, 7):
            await die(broker, number, code="http_500" if number % 2 else "not_found")
        letters = DeadLetters(broker, TOPOLOGY)
        await letters.redrive(lambda stored: stored.letter is not None and stored.letter.code == "http_500")
        assert await numbers(letters) == [2, 4, 6]
        await letters.discard(lambda stored: stored.number == 4)
        assert await numbers(letters) == [2, 6]
        assert letters.ended == {Ended.REDRIVEN: 3, Ended.DISCARDED: 1}
        assert len(await queued(broker)) == 3


async def test_by_number(nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Letters that are named are read alone, however many others there are."""
    async with queue(nats_server) as broker:
        for number in range(1, 6):
            await die(broker, number)
        letters, read = DeadLetters(broker, TOPOLOGY), list[int]()
        get = letters.get

        async def noting(number: int) -> StoredLetter | None:
            read.append(number)
            return await get(number)

        monkeypatch.setattr(letters, "get", noting)
        monkeypatch.setattr(letters, "all", None)
        await letters.redrive(lambda _: True, numbers={4, 2, 9})
        await letters.discard(lambda _: True, numbers={1})
        assert letters.ended == {Ended.REDRIVEN: 2, Ended.DISCARDED: 1}
        assert read == [2, 4, 9, 1]


async def test_what_cannot_be_redriven_is_kept(nats_server: NatsServer) -> None:
    """A letter that is cut, too large for the queue or unreadable stays, and is counted."""
    config = StreamConfig(stream="SMALL", subject="small")
    async with queue(nats_server) as broker:
        await broker.jetstream.add_stream(name="SMALL", subjects=["small"], max_msg_size=1_000)
        await ensure_streams(broker, config)
        room = 1_000 - stored_size(b"", f"redrive/SMALL_DEAD/2/{'0' * 16}", "SMALL")
        for payload in (
            DeadLetter(reason="", code="x", original=b"x", cut=True, subject="s").to_json(),
            DeadLetter(reason="", code="x", original=b"x" * (room + 1), subject="s").to_json(),
            b"garbage",
            DeadLetter(reason="", code="x", original=b"x" * room, subject="s").to_json(),
        ):
            await broker.jetstream.publish(config.dead_subject, payload)
        letters = DeadLetters(broker, config)
        await letters.redrive(everything)
        assert letters.ended == {Ended.CUT: 1, Ended.TOO_LARGE: 1, Ended.UNREADABLE: 1, Ended.REDRIVEN: 1}
        assert await numbers(letters) == [1, 2, 3]
        await letters.discard(everything)
        assert await numbers(letters) == []


class Cut(DeadLetters):
    """A redrive that dies before it deletes."""

    async def _delete(self, number: int) -> None:
        raise BrokerError("killed here")


async def killed(broker: Broker) -> int:
    """Redrive three letters, without deleting any; return how many messages came to the queue."""
    for number in range(1, 4):
        await die(broker, number)
    with pytest.raises(BrokerError, match="killed here"):
        await Cut(broker, TOPOLOGY).redrive(everything)
    stored = len(await queued(broker))
    assert stored >= 1
    return stored


async def test_a_repeat_after_a_kill_is_dropped(nats_server: NatsServer) -> None:
    """A redrive that was killed between publishing and deleting stores nothing twice."""
    async with queue(nats_server) as broker:
        stored = await killed(broker)
        letters = DeadLetters(broker, TOPOLOGY)
        await letters.redrive(everything)
        assert letters.ended == {Ended.REDRIVEN_BEFORE: stored, Ended.REDRIVEN: 3 - stored} or stored == 3
        assert len(await queued(broker)) == 3
        assert await dead_letters(broker) == []


@pytest.mark.parametrize("again", [False, True])
async def test_what_has_left_the_queue_is_kept(nats_server: NatsServer, again: bool) -> None:
    """After a purge, the letter is the only copy of its command: it is kept, and redriven only if that is asked for."""
    async with queue(nats_server) as broker:
        stored = await killed(broker)
        await broker.jetstream.purge_stream(TOPOLOGY.stream)
        letters = DeadLetters(broker, TOPOLOGY)
        await letters.redrive(everything, again=again)
        assert letters.ended[Ended.LEFT] == (0 if again else stored)
        assert letters.ended[Ended.REDRIVEN] == (3 if again else 3 - stored)
        assert len(await numbers(letters)) == letters.ended[Ended.LEFT]
        assert len(await queued(broker)) == letters.ended[Ended.REDRIVEN]


async def test_a_stop_while_the_queue_is_full(nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not wait until the queue has room; no letter is lost."""
    monkeypatch.setattr(thredfi_async.worker.dead_letters, "_DRAIN_SECONDS", 0.01)
    config = StreamConfig(stream="FULL", subject="full")
    async with queue(nats_server) as broker:
        await broker.jetstream.add_stream(name="FULL", subjects=["full"], max_msgs=1, discard="new")
        await ensure_streams(broker, config)
        for number in range(1, 4):
            letter = DeadLetter(reason="", code="x", original=command_of(number).to_json(), subject="s")
            await broker.jetstream.publish(config.dead_subject, letter.to_json())
        letters = DeadLetters(broker, config)
        redrive = asyncio.create_task(letters.redrive(everything))
        await until(lambda: letters.ended.total() == 1 and bool(letters.troubles), within=20)
        letters.drain()
        await redrive
        assert letters.ended == {Ended.REDRIVEN: 1}
        assert len(await numbers(letters)) == 2
        await letters.redrive(everything)
        assert letters.ended == {Ended.REDRIVEN: 1}


async def test_a_letter_that_dies_again_is_redriven_again(nats_server: NatsServer) -> None:
    """Each death is a letter of its own: its redrive is no repeat of the one before, with the same bytes."""
    async with queue(nats_server) as broker:
        letters = DeadLetters(broker, TOPOLOGY)
        for _ in range(2):
            await die(broker, 1)
            await letters.redrive(everything)
        assert letters.ended == {Ended.REDRIVEN: 2}


async def test_a_redriven_command_is_a_new_request(nats_server: NatsServer) -> None:
    """A worker archives what is redriven, with a key of its own unless the command gave one."""
    async with MockServer(2) as server, queue(nats_server) as broker:
        keys = (None, "mine")
        for customer, key in zip(server.customers, keys, strict=True):
            command = ArchiveCommand(customer.business_id, customer.customer_id, idempotency_key=key)
            letter = DeadLetter(
                reason="why",
                code="http_500",
                original=command.to_json(),
                subject="s",
                command_id="THREDFI/1/1.0",
                idempotency_key=command.key("THREDFI/1/1.0"),
            )
            await broker.jetstream.publish(TOPOLOGY.dead_subject, letter.to_json())
        old = {letter.idempotency_key for letter in await dead_letters(broker)}
        await DeadLetters(broker, TOPOLOGY).redrive(everything)
        async with client_of(server.url, token=server.token) as client:
            worker = Worker(client, nats=NatsSettings(url=nats_server.url), options=WorkerOptions(poll=0.05))
            task = asyncio.create_task(worker.run())
            async with asyncio.timeout(10):
                while await left(broker):  # noqa: ASYNC110 - the worker does not signal it
                    await asyncio.sleep(0.01)
            worker.stop()
            await task
        events = await outcomes(broker)
        assert {event.state for event in events} == {ItemState.ARCHIVED}
        new = {event.idempotency_key for event in events}
        assert new & old == {"mine"}
        assert len(new) == 2


async def test_a_queue_that_stores_nothing(nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full queue ends the redrive with the broker's reason; every letter is still there."""
    monkeypatch.setattr("thredfi_async.worker.dead_letters._SECONDS", 0.5)
    config = StreamConfig(stream="FULL", subject="full")
    async with queue(nats_server) as broker:
        await broker.jetstream.add_stream(name="FULL", subjects=["full"], max_msgs=1, discard="new")
        await ensure_streams(broker, config)
        await broker.jetstream.publish("full", b"x")
        await broker.jetstream.publish(
            config.dead_subject, DeadLetter(reason="", code="x", original=b"", subject="s").to_json()
        )
        letters = DeadLetters(broker, config)
        with pytest.raises(BrokerError, match=r"the queue FULL stored nothing for [0-9]+ s: .*maximum messages"):
            await letters.redrive(everything)
        assert await numbers(letters) == [1]


async def test_no_stream(nats_server: NatsServer) -> None:
    """A stream that is not there is named."""
    async with queue(nats_server) as broker:
        letters = DeadLetters(broker, StreamConfig(stream="NONE"))
        with pytest.raises(BrokerError, match="does not have the stream NONE_DEAD: stream not found; check --stream"):
            await numbers(letters)


async def test_how_long_they_are_kept(nats_server: NatsServer) -> None:
    """The age is set when the stream is created, and another one is refused with the way to change it."""
    async with queue(nats_server) as broker:
        odd = StreamConfig(stream="B", subject="b", dead_letters_max_age=2.01)  # no whole number of nanoseconds
        for _ in range(2):
            await ensure_streams(broker, odd)
        month = StreamConfig(stream="A", subject="a", dead_letters_max_age=30 * 86_400)
        for _ in range(2):
            await ensure_streams(broker, month)
        assert (await broker.jetstream.stream_info("A_DEAD")).config.max_age == 30 * 86_400
        await ensure_streams(broker, StreamConfig(stream="A", subject="a"))
        with pytest.raises(ConfigurationError, match=r"keeps dead letters 2592000 s \(max_age\), not 60 s: change it"):
            await ensure_streams(broker, StreamConfig(stream="A", subject="a", dead_letters_max_age=60))
        with pytest.raises(ConfigurationError, match=r"keeps dead letters for ever \(max_age\), not 60 s"):
            await ensure_streams(broker, StreamConfig(dead_letters_max_age=60))
