"""The connection to NATS, restored whenever it breaks; the only module that calls nats-py's client."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final

import nats.errors
from nats.aio.client import Client
from nats.js.errors import APIError

from thredfi_async import Clock, ConfigurationError, SystemClock, ThredfiError
from thredfi_async.worker.errors import BrokerError
from thredfi_async.worker.jetstream import JetStream
from thredfi_async.worker.publisher import NoStreamError, Publisher
from thredfi_async.worker.settings import NatsSettings
from thredfi_async.worker.tolerant_client import TolerantClient

_CONNECT_SECONDS: Final = 10.0
_RECONNECT_SECONDS: Final = 1
_REQUEST_SECONDS: Final = 5.0
_LONGEST_WAIT: Final = 5.0
_UNLIMITED: Final = -1
_REFUSED: Final = "Authorization Violation"

logger: logging.Logger = logging.getLogger("thredfi_async.worker")

TROUBLE: Final = (nats.errors.Error, OSError, TimeoutError)
"""What nats-py raises when the broker is unavailable or refuses a request."""


class Broker:
    """A connection that reconnects whenever it breaks, until it is closed.

    Args:
        connection: nats-py's client, connected.
        clock: Sleeps between attempts.
    """

    def __init__(self, connection: Client, clock: Clock) -> None:
        self.connection = connection
        # Any: parts of nats-py's own annotations are missing.
        self.jetstream: Any = JetStream(connection, timeout=_REQUEST_SECONDS)
        self._clock = clock
        self._publisher = Publisher(connection)
        self._stands = asyncio.Event()
        self._restoring = asyncio.Lock()
        self.restore: Callable[[], Awaitable[None]] | None = None
        """Recreates missing streams; called when no stream stores a message."""
        self.trouble: str | None = None
        """Why the broker did not store a message the last time; None once it has."""

    async def start(self) -> None:
        """Start publishing; call it once connected."""
        await self._publisher.start()
        self._stands.set()

    def lost(self) -> None:
        """Record that the connection is lost."""
        self._stands.clear()
        self._publisher.connection_lost()

    def found(self) -> None:
        """Record that the connection is back."""
        self._stands.set()

    @property
    def is_connected(self) -> bool:
        """Whether the connection is up right now."""
        return bool(self.connection.is_connected)

    @property
    def largest_payload(self) -> int:
        """The broker's limit for one message, in bytes."""
        return int(self.connection.max_payload)

    async def store(self, subject: str, payload: bytes, *, message_id: str, stream: str) -> bool:
        """Publish a message, again and again until the broker confirms that it is stored.

        Args:
            subject: Its subject.
            payload: Its payload.
            message_id: What the broker detects duplicates by, so that a retry, by any worker, stores nothing new.
            stream: The stream that must store it.

        Returns:
            Whether it was new.

        Raises:
            BrokerError: The payload is larger than the broker accepts, or the connection was closed.
        """
        wait, headers = 0.1, {"Nats-Msg-Id": message_id, "Nats-Expected-Stream": stream}
        while True:
            try:
                # What nats-py buffers while disconnected may be sent twice, and out of order.
                await self._stands.wait()
                is_new = await self._publisher.publish(subject, payload, headers, stream=stream)
            except nats.errors.MaxPayloadError:
                raise BrokerError(f"{len(payload):,} bytes are more than the broker accepts in one message") from None
            except nats.errors.ConnectionClosedError:
                raise BrokerError("the connection to NATS is closed") from None
            except TROUBLE as error:
                self.trouble = words(error)
                logger.warning("NATS did not store a message on %s (%s); trying again", subject, self.trouble)
                if isinstance(error, NoStreamError):
                    await self._restore()
                if self._stands.is_set():
                    await self._clock.sleep(wait)
                wait = min(_LONGEST_WAIT, wait * 2)
            else:
                self.trouble = None
                return is_new

    async def _restore(self) -> None:
        if self.restore is None or self._restoring.locked():
            return
        async with self._restoring:
            try:
                await self.restore()
            except ThredfiError as error:
                logger.warning("%s", error)

    async def tell(self, reply: str, payload: bytes = b"") -> None:
        """Send an acknowledgement; a lost one leads to a redelivery, which does no harm."""
        with contextlib.suppress(*TROUBLE):
            await self.connection.publish(reply, payload)

    async def flush(self) -> None:
        """Wait up to a second until the broker has received what was sent."""
        if self.is_connected:
            with contextlib.suppress(*TROUBLE):
                await self.connection.flush(1)


@contextlib.asynccontextmanager
async def connected(
    settings: NatsSettings,
    *,
    name: str = "thredfi",
    on_reconnect: Callable[[], None] | None = None,
    within: float = _CONNECT_SECONDS,
    clock: Clock | None = None,
) -> AsyncGenerator[Broker]:
    """Connect, and disconnect at the end of the block.

    Args:
        settings: Address and credentials.
        name: The connection's name at the broker.
        on_reconnect: Called after each reconnection.
        within: Seconds for the first connection; 10 by default. Reconnecting has no limit.
        clock: Sleeps between attempts; for tests.

    Yields:
        The broker.

    Raises:
        BrokerError: The connection failed; the message says why.
        ConfigurationError: The credentials file cannot be read, or needs a package that is missing.
    """
    connection, last = TolerantClient(), _LastError()
    broker = Broker(connection, clock or SystemClock())

    async def reconnected() -> None:
        logger.info("NATS is connected again")
        broker.found()
        if on_reconnect is not None:
            on_reconnect()

    async def disconnected() -> None:
        broker.lost()
        if connection.is_closed:
            return
        logger.warning("NATS is disconnected; this worker keeps its messages and reconnects")

    options: dict[str, Any] = {
        "servers": settings.servers,
        "name": name,
        "error_cb": last.take,
        "reconnected_cb": reconnected,
        "disconnected_cb": disconnected,
        "max_reconnect_attempts": _UNLIMITED,
        "reconnect_time_wait": _RECONNECT_SECONDS,
        "ping_interval": 20,
    } | _credentials(settings)
    try:
        try:
            async with asyncio.timeout(within) as last.patience:
                await connection.connect(**options)
            last.patience = None
        except TimeoutError:
            raise BrokerError(f"NATS cannot be reached at {settings.shown}: {last}") from None
        except (OSError, nats.errors.Error, ImportError) as error:
            raise ConfigurationError(f"NATS cannot be connected to: {words(error)}") from None
        await broker.start()
        yield broker
    finally:
        await _close(connection)


def words(error: Exception) -> str:
    """Return a short description of an error of nats-py, without any payload."""
    match error:
        case APIError(description=str(description)):
            return description
        case ImportError(name=str(name)):
            return f"the package {name} is not installed"
        case OSError(errno=int(number)) if number > 0:
            # asyncio replaces the system's description with a sentence that holds the address.
            return os.strerror(number)
        case TimeoutError():
            return "no answer in time"
        case _:
            return str(error).removeprefix("nats: ").strip("'") or type(error).__name__


class _LastError:
    """The last error of nats-py: until the first connection, the only hint why there is none.

    Attributes:
        patience: The timeout of the first connection; refused credentials end it, since waiting does not help.
    """

    def __init__(self) -> None:
        self._error: Exception | None = None
        self.patience: asyncio.Timeout | None = None

    async def take(self, error: Exception) -> None:
        logger.debug("NATS: %s", type(error).__name__)
        if self._error is not None and _REFUSED in str(self._error):
            return  # later errors only follow from this one
        self._error = error
        if _REFUSED in str(error) and self.patience is not None:
            # With a short delay: by then nats-py has closed this attempt's socket and waits for the next.
            self.patience.reschedule(asyncio.get_running_loop().time() + _RECONNECT_SECONDS / 5)

    def __str__(self) -> str:
        return "no answer in time" if self._error is None else words(self._error)


def _credentials(settings: NatsSettings) -> dict[str, Any]:
    if settings.credentials_file is not None:
        try:
            settings.credentials_file.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"cannot read {settings.credentials_file}: {words(error)}") from None
        return {"user_credentials": str(settings.credentials_file)}
    options = {"token": settings.token, "user": settings.user, "password": settings.password}
    return {name: value for name, value in options.items() if value is not None}


async def _close(connection: Client) -> None:
    # Not `drain`: all users of the connection have ended by now, and drain fails while it is reconnecting.
    with contextlib.suppress(*TROUBLE):
        await connection.close()
