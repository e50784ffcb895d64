"""The client: it wires the parts and owns their lifetime; policy lives in the parts."""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, Self, Unpack

import aiohttp
import attrs

from thredfi_async._checks.urls import checked_base_url
from thredfi_async._client_parts import ClientParts
from thredfi_async._client_settings import (
    ClientSettings,
    authenticator_of,
    bounds_of,
    check_age,
    check_app_name,
    check_counts,
    check_hooks,
    check_kinds,
    check_rate,
    checked_default_headers,
    proxy_of,
    warn_of_no_verification,
)
from thredfi_async._engine.access_tokens import client_credentials
from thredfi_async._engine.availability import Availability
from thredfi_async._engine.call_options import GivenOptions
from thredfi_async._engine.deadlines import Deadlines
from thredfi_async._engine.hooks import tell_of_client
from thredfi_async._engine.lifecycle import Lifecycle
from thredfi_async._engine.limiter import Limiter
from thredfi_async._engine.pipeline import Pipeline
from thredfi_async._engine.steady_clock import SteadyClock
from thredfi_async._environment import Variables, base_url_of, credentials_of
from thredfi_async._interfaces import Clock, Hidden, Server, SystemClock
from thredfi_async._transport.options import Ssl, TransportOptions, check_session
from thredfi_async._transport.session import AiohttpTransport
from thredfi_async.auth import PartnerCredentials, TokenProvider
from thredfi_async.events import Hook
from thredfi_async.models import UNSET, RawResponse
from thredfi_async.resources._headers import merged
from thredfi_async.resources._other import OtherRequests, Sent
from thredfi_async.resources._raw import raw_response
from thredfi_async.resources.customers import Customers
from thredfi_async.retry import RetryBudget, RetryPolicy
from thredfi_async.settings import Environment, Timeouts
from thredfi_async.telemetry._environment import hooks_of_environment

__all__ = ["ThredfiClient"]

_MAX_CONNECTION_AGE: Final = 300.0
_MAX_BODY_BYTES: Final = 8 * 1024 * 1024


class ThredfiClient(ClientParts):
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
        timeouts, retry = bounds_of(timeouts, timeout, retry, max_retries)
        self._headers = checked_default_headers(own_headers)
        check_app_name(app_name)
        check_hooks(hooks)
        check_session(session, base_url)
        check_counts(max_connections=max_connections, max_concurrency=max_concurrency, max_body_bytes=max_body_bytes)
        check_age(max_connection_age)
        check_rate(rate)
        clock = SystemClock() if clock is None else SteadyClock(clock)
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
        send = self._transport.send
        exchange = partial(client_credentials, base_url=base_url, send=send, timeouts=timeouts, headers=self._headers)
        self._authenticator = authenticator_of(secret, holder, provider, exchange, clock)
        if ssl is False:
            warn_of_no_verification()
        self._deadlines = Deadlines()
        self._pipeline = Pipeline(
            send=send,
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
        self._owner = None
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
        client._pipeline = attrs.evolve(
            self._pipeline,
            timeouts=given.timeouts_of(self._pipeline.timeouts),
            retry=given.retry_of(self.retry),
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
        outcome = await self._other.send(method, path, sent, given.options(self._pipeline.timeouts, self.retry))
        return raw_response(outcome)

    def _wire(self) -> None:
        self._customers = Customers(self._pipeline, self._base_url, self._headers)
        self._other = OtherRequests(self._pipeline, self._base_url, self._headers)
