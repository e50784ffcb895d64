"""The client: it wires the parts and owns their lifetime; policy lives in the parts."""

import asyncio
import inspect
import os
import warnings
from collections.abc import Coroutine, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypedDict, Unpack, cast
from urllib.parse import urlsplit

import aiohttp

from thredfi_async._checks.numbers import positive, positive_seconds, whole_number
from thredfi_async._checks.urls import checked_base_url, checked_proxy, environment_proxy, is_loopback
from thredfi_async._engine.access_tokens import RenewedToken, StaticToken, client_credentials
from thredfi_async._engine.availability import Availability
from thredfi_async._engine.deadlines import Deadlines
from thredfi_async._engine.lifecycle import Lifecycle
from thredfi_async._engine.limiter import Limiter
from thredfi_async._engine.limits import Limits
from thredfi_async._engine.pipeline import Pipeline
from thredfi_async._engine.steady_clock import SteadyClock
from thredfi_async._interfaces import Clock, Hidden, Secret, SystemClock
from thredfi_async._transport.session import AiohttpTransport, Ssl, TransportOptions
from thredfi_async.auth import PartnerCredentials, TokenProvider
from thredfi_async.errors import ConfigurationError
from thredfi_async.events import Hook
from thredfi_async.resources.customers import Customers
from thredfi_async.retry import RetryBudget, RetryPolicy
from thredfi_async.settings import Environment, Timeouts

__all__ = ["ClientSettings", "ThredfiClient"]

_MAX_CONNECTION_AGE: Final = 300.0
_MAX_BODY_BYTES: Final = 8 * 1024 * 1024
_DRAIN: Final = 30.0


class ClientSettings(TypedDict, total=False):
    """The settings of a client except authentication; `ThredfiClient` documents each one."""

    base_url: Environment | str
    timeouts: Timeouts
    retry: RetryPolicy
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
        retry: How calls are retried.
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
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
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
        base_url = checked_base_url(address.reveal())
        _check_kinds(timeouts, retry)
        _check_hooks(hooks)
        _check_session(session, base_url)
        _check_counts(max_connections=max_connections, max_concurrency=max_concurrency, max_body_bytes=max_body_bytes)
        _check_age(max_connection_age)
        _check_rate(rate)
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
                proxy=_proxy(base_url, through, trust_env=trust_env),
                ssl=ssl,
                session=session,
            )
        )
        self._authenticator: StaticToken | RenewedToken
        match _the_only_way(token=secret, credentials=holder, token_provider=provider):
            case "token":
                self._authenticator = StaticToken(cast("Secret", secret))
            case "credentials":
                fetch = client_credentials(
                    cast("Hidden[PartnerCredentials]", holder).reveal(), base_url, self._transport.send, timeouts
                )
                self._authenticator = RenewedToken(fetch, clock)
            case _:
                self._authenticator = RenewedToken(cast("Hidden[TokenProvider]", provider).reveal(), clock)
        if ssl is False:
            _warn_of_no_verification()
        self._deadlines = Deadlines()
        pipeline = Pipeline(
            send=self._transport.send,
            authenticator=self._authenticator,
            limiter=self._limiter,
            availability=Availability(clock, self._limiter),
            lifecycle=self._lifecycle,
            timeouts=timeouts,
            retry=retry,
            budget=RetryBudget(),
            clock=clock,
            hooks=tuple(hooks),
            deadlines=self._deadlines,
        )
        self._base_url = base_url
        self._customers = Customers(pipeline, base_url)

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
        variables, environ = _Variables(os.environ if environ is None else environ), None
        given = Hidden(settings)
        del settings
        if given.reveal().get("base_url") is None:
            given.reveal()["base_url"] = _where(variables)
        credentials = _credentials(variables)
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
    def limits(self) -> Limits:
        """The current limits: requests in flight and allowed, calls that wait, and what the API seems to grant."""
        return self._limiter.limits()

    @property
    def customers(self) -> Customers:
        """The customers of your businesses."""
        return self._customers

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

        Args:
            drain: Seconds to wait for them; 30 by default. Calls that are left then end with a `ClientStateError`.

        Raises:
            ClientStateError: The client belongs to another event loop or process.
        """
        if self._lifecycle.is_closed:
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
        if transport is not None and transport.is_open:
            _warn(f"{self!r} was never closed: use 'async with', or await aclose()", ResourceWarning, source=self)

    def __repr__(self) -> str:
        """Show the base URL, and no secret."""
        return f"<ThredfiClient {self._base_url}>"


def _the_only_way(**ways: Hidden[Any]) -> str:
    """Return the name of the one way in which credentials were given."""
    given = [name for name, way in ways.items() if way.reveal() is not None]
    if len(given) != 1:
        raise ConfigurationError(f"give exactly one of {', '.join(ways)}, not {' and '.join(given) or 'none'}")
    name = given[0]
    way = ways[name]
    is_right = {
        "token": type(way.reveal()) is str,
        "credentials": isinstance(way.reveal(), PartnerCredentials),
        "token_provider": callable(way.reveal()),
    }
    if not is_right[name]:
        raise ConfigurationError(f"{name} must not be {type(way.reveal()).__name__}; see ThredfiClient")
    return name


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


def _check_kinds(timeouts: object, retry: object) -> None:
    for name, value, kind in (("timeouts", timeouts, Timeouts), ("retry", retry, RetryPolicy)):
        if not isinstance(value, kind):
            raise ConfigurationError(f"{name} must be a {kind.__name__}, not {type(value).__name__}")


def _check_hooks(hooks: object) -> None:
    if not isinstance(hooks, Sequence):
        raise ConfigurationError(f"hooks must be a list of hooks, such as [LoggingHook()], not {type(hooks).__name__}")


def _check_counts(*, max_connections: int, max_concurrency: int | None, max_body_bytes: int) -> None:
    counts: dict[str, Any] = {
        "max_connections": max_connections,
        "max_concurrency": max_connections if max_concurrency is None else max_concurrency,
        "max_body_bytes": max_body_bytes,
    }
    for name, count in counts.items():
        if (problem := whole_number(count)) is not None:
            raise ConfigurationError(f"{name} {problem}")
    if counts["max_concurrency"] > max_connections:
        msg = (
            f"max_concurrency ({max_concurrency}) must not be over max_connections ({max_connections}): "
            "requests would spend their timeouts waiting for a connection"
        )
        raise ConfigurationError(msg)


def _check_age(max_connection_age: float | None) -> None:
    if max_connection_age is not None and (problem := positive_seconds(max_connection_age)) is not None:
        raise ConfigurationError(f"max_connection_age {problem}; None is no maximum")


def _check_rate(rate: float | None) -> None:
    if rate is not None and (problem := positive("requests a second")(rate)) is not None:
        raise ConfigurationError(f"rate {problem}; None is no maximum")


class _Variables:
    """Environment variables, which no traceback shows; an empty one counts as unset."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def get(self, name: str) -> str | None:
        return self._environ.get(name) or None


def _credentials(variables: _Variables) -> PartnerCredentials | None:
    names = ("THREDFI_PARTNER_UUID", "THREDFI_API_KEY")
    given = [name for name in names if variables.get(name) is not None]
    has_token = variables.get("THREDFI_TOKEN") is not None
    if has_token and given:
        raise ConfigurationError(f"set THREDFI_TOKEN or {' and '.join(names)}, not both")
    if not has_token and len(given) < len(names):
        missing = " and ".join(name for name in names if name not in given)
        raise ConfigurationError(f"set THREDFI_TOKEN, or {' and '.join(names)}; not set: {missing}")
    return PartnerCredentials(*(variables.get(name) or "" for name in names)) if given else None


def _proxy(base_url: str, proxy: Hidden[str | None], *, trust_env: bool) -> str | None:
    """Return the proxy to use: none for this machine, where the token would leave it in clear."""
    if proxy.reveal() is None and trust_env:
        proxy = Hidden(environment_proxy(base_url))
    checked_proxy(proxy.reveal())
    return None if is_loopback(urlsplit(base_url).hostname or "") else proxy.reveal()


def _check_session(session: aiohttp.ClientSession | None, base_url: str) -> None:
    """Refuse a session that would send a token in clear to a proxy."""
    if session is None or not base_url.startswith("http:"):
        return
    if session.trust_env or vars(session).get("_default_proxy") is not None:
        raise ConfigurationError(
            "session must have no proxy and no trust_env for plain http: the proxy would see the token"
        )


def _where(variables: _Variables) -> Environment | str:
    url, name = variables.get("THREDFI_BASE_URL"), variables.get("THREDFI_ENVIRONMENT")
    if url is not None and name is not None:
        raise ConfigurationError("set THREDFI_BASE_URL or THREDFI_ENVIRONMENT, not both")
    if url is not None or name is None:
        return url or Environment.SANDBOX
    try:
        return Environment[name.upper()]
    except KeyError:
        names = " or ".join(environment.name.lower() for environment in Environment)
        raise ConfigurationError(f"THREDFI_ENVIRONMENT must be {names}") from None
