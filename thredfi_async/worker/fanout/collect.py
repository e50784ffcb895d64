"""Collects outcome events for a journal, by their sequence numbers in the stream."""

import asyncio
import contextlib
import enum
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from thredfi_async import InvalidRequestError
from thredfi_async.bulk.journal import Outcome
from thredfi_async.worker.broker import Broker
from thredfi_async.worker.errors import BrokerError
from thredfi_async.worker.events import OutcomeEvent
from thredfi_async.worker.fanout.queue_depth import QueueDepth, read_queue_depth
from thredfi_async.worker.nats_errors import TROUBLE
from thredfi_async.worker.stream_config import StreamConfig

CHUNK: Final = 200
"""Events that are requested at a time, and recorded together."""

_FUTURE: Final = 86_400.0
"""Seconds by which a worker's clock may be ahead: a later time would hide all that follows from the charts."""
_SHOWN: Final = 10
_CONDITION: Final = "outcomes"

logger: logging.Logger = logging.getLogger("thredfi_async.worker")


class Until(enum.Enum):
    """How long to collect."""

    NOW = "now"
    """Up to the last event stored now."""
    DONE = "done"
    """Until the queue is empty."""
    STOPPED = "stopped"
    """Until `Collector.drain` is called."""


class Takes(Protocol):
    """Records outcomes; both methods may block, and are called in a thread."""

    def start(self, state: QueueDepth) -> int:
        """Return the sequence number to start from.

        Args:
            state: The broker's current state.
        """
        ...

    def record(self, outcomes: Sequence[Outcome], following: int, in_flight: int) -> int:
        """Record outcomes.

        Args:
            outcomes: The outcomes, in order.
            following: The sequence number after them.
            in_flight: Messages that workers held when the broker was last asked.

        Returns:
            How many of them belong to the run, once they are durable.
        """
        ...


class Collector:
    """Reads outcome events in order, and records them.

    It requests events one by one, by sequence number, and not through a consumer: reading changes nothing at the
    broker, can start anywhere and be repeated, and a broker's restart loses no position.

    Args:
        broker: The broker, connected.
        stream_config: The names.
        run: Returns where to start, and records the outcomes.
        pause: Seconds between two polls when there is nothing new; 1 by default.
        now: Tells the time in seconds since 1970.

    Attributes:
        next: The next sequence number to read.
        read: Outcomes of the run recorded so far.
        unreadable: Events that are passed over: invalid, of another version, or from the future.
        queue_depth: The queue depth when the broker was last asked; None before.
    """

    def __init__(
        self,
        broker: Broker,
        stream_config: StreamConfig,
        run: Takes,
        *,
        pause: float = 1.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.next: int = 1
        self.read: int = 0
        self.unreadable: int = 0
        self.queue_depth: QueueDepth | None = None
        self._broker = broker
        self._stream_config = stream_config
        self._run = run
        self._pause = pause
        self._now = now
        self._stop = asyncio.Event()

    async def collect(self, until: Until = Until.NOW) -> None:
        """Collect outcomes.

        Args:
            until: How long to collect.

        Raises:
            BrokerError: The streams are missing. If the broker goes away later, the collector waits for it.
        """
        self.queue_depth = await read_queue_depth(self._broker, self._stream_config)
        self.next = await asyncio.to_thread(self._run.start, self.queue_depth)
        while not self._stop.is_set():
            await self._read_up_to(self.queue_depth)
            if until is Until.NOW or (until is Until.DONE and self.queue_depth.queued == 0):
                return
            await self._wait(self._pause)
            before, self.queue_depth = self.queue_depth, await self._look(self.queue_depth)
            if self.queue_depth.epoch != before.epoch or self.queue_depth.outcomes < self.next - 1:
                # Its numbers begin again: it was created anew, or the broker lost its last events with its power.
                self.next = await asyncio.to_thread(self._run.start, self.queue_depth)

    def drain(self) -> None:
        """Stop after the outcomes that are being recorded."""
        self._stop.set()

    async def _read_up_to(self, state: QueueDepth) -> None:
        self.next = max(self.next, state.oldest)
        while self.next <= state.outcomes and not self._stop.is_set():
            end = min(self.next + CHUNK, state.outcomes + 1)
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._event(number)) for number in range(self.next, end)]
            outcomes = [outcome for task in tasks if (outcome := task.result()) is not None]
            if self._stop.is_set() and any(task.result() is None for task in tasks):
                return  # some were abandoned rather than missing: the next run reads them again
            self.read += await asyncio.to_thread(self._run.record, outcomes, end, state.in_flight)
            self.next = end

    async def _event(self, number: int) -> Outcome | None:
        wait = 0.1
        while not self._stop.is_set():
            try:
                message = await self._broker.jetstream.message(self._stream_config.outcomes_stream, number)
            except TROUBLE as error:
                self._waits(f"cannot read an outcome from NATS: {self._broker.connection.why(error)}")
                await self._wait(wait)
                wait = min(wait * 2, 5.0)
            else:
                self._broker.conditions.end(_CONDITION)
                return None if message is None else self._outcome(message.data)  # None: deleted, or just expired
        return None

    def _outcome(self, payload: bytes) -> Outcome | None:
        try:
            event = self._event_in(payload)
        except InvalidRequestError as error:
            self.unreadable += 1
            # Only the first few are shown: a stranger who publishes there must not fill the disk.
            if self.unreadable <= _SHOWN:
                logger.warning("an outcome event is passed over: %s", error)
            return None
        return Outcome(
            business_id=event.business_id,
            customer_id=event.customer_id,
            state=event.state,
            attempts=event.attempts,
            code=event.code,
            elapsed=event.elapsed_ms / 1000,
            ended_at=event.at.timestamp(),
        )

    def _event_in(self, payload: bytes) -> OutcomeEvent:
        event = OutcomeEvent.from_json(payload)
        if event.at.timestamp() > self._now() + _FUTURE:
            raise InvalidRequestError(["at: must not be more than a day in the future"])
        return event

    async def _look(self, before: QueueDepth) -> QueueDepth:
        try:
            found = await read_queue_depth(self._broker, self._stream_config)
        except BrokerError as error:
            self._waits(str(error))
            return before
        self._broker.conditions.end(_CONDITION)
        return found

    def _waits(self, reason: str) -> None:
        self._broker.conditions.begin(_CONDITION, reason)
        logger.warning("%s; trying again", reason)

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()
