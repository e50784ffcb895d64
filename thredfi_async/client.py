"""The client: it wires the parts and owns their lifetime; policy lives in the parts."""

import asyncio
import inspect
import os
import warnings
from collections.abc import Coroutine, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypedDict, Unpack, cast

import aiohttp
import attrs

from thredfi_async._checks.urls import checked_base_url
from thredfi_async._client_settings import (
    check_age,
    check_app_name,
    check_counts,
    check_hooks,
    check_kinds,
    check_rate,
    checked_default_headers,
    proxy_of,
    the_only_way,
)
from thredfi_async._engine.access_tokens import RenewedToken, StaticToken, client_credentials
from thredfi_async._engine.availability import Availability
from thredfi_async._engine.call_options import GivenOptions
from thredfi_async._engine.deadlines import Deadlines
from thredfi_async._engine.hooks import tell_of_client
from thredfi_async._engine.lifecycle import Lifecycle
from thredfi_async._engine.limiter import Limiter
from thredfi_async._engine.limits import Limits
from thredfi_async._engine.pipeline import Pipeline
from thredfi_async._engine.steady_clock import SteadyClock
from thredfi_async._environment import Variables, base_url_of, credentials_of
from thredfi_async._interfaces import Clock, Hidden, Secret, Server, SystemClock
from thredfi_async._transport.session import AiohttpTransport, Ssl, TransportOptions
from thredfi_async.auth import PartnerCredentials, TokenProvider
from thredfi_async.errors import ConfigurationError
from thredfi_async.events import Hook
from thredfi_async.models import UNSET, RawResponse
from thredfi_async.resources._headers import merged
from thredfi_async.resources._other import OtherRequests, Sent
from thredfi_async.resources._raw import raw_response
from thredfi_async.resources.customers import Customers
from thredfi_async.retry import RetryBudget, RetryPolicy
from thredfi_async.settings import Environment, Timeouts
from thredfi_async.telemetry._environment import hooks_of_environment

__all__ = ["ClientSettings", "ThredfiClient"]

_MAX_CONNECTION_AGE: Final = 300.0
_MAX_BODY_BYTES: Final = 8 * 1024 * 1024
_DRAIN: Final = 30.0


class ClientSettings(TypedDict, total=False):
    """The settings of a client except authentication; `ThredfiClient` documents each one."""

    base_url: Environment | str
    timeouts: Timeouts
    timeout: float | None
    retry: RetryPolicy
    max_retries: int | None
    headers: Mapping[str, str] | None
    app_name: str | None
    max_connections: int
    max_concurrency: int | None
    rate: float | None
    max_connection_age: float | None
    hooks: Sequence[Hook]
    session: aiohttp.ClientSession | None
    proxy: str | None
    ssl: Ssl
    trust_env: bool
    max_body_bytes: int
    clock: Clock | None


class ThredfiClient:
    """A client of the Thredfi Partner API; one client serves a whole application for as long as it runs.

    You may create it outside a running event loop. It connects on first use, and from then on belongs to that event
    loop and process. Use it with `async with`, or call `aclose()`. Pass exactly one of `token`, `credentials` and
    `token_provider`.

    Args:
        token: A partner-level bearer token.
        credentials: The partner's UUID and API key, exchanged for tokens when they are needed.
        token_provider: An async callable that returns a token, or an `AccessToken` with its lifetime.
        base_url: An `Environment` or any absolute URL; the sandbox by default. https, unless the host is loopback.
        timeouts: Time limits for each call, in seconds.
        timeout: Seconds for a whole call; short for `timeouts=Timeouts(deadline=...)`.
        retry: How calls are retried.
        max_retries: Attempts after a failed first one; short for `retry=RetryPolicy(max_attempts=...)`, which is one
            more. With 0, a call whose outcome is unknown still looks at the record once.
        headers: Headers of every request, such as a gateway's key; a call's own headers win.
        app_name: Your application in the User-Agent, such as `acme-billing/2.3`.
        max_connections: Maximum number of connections; 100 by default.
        max_concurrency: Maximum number of requests in flight; `max_connections` by default, and never more.
        rate: Maximum number of requests that begin in a second; None, the default, for no maximum of your own.
        max_connection_age: Seconds after which a connection takes no further request, so that a load balancer that is
            drained or moved is left under load too; 300 by default, up to a tenth less for each, None for no maximum.
        hooks: Receive events, such as `LoggingHook()`.
        session: Your own aiohttp session, with its own connector; the client never closes it.
        proxy: URL of an HTTP proxy.
        ssl: aiohttp's `ssl`: a context, a fingerprint, or False for no verification.
        trust_env: Whether to take the proxy from the environment (`HTTPS_PROXY`, `NO_PROXY`); netrc is never read.
        max_body_bytes: Maximum size of an answer in bytes, after decompression; 8 MiB by default.
        clock: The source of time and sleeps; for tests.

    Raises:
        ConfigurationError: A setting is not valid.
    """

    def __init__(  # noqa: PLR0913 - settings of one client, all but the first by name
        self,
        token: str | None = None,
        *,
        credentials: PartnerCredentials | None = None,
        token_provider: TokenProvider | None = None,
        base_url: Environment | str = Environment.SANDBOX,
        timeouts: Timeouts | None = None,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
        app_name: str | None = None,
        max_connections: int = 100,
        max_concurrency: int | None = None,
        rate: float | None = None,
        max_connection_age: float | None = _MAX_CONNECTION_AGE,
        hooks: Sequence[Hook] = (),
        session: aiohttp.ClientSession | None = None,
        proxy: str | None = None,
        ssl: Ssl = True,
        trust_env: bool = False,
        max_body_bytes: int = _MAX_BODY_BYTES,
        clock: Clock | None = None,
    ) -> None:
        """Check the settings and wire the parts; this does not connect."""
        # No traceback shows these: a URL may hold a password.
        secret, holder, provider = Hidden(token), Hidden(credentials), Hidden(token_provider)
        token, credentials, token_provider = None, None, None
        address, base_url = Hidden(base_url.value if isinstance(base_url, Environment) else base_url), ""
        through, proxy = Hidden(proxy), None
        own_headers, headers = Hidden(headers), None
        base_url = checked_base_url(address.reveal())
        timeouts, retry = _bounds(timeouts, timeout, retry, max_retries)
        self._headers = checked_default_headers(own_headers)
        check_app_name(app_name)
        check_hooks(hooks)
        _check_session(session, base_url)
        check_counts(max_connections=max_connections, max_concurrency=max_concurrency, max_body_bytes=max_body_bytes)
        check_age(max_connection_age)
        check_rate(rate)
        clock = SystemClock() if clock is None else SteadyClock(clock)
        self._retry = retry
        self._lifecycle = Lifecycle()
        self._limiter = Limiter(max_concurrency or max_connections, clock.monotonic, rate=rate)
        self._transport = AiohttpTransport(
            TransportOptions(
                timeouts=timeouts,
                max_connections=max_connections,
                max_connection_age=max_connection_age,
                max_body_bytes=max_body_bytes,
                now=clock.monotonic,
                proxy=proxy_of(base_url, through, trust_env=trust_env),
                ssl=ssl,
                session=session,
                app_name=app_name,
            )
        )
        self._authenticator: StaticToken | RenewedToken
        match the_only_way(token=secret, credentials=holder, token_provider=provider):
            case "token":
                self._authenticator = StaticToken(cast("Secret", secret))
            case "credentials":
                pair, send = cast("Hidden[PartnerCredentials]", holder), self._transport.send
                fetch = client_credentials(pair.reveal(), base_url, send, timeouts, self._headers)
                self._authenticator = RenewedToken(fetch, clock)
            case _:
                self._authenticator = RenewedToken(cast("Hidden[TokenProvider]", provider).reveal(), clock)
        if ssl is False:
            _warn_of_no_verification()
        self._deadlines = Deadlines()
        self._pipeline = Pipeline(
            send=self._transport.send,
            authenticator=self._authenticator,
            limiter=self._limiter,
            availability=Availability(clock, self._limiter),
            lifecycle=self._lifecycle,
            timeouts=timeouts,
            retry=retry,
            budget=RetryBudget(),
            clock=clock,
            hooks=(*hooks, *hooks_of_environment(hooks)),
            server=Server.of(base_url, self._transport.is_instrumented),
            deadlines=self._deadlines,
        )
        self._base_url = base_url
        self._owner: ThredfiClient | None = None
        self._wire()
        tell_of_client(self.hooks, self)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **settings: Unpack[ClientSettings]) -> Self:
        """Create a client from environment variables.

        `THREDFI_TOKEN`, or `THREDFI_PARTNER_UUID` and `THREDFI_API_KEY`, authenticate. `THREDFI_BASE_URL`, or
        `THREDFI_ENVIRONMENT` (`sandbox` or `production`), is the address of the API. An empty variable counts as unset.

        Args:
            environ: The variables; the process's environment by default.
            **settings: Settings of the client; `base_url` here overrides the environment's.

        Returns:
            The client.

        Raises:
            ConfigurationError: Variables are missing, or contradict each other; the message names them.
        """
        # No local of ours holds a secret: a traceback may show it.
        variables, environ = Variables(os.environ if environ is None else environ), None
        given = Hidden(settings)
        del settings
        if given.reveal().get("base_url") is None:
            given.reveal()["base_url"] = base_url_of(variables)
        credentials = credentials_of(variables)
        return cls(variables.get("THREDFI_TOKEN"), credentials=credentials, **given.reveal())

    @property
    def base_url(self) -> str:
        """The base URL of the API, without a trailing slash."""
        return self._base_url

    @property
    def retry(self) -> RetryPolicy:
        """The policy by which calls are retried, unless they have one of their own."""
        return self._retry

    @property
    def hooks(self) -> tuple[Hook, ...]:
        """The hooks that receive the events of its calls."""
        return self._pipeline.hooks

    @property
    def limits(self) -> Limits:
        """The current limits: requests in flight and allowed, calls that wait, and what the API seems to grant."""
        return self._limiter.limits()

    @property
    def customers(self) -> Customers:
        """The customers of your businesses."""
        return self._customers

    def with_options(  # noqa: PLR0913 - settings, all by name
        self,
        *,
        timeouts: Timeouts | None = None,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
        hooks: Sequence[Hook] = (),
    ) -> Self:
        """Return this client with other settings for its calls; it shares connections, token and limits with this one.

        It needs no closing: it lives as long as the client that you made, and closing it does nothing.

        Args:
            timeouts: Time limits for each call.
            timeout: Seconds for a whole call; the other limits stay.
            retry: How calls are retried.
            max_retries: Attempts after a failed first one; the rest of the policy stays.
            headers: Headers of every call, beside those of this client; of two with one name, these win.
            hooks: Receive events, beside the hooks of this client.

        Raises:
            ConfigurationError: A setting is not valid.
        """
        own_headers, headers = Hidden(headers), None  # no traceback shows them
        given = GivenOptions(timeouts=timeouts, timeout=timeout, retry=retry, max_retries=max_retries)
        check_kinds(given)
        check_hooks(hooks)
        client = object.__new__(type(self))
        vars(client).update(vars(self))
        client._owner = self._owner or self
        client._retry = given.retry_of(self._retry)
        client._pipeline = attrs.evolve(
            self._pipeline,
            timeouts=given.timeouts_of(self._pipeline.timeouts),
            retry=client._retry,
            hooks=(*self.hooks, *hooks),
        )
        added = checked_default_headers(own_headers)
        client._headers = Hidden(merged(self._headers.reveal(), added.reveal()))
        client._wire()
        tell_of_client(hooks, client)
        return client

    async def request(  # noqa: PLR0913 - method, path, what is sent, and the call's own settings by name
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = UNSET,  # noqa: ANN401 - JSON is anything
        timeouts: Timeouts | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the call's deadline
        retry: RetryPolicy | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> RawResponse[Any]:
        """Send a request for which this library has no method yet, with the client's token, limits and errors.

        A GET or HEAD is retried as any call. Any other method may change something, and nothing is known of what its
        answers mean, so it is sent once: unless the API refuses it in its own envelope, a failure leaves its effect
        UNKNOWN. Only a token that was refused is renewed, and the request sent again with the new one.

        Args:
            method: The HTTP method, in capital letters.
            path: The path behind the base URL, percent-encoded, such as `/v1/platform/businesses/`.
            params: The query; texts, numbers, true or false, or lists of them, and None for left out.
            json: The body, as values that JSON has; `UNSET`, the default, for none.
            timeouts: Bounds for this call, instead of the client's.
            timeout: Seconds for the whole call; short for `timeouts`.
            retry: A policy for this call, instead of the client's.
            max_retries: Attempts after the first; short for `retry`.
            headers: Extra headers for this call.

        Returns:
            The answer; its `parsed` is the JSON, or None without a body.

        Raises:
            InvalidRequestError: An argument is invalid; nothing was sent.
            ResponseDecodeError: A success status with a body that is not JSON.
            ThredfiError: Otherwise as for `Customers.archive`.
        """
        sent = Hidden(Sent(params, json, headers))
        params, json, headers = None, None, None  # no traceback shows them
        given = GivenOptions(timeouts=timeouts, timeout=timeout, retry=retry, max_retries=max_retries)
        outcome = await self._other.send(method, path, sent, given.options(self._pipeline.timeouts, self._retry))
        return raw_response(outcome)

    async def authenticate(self) -> bool:
        """Get a token now, if there is none, so that wrong credentials show before the first call.

        Returns:
            Whether the API has accepted the credentials; False for a fixed token, which only a call can prove.

        Raises:
            ThredfiError: There is no token; its `is_token_error` is true.
            ClientStateError: The client is closed, or belongs to another event loop or process.
        """
        self._lifecycle.check_open()
        if isinstance(self._authenticator, StaticToken):
            return False
        if self._authenticator.header is None:
            await self._authenticator.renew()
        return True

    async def aclose(self, *, drain: float = _DRAIN) -> None:
        """Wait for the calls in flight, then close the connections; closing again does nothing.

        A client that `with_options` made is closed with the one that it was made of.

        Args:
            drain: Seconds to wait for them; 30 by default. Calls that are left then end with a `ClientStateError`.

        Raises:
            ClientStateError: The client belongs to another event loop or process.
        """
        if self._owner is not None or self._lifecycle.is_closed:
            return
        self._lifecycle.check_home()
        self._lifecycle.close()
        try:
            await self._lifecycle.drain(drain)
        finally:
            # Also if closing is cancelled, and once more meanwhile: nothing may be left running.
            self._limiter.close()
            self._lifecycle.interrupt()
            await _to_its_end(self._end())

    def _wire(self) -> None:
        self._customers = Customers(self._pipeline, self._base_url, self._headers)
        self._other = OtherRequests(self._pipeline, self._base_url, self._headers)

    async def _end(self) -> None:
        await self._lifecycle.drain(None)
        self._deadlines.close()
        await self._authenticator.aclose()
        await self._transport.aclose()
        self._lifecycle.is_closed = True

    async def __aenter__(self) -> Self:
        """Return the client itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the client."""
        await self.aclose()

    def __del__(self, _warn: Any = warnings.warn) -> None:  # noqa: ANN401 - kept while the interpreter ends
        """Warn of a client that was never closed."""
        transport = vars(self).get("_transport")
        if transport is not None and transport.is_open and vars(self).get("_owner") is None:
            _warn(f"{self!r} was never closed: use 'async with', or await aclose()", ResourceWarning, source=self)

    def __repr__(self) -> str:
        """Show the base URL, and no secret."""
        return f"<ThredfiClient {self._base_url}>"


def _bounds(
    timeouts: Timeouts | None, timeout: float | None, retry: RetryPolicy | None, max_retries: int | None
) -> tuple[Timeouts, RetryPolicy]:
    given = GivenOptions(timeouts=timeouts, timeout=timeout, retry=retry, max_retries=max_retries)
    check_kinds(given)
    return given.timeouts_of(Timeouts()), given.retry_of(RetryPolicy())


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Await this to its end, however often the caller is cancelled; then the cancellation goes on."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    await task


def _warn_of_no_verification() -> None:
    # At the caller's line, also by way of `from_env`.
    frame, level = inspect.currentframe(), 1
    while frame is not None and frame.f_code.co_filename == __file__:
        frame, level = frame.f_back, level + 1
    warnings.warn("ssl=False: certificates are not verified, and anyone may answer", RuntimeWarning, stacklevel=level)


def _check_session(session: aiohttp.ClientSession | None, base_url: str) -> None:
    """Refuse a session that would send a token in clear to a proxy."""
    if session is None or not base_url.startswith("http:"):
        return
    if session.trust_env or vars(session).get("_default_proxy") is not None:
        raise ConfigurationError(
            "session must have no proxy and no trust_env for plain http: the proxy would see the token"
        )
