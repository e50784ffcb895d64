"""Publishes items as messages, with a window of them in flight; each counts once the broker has stored it."""

import asyncio
from collections.abc import Callable
from typing import Final

import attrs

from thredfi_async import InvalidRequestError
from thredfi_async.bulk import ArchiveItem
from thredfi_async.bulk.input import Items
from thredfi_async.worker.broker import Broker, stored_size
from thredfi_async.worker.command import ArchiveCommand
from thredfi_async.worker.errors import BrokerError
from thredfi_async.worker.fanout.chunks import Feed, Prepare
from thredfi_async.worker.nats_errors import TROUBLE
from thredfi_async.worker.stream_config import StreamConfig

WINDOW: Final = 256
"""Maximum messages that the broker has not confirmed yet."""

_DRAIN_SECONDS: Final = 5.0
"""Seconds that messages in flight have after a stop: a stream that is full would hold them for ever."""


@attrs.frozen
class Refused:
    """An item that cannot become a message; `str` gives its ids and the reason.

    Args:
        item: The item.
        code: Why, for machines: `too_large` or `invalid_request`.
        reason: Why, in a sentence without any value.
    """

    item: ArchiveItem
    code: str
    reason: str

    def __str__(self) -> str:
        """Return the ids and the reason."""
        return f"customer {self.item.customer_id} of business {self.item.business_id}: {self.reason}"


def message_id_of(item: ArchiveItem) -> str:
    """Return the message id for an item, made from its ids."""
    return f"{item.business_id}/{item.customer_id}"


class Publisher:
    """Publishes a command for each item, and waits until the broker has stored it.

    A message's id is made from its item's ids. Publishing an item again stores nothing new within the stream's
    duplicate window, and does no harm after it: a customer that is archived already stays archived. If the broker goes
    away, the publisher waits for it.

    Args:
        broker: The broker, connected.
        stream_config: The names of streams and subjects.
        message_id: Returns an item's message id; `message_id_of` by default. Another id lets the same item be
            published again within the duplicate window, for instance after its data was fixed.
        key: Returns an item's idempotency key; None, the default, lets the worker derive one from the message.
        refuse: Called with each item that cannot become a message.
        window: Maximum messages that the broker has not confirmed yet; 256 by default.

    Attributes:
        stored: Messages newly stored.
        repeats: Messages that the broker already had.
        gone: How many of these had left the queue when this began.
        refused: Items that could not become messages.
        duplicate_window: The stream's duplicate window in seconds; 0 before it is known.
    """

    def __init__(  # noqa: PLR0913 - settings, nearly all by name
        self,
        broker: Broker,
        stream_config: StreamConfig,
        *,
        message_id: Callable[[ArchiveItem], str] = message_id_of,
        key: Callable[[ArchiveItem], str] | None = None,
        refuse: Callable[[Refused], None] = lambda _: None,
        window: int = WINDOW,
    ) -> None:
        self.stored: int = 0
        self.repeats: int = 0
        self.gone: int = 0
        self.refused: int = 0
        self.duplicate_window: float = 0.0
        self._broker = broker
        self._stream_config = stream_config
        self._message_id = message_id
        self._key = key
        self._refuse = refuse
        self._window = window
        self._largest = self._first = 0
        self._feed: Feed | None = None
        self._scope: asyncio.Timeout | None = None
        self._draining = False

    @property
    def done(self) -> int:
        """Items processed: stored, repeated or refused."""
        return self.stored + self.repeats + self.refused

    async def publish(
        self,
        items: Items,
        *,
        prepare: Prepare = lambda chunk: chunk,
    ) -> bool:
        """Publish all items.

        Args:
            items: The items; a synchronous iterator runs in a thread.
            prepare: Gets each chunk in a thread before it is published, and returns the items of it to publish.

        Returns:
            Whether the items were read to their end, without a stop before.

        Raises:
            BrokerError: The broker refuses, or the connection was closed.
            Exception: What the iterator raises, after the messages in flight.
        """
        await self._look()
        feed = self._feed = Feed(items, prepare=prepare)
        failures: list[Exception] = []
        is_whole = True
        try:
            async with asyncio.timeout(None) as self._scope, asyncio.TaskGroup() as group:
                if self._draining:
                    self.drain()
                for _ in range(self._window):
                    group.create_task(self._work(feed, failures))
        except TimeoutError:
            is_whole = False
        finally:
            self._scope = None
            await feed.aclose()
        if failures:
            raise failures[0]
        return feed.ended and is_whole

    def drain(self) -> None:
        """Take no new items; wait for those in flight, but no longer than five seconds."""
        self._draining = True
        if self._feed is not None:
            self._feed.stop()
            if self._scope is not None and self._scope.when() is None:
                self._scope.reschedule(asyncio.get_running_loop().time() + _DRAIN_SECONDS)

    def left(self) -> list[ArchiveItem]:
        """Return the items that were read and not started."""
        return [] if self._feed is None else self._feed.left()

    async def _work(self, feed: Feed, failures: list[Exception]) -> None:
        try:
            while (item := await feed.take()) is not None:
                await self._store(item)
        except Exception as error:  # noqa: BLE001 - `publish` raises it when the others have ended
            feed.stop()
            failures.append(error)

    async def _store(self, item: ArchiveItem) -> None:
        try:
            command = ArchiveCommand(
                item.business_id,
                item.customer_id,
                item.customer,
                idempotency_key=None if self._key is None else self._key(item),
            )
        except InvalidRequestError as error:
            self._say_no(Refused(item, "invalid_request", str(error)))
            return
        payload, message_id = command.to_json(), self._message_id(item)
        size = stored_size(payload, message_id, self._stream_config.stream)
        if size > self._largest:
            reason = f"its message would have {size:,} bytes, and the queue takes {self._largest:,}"
            self._say_no(Refused(item, "too_large", reason))
            return
        stored = await self._broker.store(
            self._stream_config.subject, payload, message_id=message_id, stream=self._stream_config.stream
        )
        self.stored += stored.is_new
        self.repeats += not stored.is_new
        self.gone += stored.sequence < self._first

    def _say_no(self, refused: Refused) -> None:
        self.refused += 1
        self._refuse(refused)

    async def _look(self) -> None:
        """Read the stream's limits first: a later refusal looks the same as a broker in trouble."""
        name = self._stream_config.stream
        try:
            info = await self._broker.jetstream.stream_info(name)
        except TROUBLE as error:
            why = self._broker.connection.why(error)
            raise BrokerError(f"cannot read the limits of the stream {name} from NATS: {why}") from None
        limits = [self._broker.largest_payload, info.config.max_msg_size or 0]
        self._largest = min(limit for limit in limits if limit > 0)
        self.duplicate_window = info.config.duplicate_window or 0.0
        self._first = info.state.first_seq
