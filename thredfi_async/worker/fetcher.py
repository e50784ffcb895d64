"""Fetches messages from the broker: exactly as many as wanted, one request at a time."""

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable
from typing import Any, Final

from nats.aio.msg import Msg

from thredfi_async.worker.broker import TROUBLE, Broker
from thredfi_async.worker.stream_config import StreamConfig

_SLACK: Final = 1.0
_MOST_DELIVERIES: Final = 2**31 - 1
_GONE: Final = frozenset({"503", "409"})

logger: logging.Logger = logging.getLogger("thredfi_async.worker")


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
        self._inbox = broker.connection.new_inbox()
        self._subscription: Any = None
        self._requests = 0
        self._wanted = 0
        self._wake = asyncio.Event()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._lost = False
        self._late: list[Msg] = []

    async def start(self) -> None:
        """Subscribe to the inbox for messages."""
        connection: Any = self._broker.connection  # nats-py's annotation of this method is partly missing
        self._subscription = await connection.subscribe(f"{self._inbox}.*", cb=self._arrived)

    async def fetch(self, count: int) -> bool:
        """Request messages, and wait until they arrive or the request ends.

        Args:
            count: The maximum number.

        Returns:
            Whether the consumer exists; False if it, or its stream, seems to be gone.
        """
        self._wake.clear()
        self._wanted, self._lost = count, False
        request = json.dumps({"batch": count, "expires": int(self._expires * 1e9)}).encode()
        with contextlib.suppress(*TROUBLE):
            # Without a connection nats-py would buffer this request, and the next one too.
            if self._broker.is_connected:
                self._requests += 1
                self._quiet.clear()
                await self._broker.connection.publish(self._next, request, reply=f"{self._inbox}.{self._requests}")
            # The broker's timeout must come first: messages sent after ours would be too many.
            async with asyncio.timeout(self._expires + _SLACK):
                await self._wake.wait()
        return not self._lost

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
        subscription, self._subscription = self._subscription, None
        if subscription is None:
            return
        if self._broker.is_connected:
            await self.quiet()
        with contextlib.suppress(*TROUBLE):
            await subscription.unsubscribe()
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
        if status in _GONE:
            logger.warning("NATS ended a request for messages with %s", status)
            self._lost = True
        self._is_over()

    def _is_over(self) -> None:
        self._quiet.set()
        self._wake.set()
