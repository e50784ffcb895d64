"""Dead letters for operators: read, publish again, delete, on their stream; workers write them in `completion.py`."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from typing import Final, TypeVar

from nats.js.errors import NotFoundError

from thredfi_async.worker.broker import Broker, connected, stored_size
from thredfi_async.worker.connection import new_inbox
from thredfi_async.worker.errors import BrokerError, NotDoneError
from thredfi_async.worker.jetstream import StoredMessage
from thredfi_async.worker.nats_errors import TROUBLE, words
from thredfi_async.worker.publisher import Stored
from thredfi_async.worker.settings import NatsSettings
from thredfi_async.worker.stored_letter import Ended, StoredLetter, letter_in
from thredfi_async.worker.stream_config import StreamConfig

__all__ = ["DeadLetters", "Ended", "StoredLetter", "dead_letters"]

T = TypeVar("T")

_CHUNK: Final = 100
_SECONDS: Final = 30.0
_DRAIN_SECONDS: Final = 5.0
"""Seconds that letters in flight have after a stop: a queue that is full would hold them for ever."""

logger: logging.Logger = logging.getLogger("thredfi_async.worker")


class DeadLetters:
    """The dead letters of a queue.

    Every operation can be interrupted, killed and repeated: a command is published under a message id of the redrive's
    own before its letter is deleted, so that a repeat within the queue's duplicate window stores nothing twice.

    Args:
        broker: The broker, connected.
        stream_config: The names of streams and subjects.

    Attributes:
        ended: How many letters came to which end.
    """

    def __init__(self, broker: Broker, stream_config: StreamConfig) -> None:
        self.ended: Counter[Ended] = Counter()
        self._broker = broker
        self._stream_config = stream_config
        self._largest = 0
        self._suffix = ""
        self._drained = False
        self._scope: asyncio.Timeout | None = None

    async def all(self) -> AsyncGenerator[StoredLetter]:
        """Yield the letters that there are now, the oldest first; what is stored meanwhile is left for the next time.

        Raises:
            BrokerError: There is no such stream, or the broker does not answer.
        """
        name = self._stream_config.dead_stream
        state = (await self._asked(lambda: self._broker.jetstream.stream_info(name), f"the stream {name}")).state
        number, last = max(1, state.first_seq), state.last_seq
        while number <= last:
            message = await self._message(number, following=True)
            if message is None or message.sequence > last:
                return
            yield letter_in(message)
            number = message.sequence + 1

    async def get(self, number: int) -> StoredLetter | None:
        """Return one letter.

        Args:
            number: Its sequence number.

        Returns:
            The letter; None if there is none.

        Raises:
            BrokerError: There is no such stream, or the broker does not answer.
        """
        message = await self._message(number)
        return None if message is None else letter_in(message)

    async def redrive(
        self, choose: Callable[[StoredLetter], bool], *, numbers: Collection[int] = (), again: bool = False
    ) -> None:
        """Publish the original messages of letters again, byte by byte, and delete each letter whose message is stored.

        The new message has an idempotency key of its own, unless its command gives one, so that the API takes it for a
        new request: the old key may stand for the answer that made it a dead letter.

        Args:
            choose: Returns whether a letter is redriven.
            numbers: The sequence numbers of the letters to choose from; by default, all are read.
            again: Whether to publish what another redrive published before, too; after a kill, only this is not safe
                to repeat. False by default.

        Raises:
            BrokerError: The broker refuses, or does not answer; running it again goes on where it was.
        """
        self._largest = await self._queue_takes()
        self._suffix = f"/{new_inbox()}" if again else ""
        await self._each(choose, self._redrive, numbers)

    async def discard(self, choose: Callable[[StoredLetter], bool], *, numbers: Collection[int] = ()) -> None:
        """Delete letters, and with them all that they hold; the broker overwrites it.

        Args:
            choose: Returns whether a letter is deleted.
            numbers: As for `redrive`.

        Raises:
            BrokerError: The broker refuses, or does not answer.
        """
        await self._each(choose, self._discard, numbers)

    @property
    def troubles(self) -> list[str]:
        """What it waits for, each with how long that has been so; empty while it goes on."""
        return self._broker.troubles

    def drain(self) -> None:
        """Take no new letters; wait for those in flight, but no longer than five seconds."""
        self._drained = True
        if self._scope is not None and self._scope.when() is None:
            self._scope.reschedule(asyncio.get_running_loop().time() + _DRAIN_SECONDS)

    async def _these(self, numbers: Collection[int]) -> AsyncGenerator[StoredLetter]:
        for number in sorted(numbers):
            if (stored := await self.get(number)) is not None:
                yield stored

    async def _each(
        self,
        choose: Callable[[StoredLetter], bool],
        end: Callable[[StoredLetter], Awaitable[Ended]],
        numbers: Collection[int],
    ) -> None:
        try:
            async with asyncio.timeout(None) as self._scope:
                if self._drained:
                    return
                await self._chunks(choose, end, numbers)
        except TimeoutError:
            pass  # drained: what was in flight is safe to repeat
        finally:
            self._scope = None

    async def _chunks(
        self,
        choose: Callable[[StoredLetter], bool],
        end: Callable[[StoredLetter], Awaitable[Ended]],
        numbers: Collection[int],
    ) -> None:
        async with contextlib.aclosing(self._these(numbers) if numbers else self.all()) as letters:
            chunk: list[StoredLetter] = []
            async for letter in letters:
                if self._drained:
                    break
                if choose(letter):
                    chunk.append(letter)
                if len(chunk) == _CHUNK:
                    await self._together(chunk, end)
                    chunk = []
            await self._together(chunk, end)

    async def _together(self, chunk: list[StoredLetter], end: Callable[[StoredLetter], Awaitable[Ended]]) -> None:
        async def one(letter: StoredLetter) -> None:
            self.ended[await end(letter)] += 1

        try:
            async with asyncio.TaskGroup() as group:
                for letter in chunk:
                    group.create_task(one(letter))
        except* BrokerError as errors:
            raise errors.exceptions[0] from None

    async def _redrive(self, stored: StoredLetter) -> Ended:
        letter = stored.letter
        if letter is None:
            return Ended.UNREADABLE
        if letter.cut:
            return Ended.CUT
        config = self._stream_config
        message_id = f"redrive/{config.dead_stream}/{stored.number}/{stored.fingerprint}{self._suffix}"
        if stored_size(letter.original, message_id, config.stream) > self._largest:
            return Ended.TOO_LARGE
        queued = await self._stored(letter.original, message_id)
        if not queued.is_new and not await self._is_queued(queued.sequence, letter.original):
            return Ended.LEFT
        await self._delete(stored.number)
        return Ended.REDRIVEN if queued.is_new else Ended.REDRIVEN_BEFORE

    async def _is_queued(self, number: int, payload: bytes) -> bool:
        name = self._stream_config.stream
        message = await self._asked(lambda: self._broker.jetstream.message(name, number), f"the stream {name}")
        return message is not None and message.data == payload

    async def _discard(self, stored: StoredLetter) -> Ended:
        await self._delete(stored.number)
        return Ended.DISCARDED

    async def _stored(self, payload: bytes, message_id: str) -> Stored:
        config = self._stream_config
        try:
            async with asyncio.timeout(_SECONDS):
                return await self._broker.store(config.subject, payload, message_id=message_id, stream=config.stream)
        except TimeoutError:
            why = self._broker.conditions.reason(f"store {config.stream}")
            kind = BrokerError if why is None else NotDoneError
            told = why or "it did not answer"
            raise kind(f"the queue {config.stream} stored nothing for {_SECONDS:.0f} s: {told}") from None

    async def _delete(self, number: int) -> None:
        name = self._stream_config.dead_stream
        await self._asked(lambda: self._broker.jetstream.delete(name, number), f"the dead letter {number}")

    async def _message(self, number: int, *, following: bool = False) -> StoredMessage | None:
        name = self._stream_config.dead_stream
        return await self._asked(
            lambda: self._broker.jetstream.message(name, number, following=following), f"the stream {name}"
        )

    async def _asked(self, ask: Callable[[], Awaitable[T]], what: str) -> T:
        """Ask the broker, a few times if it does not answer and has denied nothing."""
        for wait in (0.1, 0.5, 2.0, None):
            try:
                return await ask()
            except NotFoundError as error:
                raise BrokerError(f"NATS does not have {what}: {words(error)}; check --stream") from None
            except TROUBLE as error:
                why = self._broker.connection.why(error)
                if wait is None or self._broker.connection.denied is not None:
                    raise BrokerError(f"NATS does not give {what}: {why}") from None
                logger.debug("NATS does not give %s (%s); trying again", what, why)
                await asyncio.sleep(wait)
        raise AssertionError

    async def _queue_takes(self) -> int:
        name = self._stream_config.stream
        config = (await self._asked(lambda: self._broker.jetstream.stream_info(name), f"the stream {name}")).config
        limits = [self._broker.largest_payload, config.max_msg_size or 0]
        return min(limit for limit in limits if limit > 0)


@contextlib.asynccontextmanager
async def dead_letters(
    nats: NatsSettings | None = None, stream_config: StreamConfig | None = None
) -> AsyncGenerator[DeadLetters]:
    """Connect to a broker for its dead letters, and disconnect at the end of the block.

    Args:
        nats: Where it is; this machine by default.
        stream_config: The names of streams and subjects.

    Yields:
        The dead letters.

    Raises:
        BrokerError: The connection failed; the message says why.
    """
    async with connected(nats or NatsSettings(), name="thredfi dead-letters") as broker:
        yield DeadLetters(broker, stream_config or StreamConfig())
