"""Sources of the Authorization header: a static token, or a token that is fetched when needed."""

import asyncio
import base64
import json
import re
from collections.abc import Mapping
from copy import copy
from inspect import isawaitable
from typing import Final, cast

from thredfi_async._checks.headers import NO_HEADERS, is_token
from thredfi_async._codec.error_envelope import api_error
from thredfi_async._codec.response_headers import request_id
from thredfi_async._http_statuses import SUCCESS
from thredfi_async._interfaces import Clock, Failure, Hidden, Request, Response, Secret, Send, Success, Verdict
from thredfi_async._outcomes import raised_at
from thredfi_async.auth import AccessToken, PartnerCredentials, TokenProvider
from thredfi_async.errors import (
    ConfigurationError,
    ConnectError,
    RequestTimeoutError,
    ResponseDecodeError,
    ThredfiError,
)
from thredfi_async.settings import Timeouts

_MARGIN: Final = 60.0
_LONGEST_RENEWAL: Final = 30.0
"""Seconds for one fetch of a token. A provider that hangs costs the calls that waited for it, and no later one."""
_CANCELLED: Final = "no token: the token provider was cancelled"
_LAST_WORDS: Final = 1.0
"""Seconds that a cancelled fetch has for its end."""


class StaticToken:
    """One token that never changes.

    Args:
        token: The token.

    Raises:
        ConfigurationError: It cannot be sent in a header.
    """

    def __init__(self, token: Secret) -> None:
        """Check and store the token."""
        if not is_token(token.reveal()):
            raise ConfigurationError("token must be visible ASCII characters without spaces, and not empty")
        self.header: Secret | None = _bearer(token.reveal())

    async def renew(self) -> Secret:
        """Return the only header."""
        assert self.header is not None  # noqa: S101 - it never changes
        return self.header

    def refuse(self, header: Secret) -> bool:
        """Return False: there is no other token."""
        del header
        return False

    async def aclose(self) -> None:
        """Do nothing: there is nothing to close."""


class RenewedToken:
    """A token that is fetched when needed, once for all concurrent callers.

    It is renewed 60 s before it expires (or half its lifetime before, if that is shorter), by the monotonic clock. If
    the server refuses it earlier, the 401 triggers the renewal.

    Args:
        fetch: Fetches a new token.
        clock: The source of time.
        within: Seconds for one fetch; 30 by default.
    """

    def __init__(self, fetch: TokenProvider, clock: Clock, *, within: float = _LONGEST_RENEWAL) -> None:
        """Start without a token."""
        self._fetch = fetch
        self._clock = clock
        self._within = within
        self._header: Secret | None = None
        self._renew_at: float | None = None
        self._renewal: asyncio.Task[Secret] | None = None

    @property
    def header(self) -> Secret | None:
        """The header's value, or None if it has expired."""
        if self._renew_at is not None and self._clock.monotonic() >= self._renew_at:
            return None
        return self._header

    async def renew(self) -> Secret:
        """Fetch a token, or wait for the fetch in flight.

        The fetch is a shielded task of its own: if a caller is cancelled, the others still get the token.
        """
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._renew(), name="thredfi-async token")
            # If all callers have left, no one retrieves the exception; the next caller fetches again.
            self._renewal.add_done_callback(lambda task: task.cancelled() or task.exception())
        failure: ThredfiError
        try:
            return await asyncio.shield(self._renewal)
        except asyncio.CancelledError:
            if not self._renewal.cancelled() or ((task := asyncio.current_task()) is not None and task.cancelling()):
                raise
            # The provider cancelled its own task, and no one this caller.
            failure = ConnectError(_CANCELLED)
            failure.is_token_error = True
        except ThredfiError as error:
            # Every caller gets the same failure, and sets its own call's effect and attempts on it.
            failure = copy(error)
        # Raised outside the handler, so that each copy has only its own traceback.
        raise failure

    def refuse(self, header: Secret) -> bool:
        """Drop the header, unless another has already replaced it."""
        if header is self._header:
            self._header = None
        return True

    async def aclose(self) -> None:
        """Cancel a fetch in flight."""
        if self._renewal is not None and not self._renewal.done():
            self._renewal.cancel()
            # A provider may not heed it.
            await asyncio.wait([self._renewal], timeout=_LAST_WORDS)

    async def _renew(self) -> Secret:
        asked_at = self._clock.monotonic()
        scope = asyncio.timeout(self._within)
        failure: ThredfiError
        try:
            async with scope:
                token = await self._given()
        except ThredfiError as error:
            error.is_token_error = True
            raise
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            # The provider itself was cancelled: callers that were not must not see a cancellation.
            failure = ConnectError(_CANCELLED)
        except Exception as error:  # noqa: BLE001 - any error must end in one of ours, with the call's effect
            if scope.expired() and isinstance(error, TimeoutError):
                failure = RequestTimeoutError(f"no token came within {self._within:g} s", phase="read")
            else:
                # Only where it was raised: its words may quote the credentials, so it is not even the cause.
                failure = ConnectError(f"no token: the token provider raised {raised_at(error)}")
        else:
            life = token.expires_in
            self._renew_at = None if life is None else asked_at + life - min(_MARGIN, life / 2)
            self._header = header = _bearer(token.token)
            return header
        failure.is_token_error = True
        raise failure

    async def _given(self) -> AccessToken:
        """Ask the provider, and check what it gives."""
        fetch: object = self._fetch()
        if not isawaitable(fetch):
            given = type(fetch).__name__
            del fetch  # it may be the token
            raise ConfigurationError(f"token_provider must be an async function; what it was given returns {given}")
        return _as_token(await fetch)


def _as_token(given: object) -> AccessToken:
    if isinstance(given, AccessToken):
        return given
    is_good, kind = is_token(given), type(given).__name__
    if not is_good:
        del given  # it may be the token, with a line end behind it
        what = "that is no visible ASCII without spaces, or empty, or longer than 16,384 characters"
        raise ConfigurationError(f"token_provider returned a token {what if kind == 'str' else f'of type {kind}'}")
    return AccessToken(cast("str", given))


def _bearer(token: str) -> Secret:
    return Hidden(f"Bearer {token}")


def client_credentials(
    credentials: PartnerCredentials,
    base_url: str,
    send: Send,
    timeouts: Timeouts,
    headers: Hidden[Mapping[str, str]],
) -> TokenProvider:
    """Make a provider that uses the API's own token endpoint (OAuth2 client credentials; the contract's "Tokens").

    Args:
        credentials: The partner's credentials.
        base_url: The base URL of the API.
        send: Sends a request.
        timeouts: Bounds of the fetch; `deadline` bounds all of it.
        headers: Headers that every request has.

    Returns:
        The provider. It raises the error of the fetch, which is never about a customer.
    """
    request = Request[AccessToken](
        method="POST",
        url=f"{base_url}/v1/platform/oauth2/token/",
        judge=_judge,
        headers={**headers.reveal(), "Content-Type": "application/x-www-form-urlencoded"},
        body=b"grant_type=client_credentials",
    )
    basic = _basic(credentials)

    async def fetch() -> AccessToken:
        scope = asyncio.timeout(timeouts.deadline)
        try:
            async with scope:
                response = await send(request, basic, timeouts, _Unwatched())
        except TimeoutError:
            if not scope.expired():
                raise
            raise RequestTimeoutError("no token came before the deadline", phase="deadline") from None
        verdict = request.judge(response)
        if isinstance(verdict, Success):
            return verdict.value
        assert isinstance(verdict, Failure)  # noqa: S101 - one request, one answer
        raise verdict.error

    return fetch


def _basic(credentials: PartnerCredentials) -> Secret:
    pair = f"{credentials.partner_uuid}:{credentials.api_key}".encode()
    return Hidden(f"Basic {base64.b64encode(pair).decode()}")


class _Unwatched:
    """The progress of a token request, which has no effect to track."""

    headers = NO_HEADERS
    sent = False


def _judge(response: Response) -> Verdict[AccessToken]:
    if response.status not in SUCCESS:
        return Failure(api_error(response, fields=("grant_type",)))
    has_token = False
    try:
        answer = json.loads(response.body)
        if answer["token_type"].lower() == "bearer" and is_token(answer["access_token"]):
            has_token = True
            return Success(AccessToken(answer["access_token"], _lifetime(answer.get("expires_in"))))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ConfigurationError):
        pass
    flaw = "an expires_in that is no positive number of seconds" if has_token else "no bearer token"
    error = ResponseDecodeError(f"the token endpoint's answer has {flaw}", request_id=request_id(response))
    # Nothing is wrong with the credentials then: the endpoint may well answer better the next time.
    error.transient = has_token
    return Failure(error)


def _lifetime(value: object) -> float | None:
    """Read a lifetime, which some servers write as text; anything else than a number is refused by `AccessToken`."""
    return float(value) if isinstance(value, str) and _SECONDS.fullmatch(value) else cast("float | None", value)


_SECONDS: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]+)?", re.ASCII)
