"""From outcome events to a journal, by the events' sequence numbers in their stream."""

import asyncio
import contextlib
import enum
import logging
from collections.abc import Sequence
from typing import Final, Protocol

from nats.js.errors import NotFoundError

from thredfi_async import InvalidRequestError
from thredfi_async.bulk.journal import Outcome
from thredfi_async.worker.broker import TROUBLE, Broker, words
from thredfi_async.worker.errors import BrokerError
from thredfi_async.worker.events import OutcomeEvent
from thredfi_async.worker.fanout.backlog import Backlog, backlog
from thredfi_async.worker.topology import Topology

CHUNK: Final = 200
"""Events that are asked for at a time, and recorded in one go."""

logger = logging.getLogger("thredfi_async.worker")


class Until(enum.Enum):
    """How long to go on."""

    NOW = "now"
    """To the last event that there is."""
    DONE = "done"
    """Until the queue is empty."""
    STOPPED = "stopped"
    """Until `Collector.drain`."""


class Takes(Protocol):
    """Takes outcomes; both methods may block, and are called in a thread."""

    def start(self, state: Backlog) -> int:
        """Return the sequence number to begin with.

        Args:
            state: What the broker says.
        """
        ...

    def record(self, outcomes: Sequence[Outcome], following: int, held: int) -> None:
        """Return when it is durable.

        Args:
            outcomes: What came about, in its order.
            following: The sequence number to go on with after them.
            held: Messages that workers hold, as the broker said last.
        """
        ...


class Collector:
    """Reads outcome events in their order, and hands them over to be recorded.

    Events are asked for one by one, by sequence number, and not through a consumer: reading changes nothing at the
    broker, can be taken up anywhere and done again, and a broker that restarts loses nobody's place.

    Args:
        broker: The broker, connected.
        topology: The names.
        run: Says where to begin, and takes the outcomes.
        pause: Seconds between two looks when nothing new is there; 1 by default.

    Attributes:
        next: The sequence number to go on with.
        read: Outcomes that were handed over.
        unreadable: Events that are none of ours, or of a newer version; they are left out.
        backlog: What the broker last said is left to do; None before it was asked.
    """

    def __init__(
        self,
        broker: Broker,
        topology: Topology,
        run: Takes,
        *,
        pause: float = 1.0,
    ) -> None:
        self.next = 1
        self.read = 0
        self.unreadable = 0
        self.backlog: Backlog | None = None
        self._broker = broker
        self._topology = topology
        self._run = run
        self._pause = pause
        self._stop = asyncio.Event()

    async def collect(self, until: Until = Until.NOW) -> None:
        """Read what there is, and go on as long as that is wanted.

        Args:
            until: How long.

        Raises:
            BrokerError: The streams are not there. A broker that goes away later is waited for.
        """
        self.backlog = await backlog(self._broker, self._topology)
        self.next = await asyncio.to_thread(self._run.start, self.backlog)
        while not self._stop.is_set():
            await self._read_up_to(self.backlog)
            if until is Until.NOW or (until is Until.DONE and self.backlog.queued == 0):
                return
            await self._wait(self._pause)
            self.backlog = await self._look(self.backlog)

    def drain(self) -> None:
        """End after what is being recorded."""
        self._stop.set()

    async def _read_up_to(self, state: Backlog) -> None:
        self.next = max(self.next, state.oldest)
        while self.next <= state.outcomes and not self._stop.is_set():
            end = min(self.next + CHUNK, state.outcomes + 1)
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._event(number)) for number in range(self.next, end)]
            outcomes = [outcome for task in tasks if (outcome := task.result()) is not None]
            if self._stop.is_set() and any(task.result() is None for task in tasks):
                return  # some were given up, and not found missing: the next run reads them again
            await asyncio.to_thread(self._run.record, outcomes, end, state.held)
            self.next, self.read = end, self.read + len(outcomes)

    async def _event(self, number: int) -> Outcome | None:
        wait = 0.1
        while not self._stop.is_set():
            try:
                message = await self._broker.jetstream.get_msg(self._topology.outcomes_stream, number)
            except NotFoundError:
                return None  # somebody has deleted it, or it was too old just now
            except TROUBLE as error:
                logger.warning("NATS did not give an outcome (%s); trying again", words(error))
                await self._wait(wait)
                wait = min(wait * 2, 5.0)
            else:
                return self._outcome(message.data or b"")
        return None

    def _outcome(self, payload: bytes) -> Outcome | None:
        try:
            event = OutcomeEvent.from_json(payload)
        except InvalidRequestError as error:
            logger.warning("an outcome is left out: %s", error)
            self.unreadable += 1
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

    async def _look(self, before: Backlog) -> Backlog:
        try:
            return await backlog(self._broker, self._topology)
        except BrokerError as error:
            logger.warning("%s; trying again", error)
            return before

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()
