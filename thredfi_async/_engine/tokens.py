"""Where the Authorization header comes from: a static token, or one that is fetched when it is needed."""

import asyncio
import base64
import json
import traceback
from copy import copy
from typing import Final

from thredfi_async._checks.headers import is_token
from thredfi_async._codec.error_envelope import api_error
from thredfi_async._codec.response_headers import request_id
from thredfi_async._interfaces import Clock, Request, Response, Send, Verdict
from thredfi_async._statuses import SUCCESS
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
    """One token for as long as it works.

    Args:
        token: The token.

    Raises:
        ConfigurationError: It holds what no header can carry.
    """

    def __init__(self, token: str) -> None:
        """Take the token."""
        if not is_token(token):
            raise ConfigurationError("token must be visible ASCII characters without spaces, and not empty")
        self.header: str | None = f"Bearer {token}"

    async def renew(self) -> str:
        """Give the one that there is."""
        return str(self.header)

    def refuse(self, header: str) -> bool:
        """Say that there is no other."""
        del header
        return False

    async def aclose(self) -> None:
        """Do nothing: nothing is under way."""


class RenewedToken:
    """A token that is fetched when it is needed, once for all who need it at the same time.

    It is renewed 60 s before it expires (half its life before, if that is shorter), by the monotonic clock; that a
    server refuses it earlier is learned from the 401.

    Args:
        fetch: Fetches a new token.
        clock: Tells the time.
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
        """The header's value while it is fresh."""
        if self._renew_at is not None and self._clock.monotonic() >= self._renew_at:
            return None
        return self._header

    async def renew(self) -> str:
        """Fetch a token, or wait for the fetch that is under way.

        The fetch is a task of its own, and shielded: a caller that is cancelled leaves it to the others.
        """
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._renew(), name="thredfi-async token")
            # When every caller has left, nobody retrieves the exception; the next caller fetches anew.
            self._renewal.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            return await asyncio.shield(self._renewal)
        except ThredfiError as error:
            # The one failure reaches every caller, and each writes its own call's effect and attempts on it.
            failure = copy(error)
        # Raised out here, so that each has its own traceback and no other caller's.
        raise failure

    def refuse(self, header: str) -> bool:
        """Drop the header, unless another has taken its place already."""
        if header == self._header:
            self._header = None
        return True

    async def aclose(self) -> None:
        """End a fetch that is under way."""
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
            # The provider's own affair: callers whom nobody cancelled must not see a cancellation.
            failure = ConnectError("no token: the token provider was cancelled")
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller has to hear what became of its call
            # Its place and not its words, which may quote the credentials; and so it is not even the cause.
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
    """Make a provider that asks the API's own token endpoint (OAuth2 client credentials; the contract's "Tokens").

    Args:
        credentials: The partner's.
        base_url: Where the API is.
        send: Sends a request.
        timeouts: Bounds of the fetch; `deadline` bounds it as a whole.

    Returns:
        The provider. It raises what the fetch ended in; none of it says anything about a customer.
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
    """A token request has no effect that anybody would ask for."""

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
