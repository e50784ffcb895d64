"""What a worker, a publisher and a collector ask of NATS, over a connection that is made again whenever it breaks."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, Final

import nats.errors

from thredfi_async import Clock, SystemClock, ThredfiError
from thredfi_async._checks.headers import NO_HEADERS
from thredfi_async._outcomes import raised_at
from thredfi_async.worker.conditions import Conditions
from thredfi_async.worker.connection import CONDITION, Connection
from thredfi_async.worker.errors import BrokerError
from thredfi_async.worker.jetstream import JetStream, RefusedError
from thredfi_async.worker.nats_errors import TROUBLE
from thredfi_async.worker.publisher import NoStreamError, Publisher, Stored
from thredfi_async.worker.settings import NatsSettings
from thredfi_async.worker.supervision import Supervisor

_CONNECT_SECONDS: Final = 10.0
_REQUEST_SECONDS: Final = 5.0
_LONGEST_WAIT: Final = 5.0

logger: logging.Logger = logging.getLogger("thredfi_async.worker")


class Broker:
    """Stores messages, and passes requests on; everything waits for the connection while it is down.

    Args:
        connection: The connection.
        conditions: Is told what is not stored, and why.
        clock: Sleeps between attempts.

    Attributes:
        connection: The connection.
        conditions: Why there is no connection, and which streams do not store.
        restore: Recreates missing streams; called when no stream stores a message.
        on_store_failure: Called with a stream's name each time it does not store a message.
        request_seconds: Seconds in which JetStream must answer a request.
    """

    def __init__(self, connection: Connection, conditions: Conditions, clock: Clock) -> None:
        self.connection: Connection = connection
        self.conditions: Conditions = conditions
        self.restore: Callable[[], Awaitable[object]] | None = None
        self.on_store_failure: Callable[[str], None] = _nothing
        self.request_seconds: float = _REQUEST_SECONDS
        self._clock = clock
        self._publisher = Publisher(connection)
        # How many messages each stream has not stored so far.
        self._failing: Counter[str] = Counter()
        self._restoring = asyncio.Lock()

    async def start(self) -> None:
        """Start publishing."""
        await self._publisher.start()

    async def wait_connected(self, within: float | None) -> None:
        """Wait for the first connection.

        Args:
            within: Seconds; refused credentials end the wait too. None: for ever.

        Raises:
            BrokerError: There is none by then; the message says why.
        """
        is_up = asyncio.ensure_future(self.connection.is_up.wait())
        refused = asyncio.ensure_future(self.connection.refused.wait())
        ends = {is_up} if within is None else {is_up, refused}
        try:
            await asyncio.wait(ends, timeout=within, return_when=asyncio.FIRST_COMPLETED)
            was_up = is_up.done()
        finally:
            for each in (is_up, refused):
                each.cancel()
        if not was_up:
            raise BrokerError(self.conditions.reason(CONDITION) or "NATS cannot be reached: no answer in time")

    # Any: parts of nats-py's own annotations are missing.
    @property
    def jetstream(self) -> Any:  # noqa: ANN401 - as above
        """JetStream on the current connection.

        Raises:
            nats.errors.ConnectionClosedError: There was no connection yet.
        """
        return JetStream(self.connection.client, timeout=self.request_seconds)

    @property
    def is_connected(self) -> bool:
        """Whether the connection is up right now."""
        return self.connection.is_up.is_set()

    @property
    def largest_payload(self) -> int:
        """The broker's limit for one message, in bytes."""
        return int(self.connection.client.max_payload)

    @property
    def troubles(self) -> list[str]:
        """Why there is no connection, and which streams do not store; each with how long that has been so."""
        return self.conditions.lines()

    async def store(  # noqa: PLR0913 - parts of one message, nearly all by name
        self,
        subject: str,
        payload: bytes,
        *,
        message_id: str,
        stream: str,
        headers: Mapping[str, str] = NO_HEADERS,
        shorten: Callable[[int], bytes] | None = None,
    ) -> Stored:
        """Publish a message, again and again until the broker confirms that it is stored.

        Args:
            subject: Its subject.
            payload: Its payload.
            message_id: What the broker detects duplicates by, so that a retry, by any worker, stores nothing new.
            stream: The stream that must store it.
            headers: Further headers.
            shorten: Returns a payload of at most so many bytes, for a stream that takes no message of this size; None,
                the default, if there is none.

        Returns:
            Its place in the stream.

        Raises:
            BrokerError: The payload is larger than the broker accepts.
        """
        wait, all_headers = 0.1, {**headers, **_headers(message_id, stream)}
        condition, is_failing = f"store {stream}", False
        try:
            while True:
                try:
                    await self.connection.is_up.wait()
                    stored = await self._publisher.publish(subject, payload, all_headers, stream=stream)
                except nats.errors.MaxPayloadError:
                    size = f"{len(payload):,} bytes"
                    raise BrokerError(f"{size} are more than the broker accepts in one message") from None
                except TROUBLE as error:
                    failure = error
                else:
                    if self._failing[stream] == is_failing:  # it may store some messages and not others
                        self.conditions.end(condition)
                    return stored
                self._failing[stream] += not is_failing
                is_failing = True
                self.on_store_failure(stream)
                reason = self.connection.why(failure)
                logger.warning("NATS did not store a message on %s (%s); trying again", subject, reason)
                if isinstance(failure, NoStreamError):
                    await self._restore()
                if shorten is not None and isinstance(failure, RefusedError) and failure.is_too_large:
                    payload = shorten(await self._largest_in(stream))
                if self.is_connected:
                    self.conditions.begin(condition, f"the stream {stream} does not store messages: {reason}")
                    await self._clock.sleep(wait)
                wait = min(_LONGEST_WAIT, wait * 2)
        finally:
            self._failing[stream] -= is_failing

    async def _largest_in(self, stream: str) -> int:
        """Return the limit of a stream for one message, in bytes."""
        with contextlib.suppress(*TROUBLE):
            return int((await self.jetstream.stream_info(stream)).config.max_msg_size or self.largest_payload)
        return self.largest_payload

    async def _restore(self) -> None:
        if self.restore is None or self._restoring.locked():
            return
        async with self._restoring:
            try:
                await self.restore()
            except ThredfiError as error:
                logger.warning("%s", error)

    async def respond(self, reply: str, payload: bytes = b"") -> None:
        """Send +ACK (no payload), -NAK or +WPI, unconfirmed; a lost one leads to a redelivery, which does no harm."""
        with contextlib.suppress(*TROUBLE):
            await self.connection.publish(reply, payload, may_wait=True)

    async def flush(self) -> None:
        """Wait up to a second until the broker has received what was sent."""
        if self.is_connected:
            with contextlib.suppress(*TROUBLE):
                await self.connection.client.flush(1)


@contextlib.asynccontextmanager
async def connected(  # noqa: PLR0913 - settings, all but the first by name
    settings: NatsSettings,
    *,
    name: str = "thredfi",
    within: float | None = _CONNECT_SECONDS,
    clock: Clock | None = None,
    conditions: Conditions | None = None,
    supervisor: Supervisor | None = None,
) -> AsyncGenerator[Broker]:
    """Connect, and disconnect at the end of the block.

    Args:
        settings: Address and credentials.
        name: The connection's name at the broker.
        within: Seconds for the first connection; 10 by default. None: the block begins at once, connected or not.
        clock: Sleeps between attempts; for tests.
        conditions: Is told why there is no connection.
        supervisor: Runs the part that keeps the connection.

    Yields:
        The broker.

    Raises:
        BrokerError: The connection failed; the message says why.
        ConfigurationError: A file of the settings cannot be used.
    """
    settings.connect_options()  # what cannot work at all is said before anything is tried
    clock = clock or SystemClock()
    conditions = conditions or Conditions(clock.monotonic)
    connection = Connection(settings, name=name, conditions=conditions, clock=clock)
    broker = Broker(connection, conditions, clock)
    await broker.start()
    supervisor = supervisor or Supervisor(clock)
    keeping = asyncio.create_task(supervisor.run("connection", connection.keep), name="thredfi NATS connection")
    try:
        if within is not None:
            await broker.wait_connected(within)
        yield broker
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])
        failure = None if keeping.cancelled() else keeping.exception()
        if isinstance(failure, Exception):
            logger.error("closing the connection to NATS failed with %s", raised_at(failure))


def stored_size(payload: bytes, message_id: str, stream: str) -> int:
    """Return how many bytes a stream counts for a message that `Broker.store` publishes without further headers."""
    lines = [len(f"{name}: {value}\r\n".encode()) for name, value in _headers(message_id, stream).items()]
    return len(payload) + sum(lines) + len(b"NATS/1.0\r\n\r\n")


def _headers(message_id: str, stream: str) -> dict[str, str]:
    return {"Nats-Msg-Id": message_id, "Nats-Expected-Stream": stream}


def _nothing(_: str) -> None:
    """Do nothing; the default of `on_store_failure`."""
