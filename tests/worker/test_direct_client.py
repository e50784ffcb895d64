"""Our way through nats-py's client does what nats-py's own way does."""

from typing import Any

import nats.errors
import pytest
from helpers import until
from nats.aio.client import Client
from nats.aio.msg import Msg
from natsserver import NatsServer
from workerpark import queue

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


async def _send(broker: Broker, *payloads: bytes) -> None:
    for payload in payloads:
        await broker.connection.publish("inbox.a", payload)
