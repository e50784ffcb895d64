"""The connection to NATS: made once, kept for ever, and the only place that talks to nats-py's client."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final

import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.errors import APIError

from thredfi_async import Clock, ConfigurationError, SystemClock, ThredfiError
from thredfi_async.worker.errors import BrokerError
from thredfi_async.worker.publisher import NoStreamError, Publisher
from thredfi_async.worker.settings import NatsSettings

_CONNECT_SECONDS: Final = 10.0
_RECONNECT_SECONDS: Final = 1
_REQUEST_SECONDS: Final = 5.0
_LONGEST_WAIT: Final = 5.0
_UNLIMITED: Final = -1
_REFUSED: Final = "Authorization Violation"

logger: logging.Logger = logging.getLogger("thredfi_async.worker")

TROUBLE: Final = (nats.errors.Error, OSError, TimeoutError)
"""What nats-py raises when the broker is not there, or says no."""


class Broker:
    """A connection that is made again whenever it breaks, until it is closed.

    Args:
        connection: nats-py's client, connected.
        clock: Sleeps between tries.
    """

    def __init__(self, connection: Client, clock: Clock) -> None:
        self.connection = connection
        # Any: parts of nats-py's own annotations are missing.
        self.jetstream: Any = JetStreamContext(connection, timeout=_REQUEST_SECONDS)
        self._clock = clock
        self._publisher = Publisher(connection)
        self._stands = asyncio.Event()
        self._mending = asyncio.Lock()
        self.mend: Callable[[], Awaitable[None]] | None = None
        """Makes streams anew that are gone; called when one that should store a message is not there."""

    async def start(self) -> None:
        """Begin, when the connection stands."""
        await self._publisher.start()
        self._stands.set()

    def lost(self) -> None:
        """Take note that the connection is gone, for the time being."""
        self._stands.clear()
        self._publisher.connection_lost()

    def found(self) -> None:
        """Take note that it stands again."""
        self._stands.set()

    @property
    def is_connected(self) -> bool:
        """Whether the connection stands right now."""
        return bool(self.connection.is_connected)

    @property
    def largest_payload(self) -> int:
        """Bytes that a message may have, as the broker says."""
        return int(self.connection.max_payload)

    async def store(self, subject: str, payload: bytes, *, message_id: str, stream: str) -> bool:
        """Publish a message until the broker says that it is stored.

        Args:
            subject: Its subject.
            payload: Its payload.
            message_id: What the broker knows repeats by, so that another try, or another worker's, stores nothing new.
            stream: The stream that must store it.

        Returns:
            Whether it was new.

        Raises:
            BrokerError: The payload is larger than the broker takes, or the connection was closed.
        """
        wait, headers = 0.1, {"Nats-Msg-Id": message_id, "Nats-Expected-Stream": stream}
        while True:
            try:
                # What nats-py would keep while it is not connected may be on its way twice, and in no order.
                await self._stands.wait()
                return await self._publisher.publish(subject, payload, headers)
            except nats.errors.MaxPayloadError:
                raise BrokerError(f"{len(payload):,} bytes are more than the broker takes in one message") from None
            except nats.errors.ConnectionClosedError:
                raise BrokerError("the connection to NATS is closed") from None
            except TROUBLE as error:
                logger.warning("NATS did not store a message on %s (%s); trying again", subject, words(error))
                if isinstance(error, NoStreamError):
                    await self._mend()
                if self._stands.is_set():
                    await self._clock.sleep(wait)
                wait = min(_LONGEST_WAIT, wait * 2)

    async def _mend(self) -> None:
        if self.mend is None or self._mending.locked():
            return
        async with self._mending:
            try:
                await self.mend()
            except ThredfiError as error:
                logger.warning("%s", error)

    async def tell(self, reply: str, payload: bytes = b"") -> None:
        """Send an acknowledgement; one that is lost leads to a redelivery, and no harm."""
        with contextlib.suppress(*TROUBLE):
            await self.connection.publish(reply, payload)

    async def flush(self) -> None:
        """Wait until the broker has what was sent, as well as that goes."""
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
    """Connect, and close the connection at the end of the block.

    Args:
        settings: Where and who.
        name: What the broker's operators see.
        on_reconnect: Is called whenever the connection stands again.
        within: Seconds in which the first connection must be made; 10 by default. Later ones have all time.
        clock: Sleeps between tries; for tests.

    Yields:
        The broker.

    Raises:
        BrokerError: No connection could be made; the sentence says why.
        ConfigurationError: The credentials file is of no use, or a package is missing for it.
    """
    connection, last = Client(), _LastError()
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
        logger.warning("NATS is disconnected; what is held here is kept, and connecting goes on")

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
    """Say in a few words what nats-py met with; none of them is a payload's."""
    match error:
        case APIError(description=str(description)):
            return description
        case ImportError(name=str(name)):
            return f"the package {name} is not installed"
        case OSError(errno=int(number)) if number > 0:
            # asyncio puts a sentence with the address where the system's own words should be.
            return os.strerror(number)
        case TimeoutError():
            return "no answer in time"
        case _:
            return str(error).removeprefix("nats: ").strip("'") or type(error).__name__


class _LastError:
    """What nats-py met with last: until the first connection stands, its only sign of why it does not.

    Attributes:
        patience: The bound of the first connection; refused credentials end it, since nothing but they can help.
    """

    def __init__(self) -> None:
        self._error: Exception | None = None
        self.patience: asyncio.Timeout | None = None

    async def take(self, error: Exception) -> None:
        logger.debug("NATS: %s", type(error).__name__)
        if self._error is not None and _REFUSED in str(self._error):
            return  # what follows from it says less
        self._error = error
        if _REFUSED in str(error) and self.patience is not None:
            # A moment later: by then nats-py has closed this try's socket, and only waits for the next.
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
    # Not `drain`: whoever uses the connection has ended by now, and drain refuses while it is reconnecting.
    with contextlib.suppress(*TROUBLE):
        await connection.close()
