"""Our way through nats-py's client does what nats-py's own way does."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import nats.errors
import pytest
from helpers import until
from nats.aio.client import Client
from nats.aio.msg import Msg
from natsserver import NatsServer
from workerpark import queue

from thredfi_async.worker import direct_client
from thredfi_async.worker.broker import Broker
from thredfi_async.worker.nats_client import NatsClient

MESSAGES: list[tuple[str, bytes, str, dict[str, str] | None]] = [
    ("inbox.a", b"", "", None),
    ("inbox.a", b"x\r\ny", "", None),
    ("inbox.a", b"x", "reply.1", None),
    ("inbox.ä", b"x", "reply.ö", None),
    ("inbox.a", b"x", "", {"Nats-Msg-Id": "1"}),
    ("inbox.a", b"x", "reply.1", {"Nats-Msg-Id": "a/1", "Nats-Expected-Stream": "S"}),
    ("inbox.a", b"x", "reply.1", {"Nats-Msg-Id": "a\r\nX: injected"}),
    ("inbox.a", b"x", "reply.1", {"Nats-Msg-Id": "a\nX: injected"}),
    ("inbox.a", b"x", "reply.1", {"Nats-Msg-Id": "ä"}),
]


class _Written:
    """Stands for nats-py's writing: what was sent, without a server."""

    def __init__(self) -> None:
        self.commands: list[bytes] = []

    async def note(self, command: bytes) -> None:
        self.commands.append(command)


async def _command(client: Any, message: tuple[object, ...]) -> bytes:
    written = _Written()
    client._status, client._max_payload, client._send_command = Client.CONNECTED, 100, written.note
    await client.publish(*message)
    (command,) = written.commands
    return command


@pytest.mark.parametrize("message", MESSAGES)
async def test_the_same_bytes_are_sent(message: tuple[str, bytes, str, dict[str, str] | None]) -> None:
    """A publication is written as nats-py writes it, also where a header would end its line."""
    assert await _command(NatsClient(needs_tls=False, on_error=print), message) == await _command(Client(), message)


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (("a b", b""), nats.errors.BadSubjectError),
        (("a\r\nPUB b 0\r\n", b""), nats.errors.BadSubjectError),
        (("", b"", "reply"), nats.errors.BadSubjectError),
        (("a", b"", "r s"), nats.errors.BadSubjectError),
        (("a", b"", "r\r\n"), nats.errors.BadSubjectError),
        (("", b"", "", {"a": "b"}), nats.errors.BadSubjectError),
        (("a", b"x" * 101), nats.errors.MaxPayloadError),
    ],
)
async def test_what_cannot_be_sent_is_refused(message: tuple[object, ...], error: type[Exception]) -> None:
    """A subject that would end the line, or a payload that is too large, is refused as by nats-py."""
    with pytest.raises(error):
        await _command(NatsClient(needs_tls=False, on_error=print), message)


async def test_nothing_is_sent_without_a_connection() -> None:
    """Before the connection and after its end, a publication is an error."""
    with pytest.raises(nats.errors.Error):
        await NatsClient(needs_tls=False, on_error=print).publish("a", b"")


async def test_a_reader_that_fails_does_not_end_the_connection(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    """What a callback raises is said, and the messages after it arrive."""
    async with queue(nats_server) as broker:
        got: list[bytes] = []

        def take(message: Msg) -> None:
            got.append(message.data)
            if message.data == b"bad":
                raise ValueError

        await broker.connection.subscribe("inbox.*", take)
        await _send(broker, b"bad", b"good")
        await until(lambda: got == [b"bad", b"good"])
        assert "NATS: " in caplog.text
        await broker.connection.unsubscribe("inbox.*")
        await _send(broker, b"late")
        await broker.connection.client.flush()
        assert got == [b"bad", b"good"]


async def _listening(broker: Broker, count: int) -> tuple[list[bytes], list[bytes], Callable[[], bool]]:
    """Return what arrives and what is written from now on, and whether all of it has arrived."""
    client: Any = broker.connection.client
    arrived: list[bytes] = []
    written: list[bytes] = []
    write = client._transport.writelines

    def note(commands: list[bytes]) -> None:
        written.append(b"".join(commands))
        write(commands)

    await broker.connection.subscribe("inbox.*", lambda message: arrived.append(message.data))
    await client.flush()
    client._transport.writelines = note
    return arrived, written, partial(_has, arrived, count)


@pytest.fixture
def nothing_leaves_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what may wait do so for a minute."""
    monkeypatch.setattr(direct_client, "_GATHER_SECONDS", 60.0)


@pytest.mark.usefixtures("nothing_leaves_by_itself")
async def test_what_may_wait_is_sent_together(nats_server: NatsServer) -> None:
    """Messages that may wait are one write, however many turns of the event loop lie between them."""
    async with queue(nats_server) as broker:
        arrived, written, is_complete = await _listening(broker, 20)
        for number in range(20):
            await broker.connection.publish("inbox.a", b"%d" % number, may_wait=True)
            await asyncio.sleep(0)
        assert written == []
        client: Any = broker.connection.client
        client._send_gathered()
        await until(is_complete)
        assert len(written) == 1
        assert arrived == [b"%d" % number for number in range(20)]


async def test_what_may_wait_is_sent_by_itself(nats_server: NatsServer) -> None:
    """Nothing else has to be sent before a message leaves that may wait, and the next one leaves too."""
    async with queue(nats_server) as broker:
        arrived, _, _ = await _listening(broker, 2)
        for count in (1, 2):
            await broker.connection.publish("inbox.a", b"x", may_wait=True)
            await until(partial(_has, arrived, count))


def _has(arrived: list[bytes], count: int) -> bool:
    return len(arrived) == count


@pytest.mark.usefixtures("nothing_leaves_by_itself")
async def test_what_may_not_wait_takes_along_what_does(nats_server: NatsServer) -> None:
    """A message that may not wait is written at once, after those that were published before it."""
    async with queue(nats_server) as broker:
        arrived, written, is_complete = await _listening(broker, 3)
        await broker.connection.publish("inbox.a", b"first", may_wait=True)
        await broker.connection.publish("inbox.a", b"second", may_wait=True)
        await broker.connection.publish("inbox.a", b"third")
        await until(is_complete)
        assert len(written) == 1
        assert arrived == [b"first", b"second", b"third"]


@pytest.mark.usefixtures("nothing_leaves_by_itself")
async def test_what_waits_when_the_connection_is_flushed_is_sent(nats_server: NatsServer) -> None:
    """At the end of a worker, the acknowledgements that still wait leave before the connection is closed."""
    async with queue(nats_server) as listening:
        arrived, _, is_complete = await _listening(listening, 1)
        async with queue(nats_server) as broker:
            await broker.respond("inbox.a", b"last")
        await until(is_complete)
        assert arrived == [b"last"]


@pytest.mark.usefixtures("nothing_leaves_by_itself")
async def test_the_broker_confirms_what_was_sent_before(nats_server: NatsServer) -> None:
    """A flush asks the broker after the messages that still wait, and not before."""
    async with queue(nats_server) as broker:
        _, written, _ = await _listening(broker, 1)
        await broker.respond("inbox.a", b"last")
        await broker.flush()
        assert written == [b"PUB inbox.a  4\r\nlast\r\nPING\r\n"]


async def test_what_waits_for_a_slow_broker_is_asked_to_be_sent_once() -> None:
    """While nats-py's own task waits until the broker reads, its queue does not grow."""
    client: Any = NatsClient(needs_tls=False, on_error=print)
    waiting: asyncio.Queue[object] = asyncio.Queue(1)
    client._flush_queue, client._pending_data_size = waiting, 1
    for _ in range(3):
        client._send_gathered()
    assert waiting.qsize() == 1


async def _send(broker: Broker, *payloads: bytes) -> None:
    for payload in payloads:
        await broker.connection.publish("inbox.a", payload)
