"""The mock server: its settings, its lifecycle, and its controls for tests."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self
from uuid import UUID

from aiohttp import web

from thredfi_async.mock_server.authentication import TokenBucket, Tokens
from thredfi_async.mock_server.endpoints import Endpoints
from thredfi_async.mock_server.faults import Fault, FaultDeck, FaultKind, Faults
from thredfi_async.mock_server.request_log import RequestLog
from thredfi_async.mock_server.seed import Seed, SeededCustomer, SeededCustomers
from thredfi_async.mock_server.service import Service
from thredfi_async.mock_server.store import Repeat, Store
from thredfi_async.mock_server.wire import LoopbackServer

_SHUTDOWN_SECONDS = 0.2
"""Handlers end by themselves at once; this is for clients that sent half a request."""


class MockServer:
    """A fake Thredfi API on loopback that serves the contract from memory, with faults on demand.

    It can be built outside a loop, runs in the loop that starts it, and can be started again after `aclose()`,
    with its state and on its port.

    Args:
        customers: Number of customers in all; 1,000 by default.
        businesses: Number of the partner's businesses that they are spread over; 1 by default.
        seed: The same seed gives the same ids and records; 1 by default.
        faults: The faults, by plan or at random; none by default.
        strict: Whether an archive body must have every field, as the contract says, except one of the two
            names. Given fields are checked either way.
        latency: Seconds that every request waits before it is processed; 0 by default.
        rate_limit: Requests per second that the partner may make, except for tokens, with a burst of one
            second's worth; more get 429 with `Retry-After`. None, the default, for no limit.
        token_lifetime: The lifetime of issued tokens, in seconds; 3,600 by default.
        repeat: The answer to archiving an archived customer, which is not documented: `ok` (200, the default),
            `conflict` (409) or `invalid` (400).
        keep_arrivals: Whether `requests.arrivals` keeps the time of every request, without bound.
        host: The address to listen on; loopback by default.
        port: The port to listen on; 0, the default, for a free one.
        clock: Monotonic seconds, for token lifetimes, the rate limit and the record.

    Raises:
        ValueError: A setting is out of range.
    """

    def __init__(  # noqa: PLR0913 - settings, nearly all by keyword
        self,
        customers: int = 1000,
        businesses: int = 1,
        seed: int = 1,
        *,
        faults: Faults | None = None,
        strict: bool = True,
        latency: float = 0.0,
        rate_limit: float | None = None,
        token_lifetime: float = 3600.0,
        repeat: Repeat = "ok",
        keep_arrivals: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        seeded = Seed(customers, businesses, seed)
        self._host, self._port = host, port
        self._runner: web.ServerRunner | None = None
        self._customers = SeededCustomers(seeded)
        self._token = f"mock.{seeded.secret('token')}"
        self.partner_uuid: str = str(UUID(hex=seeded.secret("partner"), version=4))
        self.api_key: str = f"mock-key-{seeded.secret('api key')}"
        self.requests: RequestLog = RequestLog(keep_arrivals=keep_arrivals, clock=clock)
        self._endpoints = Endpoints(
            store=Store(seeded, repeat=repeat),
            tokens=Tokens(self._token, lifetime=token_lifetime, clock=clock),
            bucket=TokenBucket(rate_limit, clock=clock),
            requests=self.requests,
            partner=(self.partner_uuid, self.api_key),
            strict=strict,
        )
        self._service = Service(
            endpoints=self._endpoints, deck=FaultDeck(faults or Faults()), requests=self.requests, latency=latency
        )

    @property
    def url(self) -> str:
        """The base URL for a client, without a slash at its end.

        Raises:
            RuntimeError: The port is not known before the first start.
        """
        if not self._port:
            raise RuntimeError("the mock server has no URL before it is started")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    @property
    def token(self) -> str:
        """A partner token that is valid from the start and never expires, though a fault may revoke it."""
        return self._token

    @property
    def environ(self) -> Mapping[str, str]:
        """The variables for a client, as `ThredfiClient.from_env(server.environ)` takes them; a new dict each time.

        They hold the partner's credentials, which fetch tokens as they are needed.

        Raises:
            RuntimeError: The port is not known before the first start.
        """
        return {
            "THREDFI_BASE_URL": self.url,
            "THREDFI_PARTNER_UUID": self.partner_uuid,
            "THREDFI_API_KEY": self.api_key,
        }

    @property
    def customers(self) -> Sequence[SeededCustomer]:
        """The seeded customers, each generated on access; businesses alternate."""
        return self._customers

    @property
    def business_ids(self) -> Sequence[UUID]:
        """The businesses that the partner owns."""
        return [UUID(business_id) for business_id in self._endpoints.store.seed.business_ids]

    @property
    def faults_thrown(self) -> Counter[FaultKind]:
        """The number of faults thrown, by kind."""
        return self._service.deck.thrown

    @property
    def latency(self) -> float:
        """Seconds that every request waits before it is processed; may be set at any time."""
        return self._service.latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        self._service.latency = seconds

    def queue_faults(self, customer_id: UUID | str, *faults: Fault | None) -> None:
        """Add faults to a customer's plan, after those that are left; None serves one request properly."""
        self._service.deck.add(customer_id, faults)

    def set_down(self, down: bool, *, status: int | None = None) -> None:  # noqa: FBT001 - `set_down(True)` reads well
        """Start or end an outage.

        Args:
            down: Whether the API is down from now on.
            status: The status of a proxy's HTML page meanwhile, such as 503; None, the default, for resets.
        """
        self._service.outage = (status or 0) if down else None

    def expire_tokens(self) -> None:
        """Refuse every existing token from now on, including `token`; new ones can be fetched."""
        self._endpoints.tokens.kill_all()

    def issue_token(self) -> str:
        """Return a fresh token, as the token endpoint would."""
        return self._endpoints.tokens.issue()

    def is_archived(self, customer_id: UUID | str) -> bool:
        """Return whether a customer is archived, from the server's own state.

        Raises:
            KeyError: There is no such customer.
        """
        number = self._endpoints.store.seed.customer(str(UUID(str(customer_id))))
        if number is None:
            raise KeyError(customer_id)
        return self._endpoints.store.is_archived(number)

    async def start(self) -> Self:
        """Start listening, in the running loop.

        Raises:
            RuntimeError: It is running already.
            OSError: The port is taken.
        """
        if self._runner is not None:
            raise RuntimeError("the mock server is running already")
        runner = web.ServerRunner(LoopbackServer(self._service.handle), shutdown_timeout=_SHUTDOWN_SECONDS)
        await runner.setup()
        self._service.waits.open()
        try:
            await web.TCPSite(runner, self._host, self._port, backlog=2048).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self._port = runner.addresses[0][1]
        return self

    async def aclose(self) -> None:
        """Stop listening and close every connection, also those with hanging requests; safe to call twice."""
        runner, self._runner = self._runner, None
        if runner is not None:
            self._service.waits.end()
            await _stop_accepting(runner)
            await runner.cleanup()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


async def _stop_accepting(runner: web.ServerRunner) -> None:
    """Let accepted connections in: asyncio leaves them open for ever if the listener closes at the same moment."""
    for site in runner.sites:
        # aiohttp gives no other access to its sockets.
        server = site._server  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        # Other loops have their own server classes, and on Windows there is no reader to remove.
        if isinstance(server, asyncio.Server):
            for listener in server.sockets:
                with contextlib.suppress(NotImplementedError):
                    asyncio.get_running_loop().remove_reader(listener)
    await asyncio.sleep(0)
