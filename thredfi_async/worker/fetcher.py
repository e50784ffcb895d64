"""Fetches messages from the broker: exactly as many as wanted, one request at a time."""

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable
from typing import Final

from nats.aio.msg import Msg

from thredfi_async._checks.text import printable
from thredfi_async.worker.broker import Broker
from thredfi_async.worker.connection import new_inbox
from thredfi_async.worker.delivery import Delivery
from thredfi_async.worker.nats_errors import TROUBLE
from thredfi_async.worker.stream_config import StreamConfig

_SLACK: Final = 1.0
_NOTHING: Final = frozenset({"404", "408"})
"""What the broker says where it had no messages, or none within the time."""
_SILENT: Final = "NATS does not answer requests for messages"
_LONGEST_REASON: Final = 200
_WAIT_INITIAL: Final = 0.5
_WAIT_MAX: Final = 5.0

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

    Attributes:
        backoff: Seconds to wait before the next request; they grow with each one in a row that got no answer or a
            refusal, from the second on.
    """

    def __init__(
        self, broker: Broker, stream_config: StreamConfig, take: Callable[[Msg, Delivery], bool], *, expires: float
    ) -> None:
        self._broker = broker
        self._source = stream_config.stream, stream_config.consumer
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream_config.stream}.{stream_config.consumer}"
        self._take = take
        self._expires = expires
        self.backoff: float = 0.0
        self._next_backoff = 0.0
        self._inbox = new_inbox()
        self._is_started = False
        self._requests = 0
        self._wanted = 0
        self._wake = asyncio.Event()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._is_answered = False
        self._refusal: str | None = None
        self._late: list[Msg] = []

    async def start(self) -> None:
        """Subscribe to the inbox for messages."""
        self._is_started = True
        with contextlib.suppress(*TROUBLE):  # if the connection has just been lost, the next one has it
            await self._broker.connection.subscribe(f"{self._inbox}.*", self._arrived)

    async def fetch(self, count: int) -> str | None:
        """Request messages, and wait until they arrive or the request ends.

        Args:
            count: The maximum number.

        Returns:
            Why the broker gives none: it refuses the request, as when the consumer is gone or sets a limit, or it does
            not answer, as when a permission is missing. None if it sent messages or had none, or if the connection was
            lost.
        """
        problem = await self._fetch(count)
        if problem is None:
            self.backoff = self._next_backoff = 0.0
        else:
            self.backoff = self._next_backoff
            self._next_backoff = min(_WAIT_MAX, self.backoff * 2 or _WAIT_INITIAL)
        return problem

    async def _fetch(self, count: int) -> str | None:
        self._wake.clear()
        self._wanted, self._is_answered, self._refusal = count, False, None
        request = json.dumps({"batch": count, "expires": int(self._expires * 1e9)}).encode()
        try:
            # The broker's timeout must come first: messages sent after ours would be too many.
            async with asyncio.timeout(self._expires + _SLACK):
                if not await self._request(request):
                    self._is_answered = True
                # The next connection wakes it too: to try again at once would leave no time to notice this one's end.
                await self._wake.wait()
        except TimeoutError:
            return None if self._is_answered else _SILENT
        return self._refusal

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
            await self._broker.respond(message.reply, b"-NAK")

    def _arrived(self, message: Msg) -> None:
        if not message.reply:
            self._told(message)
            return
        delivery = Delivery.of(message.reply)
        if delivery is None or (delivery.stream, delivery.consumer) != self._source:  # the inbox is no secret from all
            logger.warning("a message that the consumer did not deliver came to the worker's inbox, and is passed over")
            return
        if not self._take(message, delivery):
            self._late.append(message)
        self._is_answered = True
        self._wanted -= 1
        if self._wanted <= 0:
            self._is_over()

    def _told(self, message: Msg) -> None:
        """Handle the broker's status for a request: that it ended, and why."""
        headers = message.headers or {}
        status = headers.get("Status", "")
        if message.subject != f"{self._inbox}.{self._requests}" or status in {"", "100"}:
            return  # of an earlier request, from someone else, or a sign of life
        if status not in _NOTHING:
            said = printable(headers.get("Description") or status)[:_LONGEST_REASON]
            self._refusal = f"NATS refuses requests for messages: {said}"
            logger.warning("%s", self._refusal)
        self._is_over()

    def _is_over(self) -> None:
        self._quiet.set()
        self._wake.set()
