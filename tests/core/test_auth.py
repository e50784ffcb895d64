"""Authorization: one fetch for all concurrent callers, renewal in time, and no secret in any output."""

import asyncio
import base64
import contextlib
import json
import pickle
import re
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

import pytest
from clocks import FakeClock

from thredfi_async import (
    AccessToken,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ConnectError,
    ConnectionLostError,
    Effect,
    NotFoundError,
    PartnerCredentials,
    RateLimitedError,
    RequestTimeoutError,
    ResponseDecodeError,
    ServerError,
    ThredfiClient,
    ThredfiError,
    Timeouts,
)
from thredfi_async._engine import access_tokens
from thredfi_async._engine.access_tokens import RenewedToken, StaticToken, client_credentials
from thredfi_async._interfaces import Hidden, Progress, Request, Response, Secret

PARTNER = "3C90C3CC-0d44-4b50-8888-8dd25736052a"
SECRET = "hunter2-hunter2"
FORM = "must be visible ASCII characters without spaces, and not empty"
NO_TOKENS: dict[str, Any] = {
    "empty": "",
    "blank": " ",
    "inner space": "a b",
    "line end": "token\n",
    "injection": "a\r\nX-Evil: 1",
    "accent": "é",
    "long": "x" * 16_385,
    "none": None,
    "number": 5,
    "bytes": b"token",
    "mapping": {"access_token": "x"},
}


class Provider:
    """A token provider that waits until it is released, and then returns the next token."""

    def __init__(self, *gives: Any, held: bool = False) -> None:
        self.calls = 0
        self._gives = list(gives)
        self._gate = asyncio.Event()
        if not held:
            self._gate.set()

    def let_go(self) -> None:
        self._gate.set()

    async def __call__(self) -> Any:
        self.calls += 1
        await self._gate.wait()
        given = self._gives.pop(0) if self._gives else f"token-{self.calls}"
        if isinstance(given, BaseException):
            raise given
        return given


def at_hand(auth: StaticToken | RenewedToken) -> str | None:
    """Return the current header's text."""
    return None if auth.header is None else auth.header.reveal()


async def renewed(auth: StaticToken | RenewedToken) -> str:
    """Return the text of the header that `renew` gives."""
    return (await auth.renew()).reveal()


# -- credentials and tokens


@pytest.mark.parametrize("value", NO_TOKENS.values(), ids=NO_TOKENS)
def test_what_no_header_can_carry(value: Any) -> None:
    """Invalid tokens and keys are refused at once, and the message does not repeat them."""
    with pytest.raises(ConfigurationError) as raised:
        AccessToken(value)
    assert str(raised.value) == f"AccessToken.token {FORM}"
    with pytest.raises(ConfigurationError, match=f"^PartnerCredentials.api_key {FORM}$"):
        PartnerCredentials(PARTNER, value)
    with pytest.raises(ConfigurationError):
        ThredfiClient(value)


@pytest.mark.parametrize("value", ["", "x", "3c90c3cc", None, 5, b"x", ["x"], 1.5])
def test_what_is_no_partner(value: Any) -> None:
    """A partner must be a UUID."""
    with pytest.raises(ConfigurationError, match=r"^PartnerCredentials\.partner_uuid must be a UUID$"):
        PartnerCredentials(value, "key")


@pytest.mark.parametrize("value", [PARTNER, UUID(PARTNER), PARTNER.lower()])
def test_a_partner(value: UUID | str) -> None:
    """A partner may be given as a UUID or as text, and is stored in canonical form."""
    assert PartnerCredentials(value, "key").partner_uuid == PARTNER.lower()


def test_no_repr_shows_a_secret() -> None:
    """The reprs of credentials, tokens and their holders show neither key nor token."""
    token = AccessToken(SECRET, 60.0)
    static = StaticToken(Hidden(SECRET))
    for value in (token, PartnerCredentials(PARTNER, SECRET), static, static.header):
        assert SECRET not in repr(value) + str(value)
    assert repr(token) == "AccessToken(expires_in=60.0)"


def test_a_token_as_long_as_can_be() -> None:
    """Tokens of 16 KiB are accepted."""
    assert at_hand(StaticToken(Hidden("x" * 16_384))) == "Bearer " + "x" * 16_384


# -- a static token


async def test_a_static_token() -> None:
    """A static token is always available, and there is never another."""
    auth = StaticToken(Hidden("abc"))
    header = await auth.renew()
    assert (at_hand(auth), header.reveal(), auth.refuse(header)) == ("Bearer abc", "Bearer abc", False)
    assert at_hand(auth) == "Bearer abc"
    await auth.aclose()


# -- a renewed token


async def test_the_first_use_fetches(clock: FakeClock) -> None:
    """No token is fetched before the first use; then the header is available."""
    provider = Provider("abc")
    auth = RenewedToken(provider, clock)
    assert (at_hand(auth), provider.calls) == (None, 0)
    assert await renewed(auth) == "Bearer abc"
    assert (at_hand(auth), provider.calls) == ("Bearer abc", 1)


async def test_a_thousand_callers_make_one_fetch(clock: FakeClock) -> None:
    """A caller that needs a token while one is fetched waits for that fetch."""
    provider = Provider(held=True)
    auth = RenewedToken(provider, clock)
    callers = [asyncio.create_task(renewed(auth)) for _ in range(1000)]
    await asyncio.sleep(0)
    provider.let_go()
    assert set(await asyncio.gather(*callers)) == {"Bearer token-1"}
    assert provider.calls == 1


async def test_a_thousand_refusals_make_one_fetch(clock: FakeClock) -> None:
    """When a token is refused to all its users, they share one new token."""
    provider = Provider()
    auth = RenewedToken(provider, clock)
    old = await auth.renew()

    async def call(number: int) -> str:
        for _ in range(number % 7):
            await asyncio.sleep(0)
        assert auth.refuse(old)
        return at_hand(auth) or await renewed(auth)

    assert set(await asyncio.gather(*(call(number) for number in range(1000)))) == {"Bearer token-2"}
    assert provider.calls == 2


async def test_refusing_an_old_header_drops_nothing(clock: FakeClock) -> None:
    """A late 401 for an old token does not drop its replacement."""
    auth = RenewedToken(Provider(), clock)
    old = await auth.renew()
    assert auth.refuse(old)
    assert at_hand(auth) is None
    new = await auth.renew()
    assert auth.refuse(old)
    assert auth.header is new
    assert new.reveal() == "Bearer token-2"


async def test_a_cancelled_caller_leaves_the_fetch_to_the_others(clock: FakeClock) -> None:
    """If a caller is cancelled, even the first, the other callers still get the token."""
    provider = Provider("abc", held=True)
    auth = RenewedToken(provider, clock)
    callers = [asyncio.create_task(renewed(auth)) for _ in range(3)]
    await asyncio.sleep(0)
    callers[0].cancel()
    callers[2].cancel()
    await asyncio.sleep(0)
    provider.let_go()
    assert await callers[1] == "Bearer abc"
    assert (callers[0].cancelled(), callers[2].cancelled(), provider.calls) == (True, True, 1)


async def test_when_every_caller_is_gone(clock: FakeClock) -> None:
    """A token whose callers have all left is kept for the next caller."""
    provider = Provider("abc", held=True)
    auth = RenewedToken(provider, clock)
    caller = asyncio.create_task(auth.renew())
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait([caller])
    provider.let_go()
    assert await renewed(auth) == "Bearer abc"
    assert provider.calls == 1


async def test_a_failure_that_nobody_waits_for(clock: FakeClock) -> None:
    """A failed fetch without waiting callers logs nothing, and the next caller fetches again."""
    loop, complaints = asyncio.get_running_loop(), list[dict[str, Any]]()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    provider = Provider(ConnectError("down"), "abc", held=True)
    auth = RenewedToken(provider, clock)
    caller = asyncio.create_task(auth.renew())
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait([caller])
    provider.let_go()
    for _ in range(5):
        await asyncio.sleep(0)
    assert await renewed(auth) == "Bearer abc"
    assert (provider.calls, complaints) == (2, [])


async def test_a_failure_reaches_every_caller_as_its_own_error(clock: FakeClock) -> None:
    """A failed fetch raises a separate error for each caller, so that calls do not change each other's errors."""
    provider = Provider(ServerError("503", status=503, retry_after=5.0), "abc", held=True)
    auth = RenewedToken(provider, clock)
    callers = [asyncio.create_task(auth.renew()) for _ in range(100)]
    await asyncio.sleep(0)
    provider.let_go()
    errors = await asyncio.gather(*callers, return_exceptions=True)
    assert provider.calls == 1
    assert len({id(error) for error in errors}) == 100
    for number, error in enumerate(errors):
        assert isinstance(error, ServerError)
        assert (error.status, error.retry_after, error.attempts) == (503, 5.0, 0)
        error.attempts = number + 1
        error.add_note("mine")
        assert error.__notes__ == ["mine"]
    assert await renewed(auth) == "Bearer abc"


@pytest.mark.parametrize(
    ("life", "fresh", "stale"),
    [
        (3600.0, 3539.0, 3540.0),
        (121.0, 60.5, 61.0),
        (120.0, 59.5, 60.0),
        (100.0, 49.5, 50.0),
        (1.0, 0.25, 0.5),
    ],
)
async def test_a_token_is_renewed_in_time(clock: FakeClock, life: float, fresh: float, stale: float) -> None:
    """A token is renewed 60 s before it expires, or at half its lifetime if that is short."""
    auth = RenewedToken(Provider(AccessToken("abc", life)), clock)
    await auth.renew()
    began = clock.now
    clock.now = began + fresh
    assert at_hand(auth) == "Bearer abc"
    clock.now = began + stale
    assert at_hand(auth) is None
    assert await renewed(auth) == at_hand(auth) == "Bearer token-2"


async def test_life_counts_from_the_asking(clock: FakeClock) -> None:
    """A token's lifetime counts from the start of the fetch."""

    async def slow() -> AccessToken:
        await clock.sleep(100.0)
        return AccessToken("abc", 1000.0)

    auth = RenewedToken(slow, clock)
    await auth.renew()
    clock.now += 839.0
    assert at_hand(auth) == "Bearer abc"
    clock.now += 1.0
    assert at_hand(auth) is None


@pytest.mark.parametrize("given", ["abc", AccessToken("abc")])
async def test_a_token_without_a_lifetime(clock: FakeClock, given: Any) -> None:
    """A token without a lifetime is kept until it is refused, even if the previous one had a lifetime."""
    auth = RenewedToken(Provider(AccessToken("old", 100.0), given), clock)
    await auth.renew()
    clock.now += 100.0
    assert await renewed(auth) == "Bearer abc"
    clock.now += 1e9
    assert at_hand(auth) == "Bearer abc"
    assert auth.header is not None
    assert auth.refuse(auth.header)
    assert at_hand(auth) is None


@pytest.mark.parametrize("rubbish", NO_TOKENS.values(), ids=NO_TOKENS)
async def test_a_provider_that_gives_rubbish(clock: FakeClock, rubbish: Any) -> None:
    """An invalid token is the settings' fault: the error names its kind, and the next caller fetches again."""
    auth = RenewedToken(Provider(rubbish, "abc"), clock)
    kind = type(rubbish).__name__
    with pytest.raises(ConfigurationError) as raised:
        await auth.renew()
    what = "that is no visible ASCII without spaces, or empty, or longer than 16,384 characters"
    assert str(raised.value) == f"token_provider returned a token {what if kind == 'str' else f'of type {kind}'}"
    assert (raised.value.effect, raised.value.is_token_error, raised.value.transient) == (
        Effect.NOT_APPLIED,
        True,
        False,
    )
    assert at_hand(auth) is None
    assert await renewed(auth) == "Bearer abc"


@pytest.mark.parametrize(
    "foreign",
    [ValueError(SECRET), KeyError(SECRET), OSError(5, SECRET), TimeoutError(), ExceptionGroup("x", [ValueError()])],
)
async def test_a_provider_that_fails_its_own_way(clock: FakeClock, foreign: Exception) -> None:
    """A foreign exception becomes our error with its type and location, but without its message."""
    auth = RenewedToken(Provider(foreign, "abc"), clock)
    with pytest.raises(ConnectError) as raised:
        await auth.renew()
    place = r"\(.*test_auth\.py, line \d+\)"
    assert re.fullmatch(f"no token: the token provider raised {type(foreign).__name__} {place}", str(raised.value))
    assert raised.value.effect is Effect.NOT_APPLIED
    assert SECRET not in repr(raised.value)
    assert (raised.value.__cause__, raised.value.__context__) == (None, None)
    assert await renewed(auth) == "Bearer abc"


async def test_a_provider_that_is_no_coroutine_function(clock: FakeClock) -> None:
    """A plain function's result cannot be awaited; one sentence says so, and a retry would not help."""
    plain: Any = lambda: SECRET  # noqa: E731 - the mistake itself
    sentence = "^token_provider must be an async function; what it was given returns str$"
    with pytest.raises(ConfigurationError, match=sentence) as raised:
        await RenewedToken(plain, clock).renew()
    assert (raised.value.is_token_error, raised.value.transient) == (True, False)
    assert SECRET not in "".join(traceback.format_exception(raised.value))


async def test_a_plain_function_that_returns_an_awaitable_is_a_provider(clock: FakeClock) -> None:
    """What counts is that the result can be awaited."""
    given: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    given.set_result("abc")
    assert await renewed(RenewedToken(lambda: given, clock)) == "Bearer abc"


async def test_a_provider_that_hangs_costs_only_the_calls_that_waited(clock: FakeClock) -> None:
    """A renewal has its own bound, after which its callers get an error, and the next caller starts a new one."""
    provider = Provider("late", "abc", held=True)
    auth = RenewedToken(provider, clock, within=0.01)
    errors = await asyncio.gather(*(auth.renew() for _ in range(3)), return_exceptions=True)
    assert [(type(error), str(error)) for error in errors] == [(RequestTimeoutError, "no token came within 0.01 s")] * 3
    assert all(isinstance(error, ThredfiError) and error.is_token_error and error.transient for error in errors)
    assert provider.calls == 1
    provider.let_go()
    assert await renewed(auth) == "Bearer late"
    assert provider.calls == 2


async def test_a_provider_that_is_cancelled_cancels_nobody(clock: FakeClock) -> None:
    """If the provider is cancelled, its callers get an error, not a cancellation, and the next one fetches again."""
    provider = Provider(asyncio.CancelledError(), "abc", held=True)
    auth = RenewedToken(provider, clock)
    callers = [asyncio.create_task(auth.renew()) for _ in range(3)]
    await asyncio.sleep(0)
    provider.let_go()
    errors = await asyncio.gather(*callers, return_exceptions=True)
    assert [(type(error), str(error)) for error in errors] == [
        (ConnectError, "no token: the token provider was cancelled")
    ] * 3
    assert await renewed(auth) == "Bearer abc"


async def test_closing_ends_a_fetch(clock: FakeClock) -> None:
    """Closing cancels a fetch in flight and waits for it."""
    ended: list[bool] = []

    async def hangs() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)
        return "never"

    auth = RenewedToken(hangs, clock)
    caller = asyncio.create_task(auth.renew())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    caller.cancel()
    await auth.aclose()
    assert ended == [True]
    await asyncio.wait([caller])


def test_the_end_of_the_program_during_a_fetch(caplog: pytest.LogCaptureFixture, clock: FakeClock) -> None:
    """When `asyncio.run` cancels the remaining tasks, the fetch is cancelled too, without a warning."""

    async def main() -> asyncio.Task[Secret]:
        auth = RenewedToken(Provider(held=True), clock)
        caller = asyncio.create_task(auth.renew())
        await asyncio.sleep(0.001)
        return caller

    assert asyncio.run(main()).cancelled()
    assert caplog.records == []


async def test_closing_when_nothing_is_under_way(clock: FakeClock) -> None:
    """Before, after and without a fetch, closing does nothing, and can be repeated."""
    auth = RenewedToken(Provider(), clock)
    await auth.aclose()
    await auth.renew()
    await auth.aclose()
    await auth.aclose()
    assert at_hand(auth) == "Bearer token-1"


# -- partner credentials

Sent = tuple[Request[Any], Secret, Timeouts, Progress]


def endpoint(
    answer: Response | BaseException | Callable[[], Awaitable[Response]], timeouts: Timeouts | None = None
) -> tuple[Callable[[], Awaitable[str | AccessToken]], list[Sent]]:
    """Return a provider that uses this endpoint, and the requests that it sent."""
    sent: list[Sent] = []

    async def send(request: Request[Any], authorization: Secret, timeouts: Timeouts, progress: Progress) -> Response:
        sent.append((request, authorization, timeouts, progress))
        # A real transport reports sending through `progress` too.
        progress.sent = True
        match answer:
            case Response():
                return answer
            case BaseException():
                raise answer
            case _:
                return await answer()

    credentials = PartnerCredentials(PARTNER, SECRET)
    return client_credentials(credentials, "https://api.example/base", send, timeouts or Timeouts(), Hidden({})), sent


def json_answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer with this JSON."""
    return Response(status, headers or {}, json.dumps(value).encode())


async def test_the_token_request() -> None:
    """The token request follows the contract: a form under HTTP Basic, at the path under the base URL."""
    timeouts = Timeouts(read=5.0)
    fetch, sent = endpoint(json_answer({"access_token": "abc", "token_type": "Bearer", "expires_in": 3600}), timeouts)
    assert await fetch() == AccessToken("abc", 3600)
    ((request, authorization, given, _),) = sent
    assert (request.method, request.url) == ("POST", "https://api.example/base/v1/platform/oauth2/token/")
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.body == b"grant_type=client_credentials"
    assert not request.mutates
    scheme, _, pair = authorization.reveal().partition(" ")
    assert (scheme, base64.b64decode(pair).decode()) == ("Basic", f"{PARTNER.lower()}:{SECRET}")
    assert given == timeouts
    assert SECRET not in repr((request, authorization))


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BEARER"])
async def test_the_kind_of_token_is_read_as_oauth_says(kind: str) -> None:
    """The token type ignores case, and the lifetime may be missing or null."""
    answer = {"access_token": "abc", "token_type": kind}
    for more in ({}, {"expires_in": None}):
        fetch, _ = endpoint(json_answer({**answer, **more}, status=201))
        assert await fetch() == AccessToken("abc")


GOOD: dict[str, Any] = {"access_token": SECRET, "token_type": "Bearer", "expires_in": 3600}
ODD_ANSWERS: dict[str, bytes] = {
    "nothing": b"",
    "html": b"<html>hunter2-hunter2</html>",
    "cut": json.dumps(GOOD).encode()[:-1],
    "not utf-8": b'{"access_token": "\xff"}',
    "deep": b"[" * 100_000,
    "digits": b'{"expires_in": ' + b"9" * 5000 + b"}",
    **{
        f"json {position}": json.dumps(value).encode()
        for position, value in enumerate(
            [
                None,
                [],
                "hunter2-hunter2",
                5,
                True,
                {},
                [GOOD],
                {"access_token": SECRET},
                {"token_type": "Bearer"},
                {**GOOD, "token_type": None},
                {**GOOD, "token_type": 5},
                {**GOOD, "token_type": "mac"},
                {**GOOD, "access_token": None},
                {**GOOD, "access_token": ""},
                {**GOOD, "access_token": f"{SECRET} "},
                {**GOOD, "access_token": f"{SECRET}\r\n"},
                {**GOOD, "access_token": [SECRET]},
                {**GOOD, "access_token": 5},
            ]
        )
    },
}


@pytest.mark.parametrize("body", ODD_ANSWERS.values(), ids=ODD_ANSWERS)
async def test_answers_without_a_token(body: bytes) -> None:
    """A success without a usable token raises one kind of error, which shows no token."""
    fetch, _ = endpoint(Response(200, {"X-Request-Id": "req-1"}, body))
    with pytest.raises(ResponseDecodeError) as raised:
        await fetch()
    assert str(raised.value) == "the token endpoint's answer has no bearer token"
    assert (raised.value.request_id, raised.value.effect) == ("req-1", Effect.NOT_APPLIED)
    assert SECRET not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(
    "life",
    [
        0,
        0.0,
        -1,
        True,
        [3600],
        {},
        float("nan"),
        float("inf"),
        10**400,
        "",
        "0",
        "-1",
        "1e9",
        "3_600",
        " 3600",
        "3600\n",
        "nan",
        "\u0663",
        "9" * 13,
        "soon",
    ],
    ids=lambda value: repr(value)[:20],
)
async def test_lifetimes_that_are_none(life: object) -> None:
    """A lifetime that is no positive number of seconds is named, and passes: nothing is wrong with the credentials."""
    fetch, _ = endpoint(Response(200, {"X-Request-Id": "req-1"}, json.dumps({**GOOD, "expires_in": life}).encode()))
    with pytest.raises(ResponseDecodeError) as raised:
        await fetch()
    sentence = "the token endpoint's answer has an expires_in that is no positive number of seconds"
    assert str(raised.value) == sentence
    assert (raised.value.request_id, raised.value.effect, raised.value.transient) == ("req-1", Effect.NOT_APPLIED, True)
    assert SECRET not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(("life", "seconds"), [("3600", 3600.0), ("1.5", 1.5), ("007", 7.0)])
async def test_lifetimes_that_are_text(life: str, seconds: float) -> None:
    """Some servers write the lifetime as text; it is read all the same."""
    fetch, _ = endpoint(json_answer({**GOOD, "expires_in": life}))
    assert await fetch() == AccessToken(SECRET, seconds)


@pytest.mark.parametrize(
    ("status", "kind", "transient"),
    [
        (400, BadRequestError, False),
        (401, AuthenticationError, False),
        (429, RateLimitedError, True),
        (503, ServerError, True),
    ],
)
async def test_answers_that_refuse(status: int, kind: type[ThredfiError], transient: bool) -> None:
    """A refusal raises the error of its status, with its wait, and says nothing about a customer."""
    body = {"error": "no", "error_code": "invalid_client", "details": {"grant_type": ["x"]}}
    fetch, _ = endpoint(json_answer(body, status, {"Retry-After": "5"}))
    with pytest.raises(kind, match=f"^{status}, invalid_client, wrong fields: grant_type") as raised:
        await fetch()
    assert (raised.value.effect, raised.value.transient) == (Effect.NOT_APPLIED, transient)
    assert getattr(raised.value, "retry_after", None) == 5.0


@pytest.mark.parametrize(
    "failure",
    [ConnectError("refused"), ConnectionLostError("lost"), RequestTimeoutError("late", phase="read")],
    ids=lambda error: type(error).__name__,
)
async def test_failures_on_the_way(failure: ThredfiError) -> None:
    """A transport error is passed on unchanged, including a timeout's phase."""
    fetch, _ = endpoint(failure)
    with pytest.raises(type(failure)) as raised:
        await fetch()
    assert raised.value is failure


async def test_the_fetch_has_a_deadline() -> None:
    """A fetch from an endpoint that hangs ends at the deadline."""
    hangs = asyncio.Event()

    async def hang() -> Response:
        await hangs.wait()
        return json_answer(GOOD)

    fetch, _ = endpoint(hang, Timeouts(deadline=0.01))
    with pytest.raises(RequestTimeoutError, match=r"^no token came before the deadline$") as raised:
        await fetch()
    assert raised.value.phase == "deadline"


async def test_no_deadline_is_none() -> None:
    """Without a deadline, the fetch is not bounded."""
    fetch, _ = endpoint(json_answer(GOOD), Timeouts(deadline=None))
    assert await fetch() == AccessToken(SECRET, 3600)


async def test_credentials_through_a_renewed_token(clock: FakeClock) -> None:
    """The endpoint's token becomes the header, and its lifetime is kept."""
    fetch, sent = endpoint(json_answer({**GOOD, "access_token": "abc"}))
    auth = RenewedToken(fetch, clock)
    assert await renewed(auth) == "Bearer abc"
    clock.now += 3539.0
    assert at_hand(auth) == "Bearer abc"
    clock.now += 1.0
    assert (at_hand(auth), await renewed(auth), len(sent)) == (None, "Bearer abc", 2)


@pytest.mark.parametrize(
    "failure", [NotFoundError("404", status=404), RuntimeError("mine")], ids=["refusal", "provider"]
)
async def test_a_failure_says_that_it_is_about_the_token(failure: Exception, clock: FakeClock) -> None:
    """A 404 of the token endpoint is marked as a token error, so that it is not taken for one about a customer."""

    async def fetch() -> str:
        raise failure

    with pytest.raises(ThredfiError) as raised:
        await RenewedToken(fetch, clock).renew()
    assert raised.value.is_token_error
    assert not NotFoundError("404", status=404).is_token_error
    assert pickle.loads(pickle.dumps(raised.value)).is_token_error  # noqa: S301 - our own


async def test_a_provider_that_cancels_its_own_task(clock: FakeClock) -> None:
    """Callers whom no one cancelled get an error of the token, and the next one fetches again."""
    asked = 0

    async def provider() -> str:
        nonlocal asked
        asked += 1
        task = asyncio.current_task()
        if asked == 1 and task is not None:
            task.cancel()
            await asyncio.sleep(0)
        return "abc"

    auth = RenewedToken(provider, clock)
    ends = await asyncio.gather(auth.renew(), auth.renew(), return_exceptions=True)
    assert {str(end) for end in ends} == {"no token: the token provider was cancelled"}
    assert all(isinstance(end, ConnectError) and end.is_token_error for end in ends)
    assert await renewed(auth) == "Bearer abc"


async def test_a_provider_that_does_not_heed_the_end(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing waits for a cancelled fetch only so long."""
    monkeypatch.setattr(access_tokens, "_LAST_WORDS", 0.01)
    gate = asyncio.Event()

    async def provider() -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await gate.wait()
        await gate.wait()
        return "abc"

    auth = RenewedToken(provider, clock)
    caller = asyncio.create_task(auth.renew())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await auth.aclose()
    assert not caller.done()
    gate.set()
    assert (await caller).reveal() == "Bearer abc"
