"""How to reach the server, as the client is told it."""

import ssl
import time
from collections.abc import Callable
from typing import TypeAlias

import aiohttp
import attrs

from thredfi_async.errors import ConfigurationError
from thredfi_async.settings import Timeouts

Ssl: TypeAlias = ssl.SSLContext | aiohttp.Fingerprint | bool
"""aiohttp's `ssl`: a context, a fingerprint, or False for no verification."""


GivenSession: TypeAlias = aiohttp.ClientSession


@attrs.frozen(kw_only=True)
class TransportOptions:
    """How to reach the server.

    Args:
        timeouts: The bounds, unless a call has its own.
        max_connections: Maximum number of connections.
        max_connection_age: Seconds after which a connection is lent no more; None for no maximum.
        max_body_bytes: Maximum size of an answer's body in bytes, after decompression.
        now: Returns the time by which connections age, in seconds that never step.
        proxy: URL of an HTTP proxy; hidden in `repr`, since it may contain a password.
        ssl: The `ssl` of aiohttp's connector.
        session: The caller's own session; it is used unchanged, and never closed.
        app_name: The caller's application, for the User-Agent.
    """

    timeouts: Timeouts
    max_connections: int
    max_body_bytes: int
    max_connection_age: float | None = None
    now: Callable[[], float] = time.monotonic
    proxy: str | None = attrs.field(default=None, repr=False)
    ssl: Ssl = True
    session: GivenSession | None = None
    app_name: str | None = None


def check_session(session: GivenSession | None, base_url: str) -> None:
    """Refuse a session that would send a token in clear to a proxy.

    Raises:
        ConfigurationError: It is one.
    """
    if session is None or not base_url.startswith("http:"):
        return
    if session.trust_env or vars(session).get("_default_proxy") is not None:
        raise ConfigurationError(
            "session must have no proxy and no trust_env for plain http: the proxy would see the token"
        )
