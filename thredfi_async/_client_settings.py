"""The checks of a client's settings, each of which names what to change."""

import inspect
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypedDict, cast
from urllib.parse import urlsplit

from thredfi_async._checks.headers import NO_HEADERS
from thredfi_async._checks.numbers import positive, positive_seconds, whole_number
from thredfi_async._checks.urls import checked_proxy, environment_proxy, is_loopback
from thredfi_async._engine.access_tokens import RenewedToken, StaticToken
from thredfi_async._engine.call_options import GivenOptions
from thredfi_async._interfaces import Clock, Hidden, Secret
from thredfi_async._transport.options import GivenSession, Ssl
from thredfi_async.auth import PartnerCredentials, TokenProvider
from thredfi_async.errors import ConfigurationError
from thredfi_async.events import Hook
from thredfi_async.resources._headers import checked_headers
from thredfi_async.retry import RetryPolicy
from thredfi_async.settings import Environment, Timeouts

_PACKAGE: Final = Path(__file__).parent
_APP_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}(?:/[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64})?", re.ASCII)


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
    session: GivenSession | None
    proxy: str | None
    ssl: Ssl
    trust_env: bool
    max_body_bytes: int
    clock: Clock | None


def the_only_way(**ways: Hidden[Any]) -> str:
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


def authenticator_of(
    token: Hidden[str | None],
    credentials: Hidden[PartnerCredentials | None],
    token_provider: Hidden[TokenProvider | None],
    exchange: Callable[[PartnerCredentials], TokenProvider],
    clock: Clock,
) -> StaticToken | RenewedToken:
    """Return what authenticates by the only way that was given; `exchange` makes a provider of credentials."""
    match the_only_way(token=token, credentials=credentials, token_provider=token_provider):
        case "token":
            return StaticToken(cast("Secret", token))
        case "credentials":
            return RenewedToken(exchange(cast("Hidden[PartnerCredentials]", credentials).reveal()), clock)
        case _:
            return RenewedToken(cast("Hidden[TokenProvider]", token_provider).reveal(), clock)


def bounds_of(
    timeouts: Timeouts | None, timeout: float | None, retry: RetryPolicy | None, max_retries: int | None
) -> tuple[Timeouts, RetryPolicy]:
    """Return a client's bounds and policy.

    Raises:
        ConfigurationError: One of them is not valid.
    """
    given = GivenOptions(timeouts=timeouts, timeout=timeout, retry=retry, max_retries=max_retries)
    check_kinds(given)
    return given.timeouts_of(Timeouts()), given.retry_of(RetryPolicy())


def check_kinds(given: GivenOptions) -> None:
    """Check bounds and policy, or the shorthands for them.

    Raises:
        ConfigurationError: One of them is not valid.
    """
    kinds: tuple[tuple[str, object, type], ...] = (
        ("timeouts", given.timeouts, Timeouts),
        ("retry", given.retry, RetryPolicy),
    )
    for name, value, kind in kinds:
        if value is not None and not isinstance(value, kind):
            raise ConfigurationError(f"{name} must be a {kind.__name__}, not {type(value).__name__}")
    if problems := given.problems():
        raise ConfigurationError("; ".join(problems))


def check_app_name(name: object) -> None:
    """Check the name of an application for the User-Agent.

    Raises:
        ConfigurationError: It is not one.
    """
    if name is not None and not (isinstance(name, str) and _APP_NAME.fullmatch(name)):
        raise ConfigurationError("app_name must be a name, with its version if you like, such as acme-billing/2.3")


def checked_default_headers(headers: Hidden[Mapping[str, str] | None]) -> Hidden[Mapping[str, str]]:
    """Return a copy of the headers that every call has.

    Raises:
        ConfigurationError: One of them cannot be sent, or is the client's own.
    """
    if headers.reveal() is None:
        return Hidden(NO_HEADERS)
    problems: list[str] = []
    checked = checked_headers(headers, problems)
    if problems:
        raise ConfigurationError("; ".join(problems))
    return checked


def check_hooks(hooks: object) -> None:
    if not isinstance(hooks, Sequence):
        raise ConfigurationError(f"hooks must be a list of hooks, such as [LoggingHook()], not {type(hooks).__name__}")


def check_counts(*, max_connections: int, max_concurrency: int | None, max_body_bytes: int) -> None:
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


def check_age(max_connection_age: float | None) -> None:
    if max_connection_age is not None and (problem := positive_seconds(max_connection_age)) is not None:
        raise ConfigurationError(f"max_connection_age {problem}; None is no maximum")


def check_rate(rate: float | None) -> None:
    """Check the maximum of requests a second.

    Raises:
        ConfigurationError: It is not a positive number.
    """
    if rate is not None and (problem := positive("requests a second")(rate)) is not None:
        raise ConfigurationError(f"rate {problem}; None is no maximum")


def proxy_of(base_url: str, proxy: Hidden[str | None], *, trust_env: bool) -> str | None:
    """Return the proxy to use: none for this machine, where the token would leave it in clear."""
    if proxy.reveal() is None and trust_env:
        proxy = Hidden(environment_proxy(base_url))
    checked_proxy(proxy.reveal())
    return None if is_loopback(urlsplit(base_url).hostname or "") else proxy.reveal()


def warn_of_no_verification() -> None:
    """Warn at the line that made the client, also by way of `from_env`."""
    frame, level = inspect.currentframe(), 1
    while frame is not None and Path(frame.f_code.co_filename).parent == _PACKAGE:
        frame, level = frame.f_back, level + 1
    warnings.warn("ssl=False: certificates are not verified, and anyone may answer", RuntimeWarning, stacklevel=level)
