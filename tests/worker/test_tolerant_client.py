"""What a stranger may put into messages and replies: it is passed over or refused, and the work goes on."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import nats.errors
import pytest
from helpers import client_of, until
from hypothesis import given
from hypothesis import strategies as st
from natsserver import NatsServer, send_raw
from workerpark import TOPOLOGY, outcomes, queue

from thredfi_async.mock_server import MockServer
from thredfi_async.worker import ArchiveCommand, NatsSettings, Worker, WorkerOptions
from thredfi_async.worker.broker import Broker
from thredfi_async.worker.jetstream import UnreadableReplyError, object_in
from thredfi_async.worker.nats_client import NatsClient
from thredfi_async.worker.nats_errors import TROUBLE
from thredfi_async.worker.tolerant_client import TolerantClient

HEADS = [b"NATS/1.0 100 \xff\xfe\r\n\r\n", b"NATS/1.0", b"garbage\xff", b"X", b"NATS/1.0\r\n\xff: \xff\r\n\r\n"]


async def listening(broker: Broker, subject: str, take: Callable[[object], Awaitable[None]]) -> Any:
    """Subscribe, and return the subscription."""
    connection: Any = broker.connection.client  # nats-py's annotation of this method is partly missing
    return await connection.subscribe(subject, cb=take)


async def test_no_header_stops_a_worker(nats_server: NatsServer) -> None:
    """Commands whose headers are not UTF-8, or are none, are archived like all others."""
    async with MockServer(len(HEADS) + 1) as server, queue(nats_server) as broker:
        commands = [ArchiveCommand(each.business_id, each.customer_id).to_json() for each in server.customers]
        for head, command in zip(HEADS, commands, strict=False):
            await send_raw(nats_server, TOPOLOGY.subject, command, head)
        await broker.store(TOPOLOGY.subject, commands[-1], message_id="last", stream=TOPOLOGY.stream)
        async with client_of(server.url, token=server.token) as client:
            options = WorkerOptions(poll=0.05)
            worker = Worker(client, nats=NatsSettings(url=nats_server.url), options=options)
            task = asyncio.create_task(worker.run())
            await until(lambda: worker.metrics.value("outcomes_total", state="archived") == len(commands), within=10)
            worker.stop()
            await task
        assert [event.deliveries for event in await outcomes(broker)] == [1] * len(commands)


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        (b"NATS/1.0\r\nNats-Msg-Id: 1\r\n\r\n", None),
        (b"NATS/1.0\r\nTraceParent: 00-a-b-01\r\nStatus: 404\r\n\r\n", {"traceparent": "00-a-b-01"}),
        (b"NATS/1.0\r\ntraceparent:a\r\ntracestate: x=1\r\n\r\n", {"traceparent": "a", "tracestate": "x=1"}),
        (b"NATS/1.0\r\ntraceparent: \xff\r\n\r\n", {}),
        (b"NATS/1.0\r\ntraceparent: a\r\nX: " + b"x" * 20_000, None),
        (b"", None),
    ],
)
async def test_of_a_messages_own_headers_only_the_trace_is_read(headers: bytes, found: dict[str, str] | None) -> None:
    """Of what a stranger puts into headers, only a trace context is read, in any case, and within a bound."""
    assert await TolerantClient()._process_headers(headers) == found


async def test_no_subject_stops_a_subscription(nats_server: NatsServer) -> None:
    """A subject that is not UTF-8 reaches no one, and the messages after it arrive."""
    async with queue(nats_server) as broker:
        got: list[bytes] = []

        async def take(message: object) -> None:
            got.append(getattr(message, "data", b""))

        await listening(broker, "inbox.*", take)
        await broker.connection.client.flush()
        await send_raw(nats_server, b"inbox.\xff", b"strange", b"NATS/1.0\r\n\r\n")
        await send_raw(nats_server, b"inbox.good", b"good", b"NATS/1.0\r\n\r\n")
        await until(lambda: got[-1:] == [b"good"])


@pytest.mark.parametrize(
    "reply",
    [
        b"[]",
        b"garbage",
        b"{}",
        b"\xff",
        b'{"stream": "THREDFI"}',
        b'{"stream": "OTHER", "seq": 1}',
        b'{"stream": "THREDFI", "seq": "1"}',
        b'{"stream": "THREDFI", "seq": 1, "duplicate": "no"}',
        b'{"error": []}',
    ],
)
async def test_only_the_broker_says_that_it_is_stored(nats_server: NatsServer, reply: bytes) -> None:
    """A strange reply to a publication does not count as stored: it is published again, under the same id."""
    async with queue(nats_server) as broker:

        async def answer(message: object) -> None:
            await broker.connection.publish(str(getattr(message, "reply", "")), reply)

        # A listener on the subject itself is quicker than the stream.
        subscription = await listening(broker, TOPOLOGY.subject, answer)
        storing = asyncio.create_task(
            broker.store(TOPOLOGY.subject, b"x", message_id="1", stream=TOPOLOGY.stream),
        )
        await until(lambda: subscription.delivered >= 1)
        await subscription.unsubscribe()
        await storing
        assert (await broker.jetstream.stream_info(TOPOLOGY.stream)).state.messages == 1


@pytest.mark.parametrize("reply", [b"[]", b"garbage", b"{}", b'{"config": 5}', b'{"message": {"seq": 0}}', b"\xff"])
async def test_a_strange_reply_is_the_brokers_trouble(nats_server: NatsServer, reply: bytes) -> None:
    """Whatever answers a question about a stream, the caller sees an error of the broker and no other."""
    async with queue(nats_server) as broker:
        asked: list[str] = []

        async def answer(message: object) -> None:
            asked.append(str(getattr(message, "reply", "")))
            await broker.connection.publish(asked[-1], reply)

        js = broker.jetstream
        js._prefix = "STRANGER"
        await listening(broker, "STRANGER.>", answer)
        questions: list[Callable[[], Any]] = [
            lambda: js.stream_info("THREDFI"),
            lambda: js.consumer_info("THREDFI", "c"),
            lambda: js.add_stream(name="THREDFI"),
            lambda: js.message("THREDFI", 1),
            lambda: js.message("THREDFI", 1, following=True),
        ]
        for ask in questions:
            with pytest.raises(TROUBLE):
                await ask()
        assert len(asked) == 5


@given(st.binary(max_size=60) | st.recursive(st.none() | st.text(), st.lists).map(lambda v: json.dumps(v).encode()))
def test_any_reply(data: bytes) -> None:
    """A reply is an object, or an error of the broker."""
    try:
        fields = object_in(data)
    except UnreadableReplyError:
        return
    assert isinstance(fields, dict)


async def test_a_stranger_in_the_inbox(nats_server: NatsServer) -> None:
    """What the consumer did not deliver is not worked on, even if it holds a command."""
    async with MockServer(2) as server, queue(nats_server) as broker:
        commands = [ArchiveCommand(each.business_id, each.customer_id).to_json() for each in server.customers]
        inboxes: list[str] = []

        async def see(message: object) -> None:
            inboxes.append(str(getattr(message, "reply", "")))

        await listening(broker, "$JS.API.CONSUMER.MSG.NEXT.>", see)
        await broker.connection.client.flush()
        async with client_of(server.url, token=server.token) as client:
            options = WorkerOptions(poll=0.05)
            worker = Worker(client, nats=NatsSettings(url=nats_server.url), options=options)
            task = asyncio.create_task(worker.run())
            await until(lambda: len(inboxes) > 1)
            for reply in ("x", "$JS.ACK.a.b.c.d.e.f.g", f"$JS.ACK.OTHER.{TOPOLOGY.consumer}.1.1.1.1.0"):
                await broker.connection.publish(inboxes[-1], commands[0], reply=reply)
            await broker.store(TOPOLOGY.subject, commands[1], message_id="1", stream=TOPOLOGY.stream)
            await until(lambda: worker.metrics.value("outcomes_total", state="archived") == 1)
            worker.stop()
            await task
        assert [event.customer_id for event in await outcomes(broker)] == [server.customers[1].customer_id]


@pytest.mark.parametrize("begins", [b"", b"INFO {", b"MSG a 1 99999999999999\r\n", b"HMSG a 1 12 67108900\r\n"])
async def test_a_server_without_an_end(begins: bytes) -> None:
    """What it sends is not kept for ever: the connection ends."""
    client, kept = NatsClient(needs_tls=False, on_error=print), 0

    async def read() -> None:
        nonlocal kept
        for chunk in (begins, *[b"x" * 65_536] * 1_000):
            await client._ps.parse(chunk)
            kept += len(chunk)

    with pytest.raises(nats.errors.ProtocolError):
        await read()
    assert kept <= 1024 * 1024


async def test_a_large_message_in_parts() -> None:
    """The largest that a broker may allow comes through."""
    client, taken = NatsClient(needs_tls=False, on_error=print), list[int]()

    async def take(sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        taken.append(len(data))

    client._process_msg = take  # type: ignore[method-assign] # nats-py calls it
    await client._ps.parse(b"MSG a 1 67108864\r\n")
    for _ in range(64):
        await client._ps.parse(b"x" * 1024 * 1024)
    await client._ps.parse(b"\r\n")
    assert taken == [67_108_864]
