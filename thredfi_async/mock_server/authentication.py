"""Access control: tokens, partner credentials and the rate limit."""

import binascii
import time
from base64 import b64decode
from collections.abc import Callable
from math import ceil, inf
from secrets import token_urlsafe

from thredfi_async.mock_server.checks import RefusedError

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="thredfi"'}
_MAX_TOKENS = 10_000


class Tokens:
    """The valid tokens, each until it expires.

    Args:
        static: A token that is valid from the start and never expires.
        lifetime: The lifetime of issued tokens, in seconds.
        clock: Monotonic seconds.
    """

    def __init__(self, static: str, *, lifetime: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.lifetime = lifetime
        self._clock = clock
        self._expiry: dict[str, float] = {static: inf}

    def issue(self) -> str:
        """Return a fresh token."""
        if len(self._expiry) >= _MAX_TOKENS:  # a client that fetches in a loop must not fill the memory
            now = self._clock()
            self._expiry = {token: expiry for token, expiry in self._expiry.items() if expiry > now}
        token = f"mock.{token_urlsafe(24)}"
        self._expiry[token] = self._clock() + self.lifetime
        return token

    def kill(self, token: str) -> None:
        """Refuse a token from now on."""
        self._expiry.pop(token, None)

    def kill_all(self) -> None:
        """Refuse every existing token from now on."""
        self._expiry.clear()

    def check(self, header: str | None) -> str:
        """Return the valid token of an `Authorization` header.

        Raises:
            RefusedError: 401.
        """
        scheme, _, token = (header or "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise RefusedError(
                401,
                "authentication_required",
                "Authentication credentials were not provided.",
                headers=_CHALLENGE,
            )
        if self._expiry.get(token, -inf) <= self._clock():
            raise dead_token()
        return token


def dead_token() -> RefusedError:
    """Return the refusal of a token that is unknown or has expired."""
    return RefusedError(401, "invalid_token", "The token is invalid or has expired.", headers=_CHALLENGE)


def check_partner(header: str | None, partner_uuid: str, api_key: str) -> None:
    """Check the HTTP Basic credentials of the token endpoint.

    Raises:
        RefusedError: 401.
    """
    scheme, _, encoded = (header or "").partition(" ")
    try:
        given = b64decode(encoded.strip(), validate=True) if scheme.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        given = b""
    if given != f"{partner_uuid}:{api_key}".encode():
        raise RefusedError(
            401,
            "authentication_required",
            "The partner credentials are missing or wrong.",
            headers={"WWW-Authenticate": 'Basic realm="thredfi"'},
        )


class TokenBucket:
    """A rate limit that allows a burst of one second's worth.

    Args:
        rate: Requests per second; None for no limit.
        clock: Monotonic seconds.

    Raises:
        ValueError: The rate is not above zero.
    """

    def __init__(self, rate: float | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        if rate is not None and not rate > 0:
            raise ValueError(f"rate_limit must be above 0 requests per second, not {rate}")
        self._rate = rate
        self._clock = clock
        self._level = self._burst = max(rate or 0.0, 1.0)
        self._then = clock()

    def take(self) -> None:
        """Take one request from the limit.

        Raises:
            RefusedError: 429, with a `Retry-After` in whole seconds.
        """
        if self._rate is None:
            return
        now = self._clock()
        self._level = min(self._burst, self._level + (now - self._then) * self._rate)
        self._then = now
        if self._level < 1:
            wait = str(ceil((1 - self._level) / self._rate))
            raise RefusedError(429, "throttled", "Request was throttled.", headers={"Retry-After": wait})
        self._level -= 1
