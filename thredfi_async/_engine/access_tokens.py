"""Sources of the Authorization header: a static token, or a token that is fetched when needed."""

import asyncio
import base64
import json
import traceback
from copy import copy
from typing import Final

from thredfi_async._checks.headers import is_token
from thredfi_async._codec.error_envelope import api_error
from thredfi_async._codec.response_headers import request_id
from thredfi_async._http_statuses import SUCCESS
from thredfi_async._interfaces import Clock, Request, Response, Send, Verdict
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


class StaticToken:
    """One token that never changes.

    Args:
        token: The token.

    Raises:
        ConfigurationError: It cannot be sent in a header.
    """

    def __init__(self, token: str) -> None:
        """Check and store the token."""
        if not is_token(token):
            raise ConfigurationError("token must be visible ASCII characters without spaces, and not empty")
        self.header: str | None = f"Bearer {token}"

    async def renew(self) -> str:
        """Return the only header."""
        return str(self.header)

    def refuse(self, header: str) -> bool:
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
    """

    def __init__(self, fetch: TokenProvider, clock: Clock) -> None:
        """Start without a token."""
        self._fetch = fetch
        self._clock = clock
        self._header: str | None = None
        self._renew_at: float | None = None
        self._renewal: asyncio.Task[str] | None = None

    @property
    def header(self) -> str | None:
        """The header's value, or None if it has expired."""
        if self._renew_at is not None and self._clock.monotonic() >= self._renew_at:
            return None
        return self._header

    async def renew(self) -> str:
        """Fetch a token, or wait for the fetch in flight.

        The fetch is a shielded task of its own: if a caller is cancelled, the others still get the token.
        """
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._renew(), name="thredfi-async token")
            # If all callers have left, no one retrieves the exception; the next caller fetches again.
            self._renewal.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            return await asyncio.shield(self._renewal)
        except ThredfiError as error:
            # Every caller gets the same failure, and sets its own call's effect and attempts on it.
            failure = copy(error)
        # Raised outside the handler, so that each copy has only its own traceback.
        raise failure

    def refuse(self, header: str) -> bool:
        """Drop the header, unless another has already replaced it."""
        if header == self._header:
            self._header = None
        return True

    async def aclose(self) -> None:
        """Cancel a fetch in flight."""
        if self._renewal is not None and not self._renewal.done():
            self._renewal.cancel()
            await asyncio.wait([self._renewal])

    async def _renew(self) -> str:
        asked_at = self._clock.monotonic()
        try:
            given = await self._fetch()
        except ThredfiError as error:
            error.is_token_error = True
            raise
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            # The provider itself was cancelled: callers that were not must not see a cancellation.
            failure = ConnectError("no token: the token provider was cancelled")
        except Exception as error:  # noqa: BLE001 - any error must end in one of ours, with the call's effect
            # Only where it was raised: its words may quote the credentials, so it is not even the cause.
            failure = ConnectError(f"no token: the token provider raised {type(error).__name__} ({_place(error)})")
        else:
            token = given if isinstance(given, AccessToken) else AccessToken(given)
            life = token.expires_in
            self._renew_at = None if life is None else asked_at + life - min(_MARGIN, life / 2)
            self._header = header = f"Bearer {token.token}"
            return header
        failure.is_token_error = True
        raise failure


def client_credentials(credentials: PartnerCredentials, base_url: str, send: Send, timeouts: Timeouts) -> TokenProvider:
    """Make a provider that uses the API's own token endpoint (OAuth2 client credentials; the contract's "Tokens").

    Args:
        credentials: The partner's credentials.
        base_url: The base URL of the API.
        send: Sends a request.
        timeouts: Bounds of the fetch; `deadline` bounds all of it.

    Returns:
        The provider. It raises the error of the fetch, which is never about a customer.
    """
    pair = f"{credentials.partner_uuid}:{credentials.api_key}".encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    basic = {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    request = Request[AccessToken](
        method="POST",
        url=f"{base_url}/v1/platform/oauth2/token/",
        judge=_judge,
        headers=headers,
        body=b"grant_type=client_credentials",
    )

    async def fetch() -> AccessToken:
        scope = asyncio.timeout(timeouts.deadline)
        try:
            async with scope:
                response = await send(request, basic, timeouts, _Unwatched())
        except TimeoutError:
            if not scope.expired():
                raise
            raise RequestTimeoutError("no token came before the deadline", phase="deadline") from None
        return request.judge(response).unwrap()

    return fetch


class _Unwatched:
    """The progress of a token request, which has no effect to track."""

    sent = False


def _place(error: Exception) -> str:
    frame, line = list(traceback.walk_tb(error.__traceback__))[-1]
    return f"{frame.f_code.co_filename}, line {line}"


def _judge(response: Response) -> Verdict[AccessToken]:
    if response.status not in SUCCESS:
        return Verdict(error=api_error(response, fields=("grant_type",)))
    problem = "the token endpoint's answer holds no bearer token"
    unreadable = Verdict[AccessToken](error=ResponseDecodeError(problem, request_id=request_id(response)))
    try:
        answer = json.loads(response.body)
        if answer["token_type"].lower() != "bearer":
            return unreadable
        return Verdict(AccessToken(answer["access_token"], answer.get("expires_in")))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return unreadable
