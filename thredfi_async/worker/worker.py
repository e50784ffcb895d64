"""The worker: takes commands from a work queue, and acknowledges each only when its outcome is stored."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from nats.aio.msg import Msg

from thredfi_async import Clock, SystemClock
from thredfi_async._jobs.metrics import Snapshot
from thredfi_async.bulk import ArchiveClient
from thredfi_async.worker.broker import Broker, connected
from thredfi_async.worker.completion import Completion
from thredfi_async.worker.errors import BrokerError
from thredfi_async.worker.fetcher import Fetcher
from thredfi_async.worker.gate import Gate
from thredfi_async.worker.handler import ArchiveHandler
from thredfi_async.worker.in_flight import InFlightMessage
from thredfi_async.worker.metrics import Metrics
from thredfi_async.worker.options import WorkerOptions
from thredfi_async.worker.processing import Processing
from thredfi_async.worker.settings import NatsSettings
from thredfi_async.worker.stream_config import StreamConfig
from thredfi_async.worker.streams import ensure_consumer, ensure_streams

_PROGRESS: Final = b"+WPI"
_LONGEST_WAIT: Final = 5.0
_SILENCE: Final = 60.0

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
        self._nats = nats or NatsSettings()
        self._stream_config = stream_config or StreamConfig()
        self._options = options or WorkerOptions()
        self._clock = clock or SystemClock()
        self._handler = handler or ArchiveHandler(client, max_retry_after=self._options.max_retry_after)
        self.gate: Gate = gate or Gate(clock=self._clock)
        self.gate.on_change = self._something_changed
        self.metrics: Metrics = Metrics()
        self._in_flight: dict[int, InFlightMessage] = {}
        self._changed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._reconnected = asyncio.Event()
        self._broker: Broker | None = None
        self._fetcher: Fetcher | None = None
        self._extra = 0
        self._beat = self._clock.monotonic()
        self.metrics.observe(self, client)

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
        silent = self._clock.monotonic() - self._beat
        return [f"nothing has moved for {silent:.0f} s"] if silent > _SILENCE else []

    def troubles_of_work(self) -> list[str]:
        """Return why the worker takes no messages at the moment; empty while it does."""
        troubles = [] if self.is_connected else ["NATS is not connected"]
        if self._stopping.is_set():
            troubles.append("it is stopping")
        if self.gate.cause == "api":
            troubles.append(f"the API is unavailable: {self.gate.reason}")
        elif self.gate.cause == "settings":
            troubles.append(f"the API refuses the credentials, or the address is wrong: {self.gate.reason}")
        return troubles

    def stop(self) -> None:
        """Take no more messages, and end when calls in flight have ended; called again, end them at once.

        May be called from a signal handler of the event loop.
        """
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()
        self._something_changed()

    async def run(self) -> None:
        """Process messages until `stop` is called.

        Raises:
            BrokerError: NATS cannot be reached at the start, or refuses a stream or the consumer.
            ConfigurationError: An existing stream or consumer is not suitable.
        """
        async with connected(
            self._nats, name=self._options.name, on_reconnect=self._is_reconnected, clock=self._clock
        ) as broker:
            self._broker = broker
            try:
                await self._run(broker)
                await broker.flush()
            finally:
                self._broker = None

    async def _run(self, broker: Broker) -> None:
        await ensure_streams(broker, self._stream_config)
        ack_wait = await ensure_consumer(broker, self._stream_config)
        broker.restore = partial(ensure_streams, broker, self._stream_config)
        async with asyncio.TaskGroup() as background:
            helpers = [
                background.create_task(self.gate.tend()),
                background.create_task(self._keep_alive(broker, ack_wait / 3)),
            ]
            try:
                async with asyncio.TaskGroup() as messages:
                    await self._work_on(broker, messages)
            finally:
                for helper in helpers:
                    helper.cancel()

    async def _work_on(self, broker: Broker, messages: asyncio.TaskGroup) -> None:
        def begin(in_flight: InFlightMessage) -> asyncio.Task[None]:
            return messages.create_task(self._work(in_flight, processing))

        fetcher = self._fetcher = Fetcher(
            broker, self._stream_config, partial(self._take, begin), expires=self._options.poll
        )
        completion = Completion(
            broker, self._stream_config, self.metrics, self._clock, self._something_changed, fetcher.quiet
        )
        processing = Processing(self._handler, self.gate, completion, self.metrics, self._options, self._stopping)
        try:
            await fetcher.start()
            await self._fetch(broker, fetcher)
            await self._drain(fetcher)
        finally:
            # No task may start from here on: after a cancellation, messages may still arrive.
            self._stopping.set()
            await fetcher.stop()
            self._fetcher = None

    async def _fetch(self, broker: Broker, fetcher: Fetcher) -> None:
        while not self._stopping.is_set():
            self._changed.clear()
            room = self._room()
            if room <= 0:
                await self._changed.wait()
                continue
            if not await fetcher.fetch(room):
                await self._find_consumer(broker)

    def _room(self) -> int:
        """Return how many messages to request; while the gate is closed, it may allow a few as probes."""
        if self.gate.is_open:
            self._extra = 0
            most = self._options.concurrency
            # What is being stored makes room for other calls, but not for ever more while nothing can be stored.
            storing = sum(each.storing for each in self._in_flight.values())
            return most + min(most, storing) - len(self._in_flight)
        return min(1, self.gate.extra - self._extra)

    async def _find_consumer(self, broker: Broker) -> None:
        """Recreate the consumer if it is gone, for instance after the broker lost its store."""
        wait = 0.5
        while not self._stopping.is_set():
            try:
                await ensure_streams(broker, self._stream_config)
                await ensure_consumer(broker, self._stream_config)
            except BrokerError as error:
                logger.warning("%s; trying again", error)
                await self._clock.sleep(wait)
                wait = min(_LONGEST_WAIT, wait * 2)
            else:
                return

    def _take(self, begin: Callable[[InFlightMessage], asyncio.Task[None]], message: Msg) -> bool:
        if self._stopping.is_set():
            return False
        in_flight = InFlightMessage.of(message, self._clock.monotonic())
        self.metrics.delivered(again=in_flight.deliveries > 1)
        known = self._in_flight.get(in_flight.sequence)
        if known is not None:
            # The acknowledgement was overdue, but this worker still holds the message: one task is enough.
            known.message, known.deliveries = message, in_flight.deliveries
            return True
        if not self.gate.is_open:
            self._extra += 1
        self._in_flight[in_flight.sequence] = in_flight
        in_flight.task = begin(in_flight)
        return True

    async def _work(self, in_flight: InFlightMessage, processing: Processing) -> None:
        try:
            await processing.process(in_flight)
        finally:
            del self._in_flight[in_flight.sequence]
            self._something_changed()

    async def _keep_alive(self, broker: Broker, every: float) -> None:
        """Report every held message to the broker as in progress."""
        while True:
            self._beat = self._clock.monotonic()
            for in_flight in list(self._in_flight.values()):
                if not in_flight.settled and broker.is_connected:
                    await broker.tell(in_flight.message.reply, _PROGRESS)
            self._reconnected.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(every):
                    await self._reconnected.wait()

    async def _drain(self, fetcher: Fetcher) -> None:
        """Let calls in flight end within the grace period, and return waiting messages at once."""
        await fetcher.stop()
        for in_flight in list(self._in_flight.values()):
            if not in_flight.busy and in_flight.task is not None:
                in_flight.task.cancel()
        try:
            async with asyncio.timeout(self._options.grace_period):
                while self._in_flight and not self._hurry.is_set():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            logger.warning("%d calls did not end in time; their messages are delivered again", len(self._in_flight))
        for in_flight in list(self._in_flight.values()):
            if in_flight.task is not None:
                in_flight.task.cancel()

    def _is_reconnected(self) -> None:
        self._reconnected.set()
        if self._fetcher is not None:
            self._fetcher.reconnected()

    def _something_changed(self) -> None:
        self._changed.set()
        if self._stopping.is_set() and self._fetcher is not None:
            self._fetcher.interrupt()
