"""Shared parts of the worker's long runs: an API and workers in their own processes, a queue, and the results."""

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import AsyncGenerator, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from nats.js.api import AckPolicy, ConsumerConfig
from natsserver import NatsServer

from thredfi_async import InvalidRequestError
from thredfi_async.mock_server import Faults, MockServer, SeededCustomer, seeded_customers
from thredfi_async.worker import ArchiveCommand, DeadLetter, NatsSettings, OutcomeEvent, StreamConfig
from thredfi_async.worker.broker import Broker, connected
from thredfi_async.worker.streams import ensure_consumer, ensure_streams

TOPOLOGY = StreamConfig()
_JUST_READING = ConsumerConfig(ack_policy=AckPolicy.NONE)


@dataclass
class Report:
    """The API's records.

    Args:
        archived: For each customer, whether it is archived.
        applied: How many requests took effect, for customers with more than one.
        asked: How many archive requests came, for customers with more than one.
        keys: How many distinct keys and bodies these customers had.
        statuses: The number of answers by status.
        total: How many requests took effect.
    """

    archived: bytes
    applied: dict[int, int]
    asked: dict[int, int]
    keys: dict[int, tuple[int, int]]
    statuses: Counter[int]
    total: int


def serve(pipe: Connection, customers: int, settings: Mapping[str, Any]) -> None:
    """Run the mock server in this process, and follow the other one's orders."""
    asyncio.run(_serve(pipe, customers, settings))


async def _serve(pipe: Connection, customers: int, settings: Mapping[str, Any]) -> None:
    async with MockServer(customers, **settings) as server:
        pipe.send((server.url, server.token))
        while (order := await asyncio.to_thread(pipe.recv)) is not None:
            match order:
                case "down":
                    server.set_down(True, status=503)
                case "up":
                    server.set_down(False)
                case "statuses":
                    pipe.send(Counter(server.requests.statuses))
                case _:
                    pipe.send(_report(server))


def _report(server: MockServer) -> Report:
    records = [server.requests.of(customer.customer_id) for customer in server.customers]
    repeated = {number: record for number, record in enumerate(records) if record.requests > 1}
    return Report(
        archived=bytes(server.is_archived(customer.customer_id) for customer in server.customers),
        applied={number: record.applied for number, record in enumerate(records) if record.applied > 1},
        asked={number: record.requests for number, record in repeated.items()},
        keys={number: (len(record.keys), len(record.digests)) for number, record in repeated.items()},
        statuses=server.requests.statuses,
        total=server.requests.applied,
    )


@dataclass
class Api:
    """The mock server in its process."""

    pipe: Connection
    url: str
    token: str
    customers: Sequence[SeededCustomer]

    def tell(self, order: str) -> None:
        """Give an order without waiting for an answer."""
        self.pipe.send(order)

    async def ask(self, question: str) -> Any:
        """Give an order, and wait for the answer."""
        self.pipe.send(question)
        return await asyncio.to_thread(self.pipe.recv)


@contextlib.contextmanager
def api(customers: int, *, faults: Faults | None = None, **settings: Any) -> Generator[Api]:
    """Run the mock server in a process of its own."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, customers, {"faults": faults, **settings}), daemon=True)
    process.start()
    try:
        url, token = ours.recv()
        yield Api(ours, url, token, seeded_customers(customers))
        ours.send(None)
        process.join(10)
    finally:
        process.kill()


@dataclass
class Workers:
    """Worker processes, running the command that users run."""

    api: Api
    nats: NatsServer
    directory: Path
    arguments: tuple[str, ...] = ()
    login: tuple[str, str] | None = None
    ports: dict[int, int] = field(default_factory=dict[int, int])
    _processes: list[subprocess.Popen[bytes] | None] = field(default_factory=list[subprocess.Popen[bytes] | None])
    starts: int = 0

    def start(self, index: int | None = None) -> None:
        """Start one, replacing the killed one at an index if given."""
        self.starts += 1
        command = [sys.executable, "-m", "thredfi_async", "worker", "--json", "--nats", self.nats.url]
        environment = os.environ | {"THREDFI_TOKEN": self.api.token, "THREDFI_BASE_URL": self.api.url}
        if self.login is not None:
            environment["THREDFI_NATS_USER"], environment["THREDFI_NATS_PASSWORD"] = self.login
        place = len(self._processes) if index is None else index
        health = ["--health-port", str(self.ports[place])] if place in self.ports else ["--no-health"]
        with (self.directory / f"worker-{place}.log").open("ab") as log:
            process = subprocess.Popen([*command, *health, *self.arguments], env=environment, stdout=log, stderr=log)
        if index is None:
            self._processes.append(process)
        else:
            self._processes[index] = process

    def kill(self, index: int) -> None:
        """Kill one."""
        process, self._processes[index] = self._processes[index], None
        if process is not None:
            process.kill()
            process.wait(10)

    def stop(self) -> list[int]:
        """Stop all, and return their exit codes."""
        running = [process for process in self._processes if process is not None]
        for process in running:
            process.terminate()
        return [process.wait(60) for process in running]

    def close(self) -> None:
        """Kill all that are left."""
        for index in range(len(self._processes)):
            self.kill(index)

    async def figures(self, index: int) -> dict[str, float]:
        """Return the metrics of one."""
        url = f"http://127.0.0.1:{self.ports[index]}/metrics"

        def read() -> str:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return str(answer.read().decode())

        lines = (await asyncio.to_thread(read)).splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}


@dataclass
class Scene:
    """Everything that a long run uses."""

    api: Api
    nats: NatsServer
    workers: Workers


@contextlib.contextmanager
def scene(
    customers: int,
    *arguments: str,
    nats_arguments: Sequence[str] = (),
    login: tuple[str, str] | None = None,
    **settings: Any,
) -> Generator[Scene]:
    """Set up an API, a broker, and no workers yet.

    Args:
        customers: Number of the API's customers.
        *arguments: Arguments of the workers.
        nats_arguments: Arguments of the broker.
        login: The workers' login at the broker.
        **settings: Settings of the API.
    """
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        there = stack.enter_context(api(customers, **settings))
        nats = stack.enter_context(NatsServer(directory, *nats_arguments))
        workers = Workers(there, nats, directory, arguments, login)
        stack.callback(workers.close)
        yield Scene(there, nats, workers)


@contextlib.asynccontextmanager
async def queue(nats: NatsServer, *, login: tuple[str, str] | None = None) -> AsyncGenerator[Broker]:
    """Connect to a broker, with streams and consumer created."""
    user, password = login or (None, None)
    async with connected(NatsSettings(url=nats.url, user=user, password=password), name="watch") as broker:
        await ensure_streams(broker, TOPOLOGY)
        await ensure_consumer(broker, TOPOLOGY)
        yield broker


async def publish(broker: Broker, commands: Iterable[tuple[str, bytes]]) -> None:
    """Publish payloads with their message ids."""
    slots = asyncio.Semaphore(200)

    async def one(message_id: str, payload: bytes) -> None:
        async with slots:
            await broker.store(TOPOLOGY.subject, payload, message_id=message_id, stream=TOPOLOGY.stream)

    async with asyncio.TaskGroup() as group:
        for message_id, payload in commands:
            group.create_task(one(message_id, payload))


def commands_for(customers: Iterable[SeededCustomer]) -> Iterator[tuple[str, bytes]]:
    """Return a message for each customer."""
    for number, customer in enumerate(customers):
        yield str(number), ArchiveCommand(customer.business_id, customer.customer_id).to_json()


async def read_all(broker: Broker, stream: str, subject: str) -> list[bytes]:
    """Read every message of a stream, without removing any."""
    count = (await broker.jetstream.stream_info(stream)).state.messages
    if not count:
        return []
    subscription = await broker.jetstream.pull_subscribe(subject, stream=stream, config=_JUST_READING)
    payloads: list[bytes] = []
    while len(payloads) < count:
        payloads += [message.data for message in await subscription.fetch(min(500, count - len(payloads)), timeout=5)]
    await subscription.unsubscribe()
    return payloads


async def outcomes(broker: Broker) -> list[OutcomeEvent]:
    """Return every outcome event; what cannot be read is left out."""
    found: list[OutcomeEvent] = []
    for payload in await read_all(broker, TOPOLOGY.outcomes_stream, TOPOLOGY.outcomes_subjects):
        with contextlib.suppress(InvalidRequestError):
            found.append(OutcomeEvent.from_json(payload))
    return found


async def dead_letters(broker: Broker) -> list[DeadLetter]:
    """Return every dead letter."""
    return [
        DeadLetter.from_json(payload) for payload in await read_all(broker, TOPOLOGY.dead_stream, TOPOLOGY.dead_subject)
    ]


async def left(broker: Broker) -> int:
    """Return the number of commands that were not acknowledged; -1 while the broker cannot tell.

    By the consumer's count: after a kill, nats-server 2.9 may keep messages in the stream that were acknowledged.
    """
    try:
        info = await broker.jetstream.consumer_info(TOPOLOGY.stream, TOPOLOGY.consumer)
    except Exception:  # noqa: BLE001 - it is being restarted
        return -1
    return int(info.num_pending + info.num_ack_pending)
