"""The examples for other brokers, on a real Redis and on FastStream's own stand-ins for Kafka and RabbitMQ."""

import asyncio
import importlib
import json
import shutil
import subprocess
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from socket import socket
from typing import Any

import pytest

from thredfi_async import ThredfiClient
from thredfi_async.mock_server import MockServer
from thredfi_async.worker import ArchiveCommand, ArchiveHandler, DeadLetter


def example(name: str) -> Any:
    """Import an example, which takes the package of its broker."""
    pytest.importorskip({"kafka": "aiokafka", "rabbit": "aio_pika", "redis": "redis"}[name])
    # Read again each time: an app belongs to one event loop.
    return importlib.reload(importlib.import_module(f"faststream_{name}"))


@pytest.fixture
async def server() -> AsyncIterator[MockServer]:
    """A mock server with a few customers."""
    async with MockServer(customers=3) as mock_server:
        yield mock_server


@asynccontextmanager
async def handling(app: Any, server: MockServer) -> AsyncGenerator[None]:
    """Give the app its handler, as its lifespan does with the variables of the process."""
    async with ThredfiClient.from_env(server.environ) as client:
        app.context.set_global("handler", ArchiveHandler(client))
        yield


def messages(server: MockServer) -> list[bytes]:
    """A command, and what is none."""
    first = server.customers[0]
    return [ArchiveCommand(first.business_id, first.customer_id).to_json(), b"not a command"]


def check(server: MockServer, letters: list[bytes]) -> None:
    """The command is done, and the other message is a dead letter."""
    assert server.is_archived(server.customers[0].customer_id)
    (letter,) = map(DeadLetter.from_json, letters)
    assert (letter.code, letter.original) == ("invalid_request", b"not a command")


@pytest.mark.parametrize(("name", "key"), [("kafka", "topic"), ("rabbit", "queue")])
async def test_a_stand_in_delivers(name: str, key: str, server: MockServer) -> None:
    """On FastStream's stand-in for the broker, a command is archived, and another message becomes a dead letter."""
    app = example(name)
    letters: list[bytes] = []
    module = importlib.import_module(f"faststream.{name}")

    async def collect(payload: bytes) -> None:
        letters.append(payload)

    app.broker.subscriber("customers.dead", decoder=app.as_bytes)(collect)
    async with getattr(module, f"Test{name.capitalize()}Broker")(app.broker) as broker, handling(app.app, server):
        for payload in messages(server):
            await broker.publish(payload, **{key: "customers.archive"})
    check(server, letters)


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """The URL of a real Redis that stores nothing."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert next(line for line in process.stdout if "eady to accept connections" in line)
            yield f"redis://127.0.0.1:{port}"
        finally:
            process.terminate()


async def test_redis_delivers(server: MockServer, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a real Redis, a command is archived, and another message becomes a dead letter."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    app = example("redis")
    redis = importlib.import_module("redis.asyncio")
    async with redis.from_url(redis_url) as connection, handling(app.app, server):
        await app.broker.start()
        try:
            for payload in messages(server):
                await connection.xadd("customers.archive", {"__data__": payload})
            async with asyncio.timeout(20):
                while not await connection.xlen("customers.dead"):  # noqa: ASYNC110 - Redis sends no event
                    await asyncio.sleep(0.02)
                while not server.is_archived(server.customers[0].customer_id):  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.02)
        finally:
            await app.broker.stop()
        stored = [fields[b"__data__"] for _, fields in await connection.xrange("customers.dead")]
    letters = [each[each.index(b'{"') :] for each in stored]  # FastStream writes its headers in front
    check(server, letters)


class Queue:
    """SQS, as far as the example calls it: it delivers each message until it is deleted or put off."""

    def __init__(self, payloads: list[bytes]) -> None:
        self.waiting = {str(number): payload.decode() for number, payload in enumerate(payloads)}
        self.dead: list[bytes] = []
        self.put_off: list[int] = []
        self.empty = asyncio.Event()

    async def receive_message(self, **_options: object) -> dict[str, Any]:
        if not self.waiting:
            self.empty.set()
            await asyncio.Event().wait()
        attributes = {"ApproximateReceiveCount": "1"}
        return {
            "Messages": [
                {"Body": body, "ReceiptHandle": receipt, "MessageId": receipt, "Attributes": attributes}
                for receipt, body in self.waiting.items()
            ]
        }

    async def send_message(self, **message: str) -> None:
        self.dead.append(message["MessageBody"].encode())

    async def delete_message(self, **message: str) -> None:
        del self.waiting[message["ReceiptHandle"]]

    async def change_message_visibility(self, **message: Any) -> None:
        self.put_off.append(message["VisibilityTimeout"])
        del self.waiting[message["ReceiptHandle"]]


async def test_sqs_is_served(server: MockServer) -> None:
    """With a stand-in for SQS: what is final is deleted, after its dead letter, and what is not is put off."""
    sqs = importlib.import_module("sqs")
    refused = json.loads(messages(server)[0]) | {"customer_id": str(server.customers[1].customer_id)}
    queue = Queue([*messages(server), json.dumps(refused).encode()])
    async with ThredfiClient.from_env(server.environ, max_retries=0) as client:
        server.set_down(True, status=503)
        await sqs.settle(queue, "q", "d", ArchiveHandler(client), (await queue.receive_message())["Messages"][2])
        server.set_down(False)
        working = asyncio.ensure_future(sqs.consume(queue, "q", "d", ArchiveHandler(client)))
        async with asyncio.timeout(20):
            await queue.empty.wait()
        working.cancel()
        await asyncio.wait([working])
    assert queue.put_off
    check(server, queue.dead)
