"""Keeps a connection to NATS: whatever ends one, the next is made, with the credentials read again."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from typing import Any, Final

import nats.errors
from nats.nuid import NUID

from thredfi_async import Clock, ThredfiError
from thredfi_async._outcomes import raised_at
from thredfi_async.worker.conditions import Conditions
from thredfi_async.worker.direct_client import Take
from thredfi_async.worker.nats_client import NatsClient
from thredfi_async.worker.nats_errors import TROUBLE, words
from thredfi_async.worker.servers import Server, Servers
from thredfi_async.worker.settings import NatsSettings
from thredfi_async.worker.supervision import Part

CONDITION: Final = "nats"
_DIAL_SECONDS: Final = 10.0
_DENIED_SECONDS: Final = 60.0
_SHORTEST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 10.0

logger: logging.Logger = logging.getLogger("thredfi_async.worker")


def new_inbox() -> str:
    """Return a subject that no one else uses, to get answers on."""
    return f"_INBOX.{NUID().next().decode()}"


class Connection:
    """A connection that is made again whenever it ends, for as long as `keep` runs.

    Args:
        settings: Address and credentials; files in them are read for each attempt.
        name: The connection's name at the broker.
        conditions: Is told why there is no connection.
        clock: Sleeps between attempts.
        jitter: Returns the random part of a wait, from 0 to 1, for half of it.

    Attributes:
        is_up: Set while the connection is up, with every subscription on it.
        on_up: Called after each connection.
        on_down: Called when it is lost.
    """

    def __init__(
        self,
        settings: NatsSettings,
        *,
        name: str,
        conditions: Conditions,
        clock: Clock,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.is_up: asyncio.Event = asyncio.Event()
        self.on_up: list[Callable[[], None]] = []
        self.on_down: list[Callable[[], None]] = []
        self.refused: asyncio.Event = asyncio.Event()
        """Set once a server has refused the login: waiting alone may not help."""
        self._settings, self._name = settings, name
        self._conditions, self._clock, self._jitter = conditions, clock, jitter
        self._servers = Servers(settings)
        self._client: NatsClient | None = None
        self._subscriptions: dict[str, Take] = {}
        self._live: dict[str, Any] = {}
        self.denied: str | None = None
        """What the broker has denied to this login on this connection, last."""

    @property
    def client(self) -> NatsClient:
        """nats-py's client; closed while there is no connection.

        Raises:
            nats.errors.ConnectionClosedError: There was no connection yet.
        """
        if self._client is None:
            raise nats.errors.ConnectionClosedError
        return self._client

    async def publish(
        self,
        subject: str,
        payload: bytes,
        *,
        reply: str = "",
        headers: dict[str, str] | None = None,
        may_wait: bool = False,
    ) -> None:
        """Send a message.

        Args:
            subject: Its subject.
            payload: Its payload.
            reply: The subject for an answer, if any.
            headers: Its headers.
            may_wait: Whether it may wait five milliseconds for others, to be sent with them.

        Raises:
            nats.errors.Error: There is no connection, or the message is too large.
        """
        await self.client.publish(subject, payload, reply=reply, headers=headers, may_wait=may_wait)

    async def subscribe(self, subject: str, take: Take) -> None:
        """Subscribe, on every connection from now on.

        Args:
            subject: The subject.
            take: Called with each message.

        Raises:
            nats.errors.Error: The connection has just been lost; the next one has the subscription.
        """
        self._subscriptions[subject] = take
        if self.is_up.is_set():
            self._live[subject] = await self.client.listen(subject, take)

    async def unsubscribe(self, subject: str) -> None:
        """Subscribe no longer, on this connection and on those to come."""
        self._subscriptions.pop(subject, None)
        live = self._live.pop(subject, None)
        if live is not None:
            with contextlib.suppress(*TROUBLE):
                await live.unsubscribe()

    def why(self, error: Exception) -> str:
        """Return an error in words; if no answer came, a permission that the broker denied is the likely reason."""
        return self.denied if self.denied is not None and isinstance(error, TimeoutError) else words(error)

    async def keep(self, part: Part) -> None:
        """Connect, and connect again whenever the connection ends, until cancelled."""
        wait = 0.0
        try:
            while True:
                part.beat()
                if wait:
                    await self._clock.sleep(wait * (0.5 + 0.5 * self._jitter()))
                wait = min(_LONGEST_WAIT, max(_SHORTEST_WAIT, wait * 2))
                client = await self._dial(part, wait)
                if client is None:
                    continue
                since = self._clock.monotonic()
                part.rests()
                await client.ended.wait()
                part.beat()
                await self._lost(client)
                if self._clock.monotonic() - since > _LONGEST_WAIT:
                    wait = 0.0
        finally:
            self.is_up.clear()
            if self._client is not None:
                with contextlib.suppress(*TROUBLE):  # acknowledgements may not have been sent yet
                    await self._client.flush(1)
                await self._client.shut()

    async def _dial(self, part: Part, wait: float) -> NatsClient | None:
        """Try every server once."""
        problems: list[str] = []
        for server in self._servers.shuffled():
            part.beat()
            client = NatsClient(needs_tls=self._settings.is_encrypted, on_error=self._said)
            try:
                async with asyncio.timeout(_DIAL_SECONDS):
                    await self._open(client, server)
            except Exception as error:  # noqa: BLE001 - whatever a server may make nats-py raise
                try:
                    problems.append(self._problem(error, client))
                finally:
                    await client.shut()
            except BaseException:
                await client.shut()
                raise
            else:
                self._servers.learn(client.discovered_servers, from_server=server)
                return client
        reason = f"NATS cannot be reached at {self._settings.shown}: {'; '.join(dict.fromkeys(problems))}"
        self._conditions.begin(CONDITION, reason)
        logger.warning("%s; trying again within %g s", reason, wait)
        return None

    async def _open(self, client: NatsClient, server: Server) -> None:
        # nats-py's annotations of these are partly missing.
        options: dict[str, Any] = self._settings.connect_options()
        if server.tls_name is not None:
            options["tls_hostname"] = server.tls_name
        await client.open(server.url, name=self._name, **options)
        self._live, self.denied = {}, None
        while missing := self._subscriptions.keys() - self._live.keys():
            subject = missing.pop()
            self._live[subject] = await client.listen(subject, self._subscriptions[subject])
        self._client = client
        self._conditions.end(CONDITION)
        self.is_up.set()
        for call in self.on_up:
            call()

    async def _lost(self, client: NatsClient) -> None:
        self.is_up.clear()
        error = client.last_error
        reason = "the connection was lost" if error is None else words(error)
        self._conditions.begin(CONDITION, f"NATS is disconnected: {reason}")
        logger.warning("NATS is disconnected: %s; connecting again", reason)
        for call in self.on_down:
            call()
        await client.shut()

    def _problem(self, error: Exception, client: NatsClient) -> str:
        match error:
            case ThredfiError():  # a file that cannot be used
                return str(error)
            case ConnectionError() if (said := client.last_error_line) is not None:
                return words(said)
            case ConnectionError() if client.is_encrypted and self._settings.certificate_file is None:
                # The server's alert may be lost with the connection.
                return "the server closed the connection after the TLS handshake; it may want a client certificate"
            case _ if isinstance(error, TROUBLE):
                found = words(error)
                if "authoriz" in found.lower() or "authentication" in found.lower():
                    self.refused.set()
                return found
            case _:
                logger.debug("nats-py raised %s", raised_at(error))
                return f"what the server says cannot be read ({type(error).__name__})"

    def _said(self, error: Exception) -> None:
        """Note an error that does not end the connection, such as a permission that is missing."""
        said = words(error)
        if "permissions violation" in said:
            self.denied = said
            self._conditions.begin("denied", f"NATS denies something to this login: {said}", lasts=_DENIED_SECONDS)
        logger.warning("NATS: %s", said)
