"""The worker: takes commands from a work queue, and acknowledges each only when its outcome is stored."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from nats.aio.msg import Msg

from thredfi_async import Clock, SystemClock
from thredfi_async._jobs.metrics import Snapshot
from thredfi_async.bulk import ArchiveClient
from thredfi_async.worker.broker import Broker, connected
from thredfi_async.worker.completion import Completion
from thredfi_async.worker.delivery import Delivery
from thredfi_async.worker.errors import BrokerError
from thredfi_async.worker.fetcher import Fetcher
from thredfi_async.worker.gate import Gate
from thredfi_async.worker.handler import ArchiveHandler
from thredfi_async.worker.in_flight import InFlight, InFlightMessage
from thredfi_async.worker.metrics import Metrics
from thredfi_async.worker.options import WorkerOptions
from thredfi_async.worker.processing import Processing
from thredfi_async.worker.settings import NatsSettings
from thredfi_async.worker.start import CHECK_SECONDS, prepare_queue, prove_credentials, until_stopped
from thredfi_async.worker.status import Status
from thredfi_async.worker.stream_config import StreamConfig
from thredfi_async.worker.streams import ACK_WAIT, ensure_streams
from thredfi_async.worker.supervision import Part, Supervisor

_PROGRESS: Final = b"+WPI"

Begin = Callable[[InFlightMessage], asyncio.Task[None]]

logger: logging.Logger = logging.getLogger("thredfi_async.worker")


class Worker:
    """Archives what messages on NATS JetStream ask for, until it is stopped.

    Any number of workers share a queue, in one process or on many machines. Every message becomes an outcome event or
    a dead letter before it is acknowledged; if the worker dies in between, it is delivered again.

    Args:
        client: The client; its owner closes it.
        nats: The broker's address and credentials; this machine by default.
        stream_config: The names of streams and subjects.
        options: Concurrency, delivery limit and the like.
        handler: Makes the calls; by default one for the client.
        gate: Holds messages while the API is unavailable.
        clock: Tells the time and sleeps; for tests.

    Attributes:
        metrics: The worker's metrics.
    """

    def __init__(  # noqa: PLR0913 - parts of one worker, all but the first by name
        self,
        client: ArchiveClient,
        *,
        nats: NatsSettings | None = None,
        stream_config: StreamConfig | None = None,
        options: WorkerOptions | None = None,
        handler: ArchiveHandler | None = None,
        gate: Gate | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.metrics: Metrics = Metrics()
        self._client = client = self.metrics.measuring(client)
        self._nats = nats or NatsSettings()
        self._stream_config = stream_config or StreamConfig()
        self._options = options or WorkerOptions()
        self._clock = clock or SystemClock()
        self._handler = handler or ArchiveHandler(client, max_retry_after=self._options.max_retry_after)
        self.gate: Gate = gate or Gate(clock=self._clock)
        self.gate.on_change = self._gate_changed
        self._in_flight = InFlight(self._options.concurrency)
        self._changed = asyncio.Event()
        self._stopping, self._hurry, self._reconnected = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._broker: Broker | None = None
        self._fetcher: Fetcher | None = None
        self._extra, self._ack_wait, self._check_at, self._asked_at = 0, ACK_WAIT, 0.0, 0.0
        self._status = Status(self.gate, self._clock)
        self._supervisor = Supervisor(self._clock, on_failure=self.metrics.part_failed)
        self.metrics.observe(self)

    @property
    def in_flight(self) -> int:
        """Messages that the worker holds."""
        return len(self._in_flight)

    @property
    def is_connected(self) -> bool:
        """Whether the broker is connected."""
        return self._broker is not None and self._broker.is_connected

    def snapshot(self) -> Snapshot:
        """Return how far the worker is, in the form that bulk runs have."""
        return self.metrics.snapshot(self, self._options.concurrency, self._clock.monotonic())

    def troubles_of_life(self) -> list[str]:
        """Return why the worker should be restarted; empty while it is alive."""
        return self._supervisor.troubles() + self._status.troubles_of_life(len(self._in_flight))

    def troubles_of_work(self) -> list[str]:
        """Return what keeps the worker from its work, and for how long; empty while it works."""
        return self._status.troubles_of_work()

    def stop(self) -> None:
        """Take no more messages, and end when calls in flight have ended; called again, end them at once.

        May be called from a signal handler of the event loop, also before and during the start.
        """
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()
        self._status.stops()
        self._something_changed()

    async def run(self, *, on_ready: Callable[[], object] | None = None) -> None:
        """Process messages until `stop` is called.

        Args:
            on_ready: Called once NATS, the queue and the credentials are ready and messages are taken.

        Raises:
            BrokerError: NATS was not ready within `connect_timeout`, if that is set.
            ConfigurationError: An existing stream or consumer, or a file of the settings, is not suitable.
        """
        async with connected(
            self._nats,
            name=self._options.name,
            within=None,
            clock=self._clock,
            conditions=self._status.conditions,
            supervisor=self._supervisor,
        ) as broker:
            self._broker = broker
            broker.connection.on_up.append(self._is_reconnected)
            broker.on_store_failure = partial(self.metrics.not_stored, self._stream_config)
            try:
                if await until_stopped(self._start(broker), self._stopping):
                    await self._run(broker, on_ready)
                    await broker.flush()
            finally:
                self._broker = None

    async def _start(self, broker: Broker) -> None:
        within = self._options.connect_timeout
        try:
            async with asyncio.timeout(within):
                await self._prepare(broker)
        except TimeoutError:
            self._status.conditions.end("start")  # that says nothing of why
            why = "; ".join(self._status.conditions.lines()) or "no answer in time"
            raise BrokerError(f"NATS was not ready within {within:g} s: {why}") from None
        await prove_credentials(self._client, self._status.conditions, self._clock)

    async def _prepare(self, broker: Broker, again_after: float | None = None) -> None:
        queue = await prepare_queue(broker, self._stream_config, self._clock, again_after=again_after)
        self._ack_wait = queue.ack_wait
        self._in_flight.stream_began(queue.created_at)
        self._check_at = self._clock.monotonic() + CHECK_SECONDS

    async def _run(self, broker: Broker, on_ready: Callable[[], object] | None) -> None:
        broker.restore = partial(ensure_streams, broker, self._stream_config)
        async with asyncio.TaskGroup() as background:
            parts: dict[str, Callable[[Part], Awaitable[None]]] = {
                "probes of the API": self._send_probes,
                "progress acknowledgements": partial(self._keep_alive, broker),
            }
            tasks = [background.create_task(self._supervisor.run(name, part)) for name, part in parts.items()]
            try:
                async with asyncio.TaskGroup() as messages:
                    await self._work_on(broker, messages, on_ready)
            finally:
                for task in tasks:
                    task.cancel()

    async def _work_on(
        self, broker: Broker, messages: asyncio.TaskGroup, on_ready: Callable[[], object] | None
    ) -> None:
        def begin(in_flight: InFlightMessage) -> asyncio.Task[None]:
            return messages.create_task(self._work(in_flight, processing))

        fetcher = self._fetcher = Fetcher(
            broker, self._stream_config, partial(self._take, begin), expires=self._options.poll
        )
        completion = Completion(broker, self._stream_config, self.metrics, self._clock, self._stores, fetcher.quiet)
        processing = Processing(self._handler, self.gate, completion, self.metrics, self._options, self._stopping)
        try:
            await fetcher.start()
            self._status.is_ready()
            if on_ready is not None:
                on_ready()
            await self._supervisor.run("requests for messages", partial(self._fetch, broker, fetcher))
            await self._drain(fetcher)
        finally:
            # No task may start from here on: after a cancellation, messages may still arrive.
            self._stopping.set()
            await fetcher.stop()
            self._fetcher = None

    async def _fetch(self, broker: Broker, fetcher: Fetcher, part: Part) -> None:
        while not self._stopping.is_set():
            self._changed.clear()
            if (room := self._room()) <= 0:
                part.rests()
                await self._changed.wait()
                continue
            part.beat()
            self._asked_at = self._clock.monotonic()
            problem = await fetcher.fetch(room)
            if problem is not None:
                self._status.conditions.begin("fetch", problem)
            elif self._clock.monotonic() < self._check_at:
                self._status.conditions.end("fetch")
                continue
            part.rests()  # each try is bounded, and there may be any number of them
            # The consumer may be gone, for instance after the broker lost its store, or someone may have changed it.
            await until_stopped(self._prepare(broker, fetcher.backoff), self._stopping)

    def _room(self) -> int:
        """Return how many messages to request; while the gate is closed, it may allow a few as probes."""
        if self.gate.is_open:
            self._extra = 0
            return self._in_flight.room
        return min(1, self.gate.extra - self._extra)

    def _take(self, begin: Begin, message: Msg, delivery: Delivery) -> bool:
        if self._stopping.is_set():
            return False
        self.metrics.delivered(again=delivery.deliveries > 1)
        self._in_flight.arrives(delivery)
        known = self._in_flight.get(delivery.message_id)
        if known is not None:
            known.delivered_again(message, delivery)
            return True
        # It may have waited in a buffer since soon after the request.
        in_flight = InFlightMessage.of(message, delivery, self._clock.monotonic(), self._asked_at + self._ack_wait)
        if not self.gate.is_open:
            self._extra += 1
        self._in_flight.add(in_flight)
        in_flight.task = begin(in_flight)
        return True

    async def _work(self, in_flight: InFlightMessage, processing: Processing) -> None:
        try:
            await processing.process(in_flight)
        finally:
            self._in_flight.remove(in_flight)
            self._status.moves()
            self._something_changed()

    async def _send_probes(self, part: Part) -> None:
        part.rests()  # the gate waits for whatever the API asks for
        await self.gate.tend()

    async def _keep_alive(self, broker: Broker, part: Part) -> None:
        """Report every held message to the broker as in progress."""
        while True:
            part.beat()
            for in_flight in self._in_flight:
                if not in_flight.is_answered and broker.is_connected:
                    in_flight.hold(self._clock.monotonic(), self._ack_wait)
                    await broker.respond(in_flight.message.reply, _PROGRESS)
            self._reconnected.clear()
            part.rests()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._ack_wait / 3):
                    await self._reconnected.wait()

    async def _drain(self, fetcher: Fetcher) -> None:
        """Let calls in flight end within the grace period, and return waiting messages at once."""
        await fetcher.stop()
        for in_flight in self._in_flight:
            if not in_flight.busy:
                in_flight.cancel()
        try:
            async with asyncio.timeout(self._options.grace_period):
                while self._in_flight and not self._hurry.is_set():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            logger.warning("%d calls did not end in time; their messages are delivered again", len(self._in_flight))
        for in_flight in self._in_flight:
            in_flight.cancel()

    def _is_reconnected(self) -> None:
        self._reconnected.set()
        if self._fetcher is not None:
            self._fetcher.reconnected()

    def _gate_changed(self) -> None:
        self._status.note_gate()
        self._something_changed()

    def _stores(self, in_flight: InFlightMessage) -> None:
        self._in_flight.stores(in_flight)
        self._something_changed()

    def _something_changed(self) -> None:
        self._changed.set()
        if self._stopping.is_set() and self._fetcher is not None:
            self._fetcher.interrupt()
