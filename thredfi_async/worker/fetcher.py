"""Fetches messages from the broker: exactly as many as wanted, one request at a time."""

import asyncio
import contextlib
import enum
import json
import logging
from collections.abc import Callable
from typing import Final

from nats.aio.msg import Msg

from thredfi_async.worker.broker import Broker
from thredfi_async.worker.connection import new_inbox
from thredfi_async.worker.nats_errors import TROUBLE
from thredfi_async.worker.stream_config import StreamConfig

_SLACK: Final = 1.0
_MOST_DELIVERIES: Final = 2**31 - 1
_GONE: Final = frozenset({"503", "409"})

logger: logging.Logger = logging.getLogger("thredfi_async.worker")


class Answer(enum.Enum):
    """What the broker made of a request for messages."""

    ENDED = enum.auto()
    """It sent messages, or had none, or the connection was lost."""
    NO_CONSUMER = enum.auto()
    """The consumer, or its stream, seems to be gone."""
    NONE = enum.auto()
    """It did not answer at all, as when a permission is missing."""


class Fetcher:
    """Passes the messages of a durable pull consumer to a callback.

    nats-py's own `fetch` is not used: its second request stays at the broker when the first has returned messages, and
    what it returns later sits in a queue where nothing keeps it alive.

    Args:
        broker: The broker.
        stream_config: Names the stream and the consumer.
        take: Called with each message at once; returns whether it accepts it. Other messages are returned.
        expires: Seconds that a request waits at the broker.
    """

    def __init__(
        self, broker: Broker, stream_config: StreamConfig, take: Callable[[Msg], bool], *, expires: float
    ) -> None:
        self._broker = broker
        self._source = stream_config.stream, stream_config.consumer
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream_config.stream}.{stream_config.consumer}"
        self._take = take
        self._expires = expires
        self._inbox = new_inbox()
        self._is_started = False
        self._requests = 0
        self._wanted = 0
        self._wake = asyncio.Event()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._answer: Answer | None = None
        self._late: list[Msg] = []

    async def start(self) -> None:
        """Subscribe to the inbox for messages."""
        self._is_started = True
        with contextlib.suppress(*TROUBLE):  # if the connection has just been lost, the next one has it
            await self._broker.connection.subscribe(f"{self._inbox}.*", self._arrived)

    async def fetch(self, count: int) -> Answer:
        """Request messages, and wait until they arrive or the request ends.

        Args:
            count: The maximum number.

        Returns:
            What the broker made of the request.
        """
        self._wake.clear()
        self._wanted, self._answer = count, None
        request = json.dumps({"batch": count, "expires": int(self._expires * 1e9)}).encode()
        try:
            # The broker's timeout must come first: messages sent after ours would be too many.
            async with asyncio.timeout(self._expires + _SLACK):
                if not await self._request(request):
                    self._answer = Answer.ENDED
                # The next connection wakes it too: to try again at once would leave no time to notice this one's end.
                await self._wake.wait()
        except TimeoutError:
            return self._answer or Answer.NONE
        return self._answer or Answer.ENDED

    async def _request(self, request: bytes) -> bool:
        """Send a request for messages; return whether there is a connection for it."""
        if not self._broker.is_connected:
            return False
        self._requests += 1
        self._quiet.clear()
        try:
            await self._broker.connection.publish(self._next, request, reply=f"{self._inbox}.{self._requests}")
        except TROUBLE:
            self._quiet.set()
            return False
        return True

    def interrupt(self) -> None:
        """Make `fetch` return; the broker may still answer the request."""
        self._wake.set()

    def reconnected(self) -> None:
        """Record that the broker has forgotten every request."""
        self._is_over()

    async def quiet(self) -> None:
        """Wait until the broker has no request of ours, which it would answer with a returned message.

        Before nats-server 2.10.14, a message that is returned while the request of a gone client waits reaches no one
        until its acknowledgement is overdue (nats-io/nats-server#5305).
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._expires + _SLACK):
                await self._quiet.wait()

    async def stop(self) -> None:
        """Stop fetching, and return messages that still arrive."""
        self.interrupt()
        if not self._is_started:
            return
        self._is_started = False
        if self._broker.is_connected:
            await self.quiet()
        await self._broker.connection.unsubscribe(f"{self._inbox}.*")
        for message in self._late:
            await self._broker.tell(message.reply, b"-NAK")

    async def _arrived(self, message: Msg) -> None:
        if not message.reply:
            self._told(message)
            return
        if not self._is_delivery(message):
            logger.warning("a message that the consumer did not deliver came to the worker's inbox, and is passed over")
            return
        if not self._take(message):
            self._late.append(message)
        self._answer = Answer.ENDED
        self._wanted -= 1
        if self._wanted <= 0:
            self._is_over()

    def _is_delivery(self, message: Msg) -> bool:
        """Return whether the consumer delivered it: the inbox's name is no secret from all."""
        try:
            facts = message.metadata
        except Exception:  # noqa: BLE001 - nats-py raises whatever comes of a strange subject
            return False
        return (facts.stream, facts.consumer) == self._source and 0 < facts.num_delivered <= _MOST_DELIVERIES

    def _told(self, message: Msg) -> None:
        """Handle the broker's status for a request: that it ended, and why."""
        status = (message.headers or {}).get("Status", "")
        if message.subject != f"{self._inbox}.{self._requests}" or status in {"", "100"}:
            return  # of an earlier request, from someone else, or a sign of life
        self._answer = Answer.ENDED
        if status in _GONE:
            logger.warning("NATS ended a request for messages with %s", status)
            self._answer = Answer.NO_CONSUMER
        self._is_over()

    def _is_over(self) -> None:
        self._quiet.set()
        self._wake.set()
