"""The steps of one call: turns, tokens, attempts, waits, and settling at the end."""

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import attrs
import pytest
from faultserver import Answer, Cut, FaultServer, Healthy, Step, bodies, faults
from faultserver import Request as FaultRequest
from helpers import (
    BUSINESS,
    CUSTOMER,
    GET,
    HANGS,
    ONCE,
    OTHER,
    PATH,
    POST,
    STEADY,
    TOKEN,
    Recorder,
    SlowClock,
    body,
    client_of,
    failure,
    leaving_nothing,
    notes,
    ring,
    slots_in_use,
    until,
)
from loops import loop_name

from thredfi_async import (
    AccessToken,
    APIError,
    Attempt,
    AuthenticationError,
    BadRequestError,
    CallEnded,
    ClientStateError,
    ConflictError,
    ConnectError,
    ConnectionLostError,
    Customer,
    Effect,
    Event,
    InternalError,
    InvalidRequestError,
    NotFoundError,
    PartnerCredentials,
    PermissionDeniedError,
    RateLimitedError,
    RawResponse,
    RequestInfo,
    RequestTimeoutError,
    ResponseDecodeError,
    RetryBudget,
    RetryPolicy,
    RetryScheduled,
    ServerError,
    ThredfiClient,
    ThredfiError,
    Timeouts,
)
from thredfi_async._engine.access_tokens import StaticToken
from thredfi_async._engine.availability import MANY, Availability
from thredfi_async._engine.call_options import CallOptions
from thredfi_async._engine.lifecycle import Lifecycle
from thredfi_async._engine.limiter import Limiter
from thredfi_async._engine.pipeline import Pipeline
from thredfi_async._interfaces import (
    Failure,
    Hidden,
    Progress,
    Request,
    Response,
    Secret,
    Send,
    Success,
    SystemClock,
    Unchanged,
    Verdict,
)

if TYPE_CHECKING:
    from clocks import FakeClock

T = TypeVar("T")

LOST = Cut("request", "rst")
LOST_APPLIED = Cut("request", "rst", applied=True)
CREDENTIALS = PartnerCredentials("3c90c3cc-0d44-4b50-8888-8dd25736052a", "secret-key")


def problem(status: int, code: str = "server_error", **headers: str) -> Answer:
    """Return an API error; underscores in header names become hyphens."""
    return faults.problem(status, code, {name.replace("_", "-"): value for name, value in headers.items()})


def applied(request: FaultRequest) -> dict[str, Any]:
    """Return an answer that shows success but cannot be read completely."""
    return {**bodies.archived(request), "notes": 5}


def archived_by_status(request: FaultRequest) -> dict[str, Any]:
    """Return a record whose flag lags behind its status."""
    return {**bodies.active(request), "status": "ARCHIVED"}


async def archive(client: ThredfiClient, **options: Any) -> RawResponse[Customer]:
    """Archive the customer."""
    return await client.customers.with_raw_response.archive(BUSINESS, CUSTOMER, body(), **options)


class Tokens:
    """A token provider that counts its tokens."""

    def __init__(self, *, lifetime: float | None = None) -> None:
        self.given = 0
        self._lifetime = lifetime

    async def __call__(self) -> AccessToken:
        self.given += 1
        await asyncio.sleep(0)
        return AccessToken(f"token-{self.given}", self._lifetime)


# Attempts


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_statuses_that_pass(status: int, clock: "FakeClock") -> None:
    """After each of these statuses, the same request is sent again."""
    async with FaultServer([problem(status), Healthy()]) as server, client_of(server.url, clock=clock) as client:
        done = await archive(client)
    assert (done.attempts, len(clock.sleeps), done.already_archived) == (2, 1, False)


@pytest.mark.parametrize(
    ("status", "effect"),
    [
        *((status, Effect.NOT_APPLIED) for status in (401, 403, 404, 405, 410, 413, 418, 422, 451, 499)),
        *((status, Effect.UNKNOWN) for status in (300, 399, 400, 409, 501, 505, 507, 511, 520, 599, 999)),
    ],
)
async def test_statuses_that_stay(status: int, effect: Effect, clock: "FakeClock") -> None:
    """Any other refusal ends the call at once, with the effect of its status."""
    async with FaultServer([problem(status)]) as server, client_of(server.url, clock=clock) as client:
        with pytest.raises(APIError) as caught:
            await archive(client, settle=False)
    error = caught.value
    assert (error.status, error.effect, error.attempts, error.transient) == (status, effect, 1, False)


@pytest.mark.parametrize(
    ("status", "effect"),
    [
        *((status, Effect.UNKNOWN) for status in (400, 401, 403, 404, 405, 406, 409, 410, 422, 451)),
        *((status, Effect.NOT_APPLIED) for status in (407, 411, 413, 414, 417, 421, 426, 428, 429, 431)),
    ],
)
@pytest.mark.parametrize("form", [faults.html, faults.detail], ids=["page", "framework"])
async def test_refusals_outside_the_envelope(status: int, effect: Effect, form: Callable[[int], Answer]) -> None:
    """A refusal that is not the API's own says nothing about the customer, unless its status does in any form."""
    async with FaultServer([form(status)]) as server, client_of(server.url, retry=ONCE) as client:
        with pytest.raises(APIError) as caught:
            await archive(client, settle=False)
    assert (caught.value.status, caught.value.effect, caught.value.attempts) == (status, effect, 1)


@pytest.mark.parametrize(
    ("script", "kind", "effect"),
    [
        ([problem(404)], NotFoundError, Effect.NOT_APPLIED),
        ([LOST, problem(404)], NotFoundError, Effect.UNKNOWN),
        ([problem(503), problem(404)], NotFoundError, Effect.UNKNOWN),
        ([problem(408), problem(403)], APIError, Effect.UNKNOWN),
        ([problem(429), problem(404)], NotFoundError, Effect.NOT_APPLIED),
        ([problem(429)] * 4, RateLimitedError, Effect.NOT_APPLIED),
        ([problem(503), *[problem(429)] * 3], RateLimitedError, Effect.UNKNOWN),
        ([LOST] * 4, ConnectionLostError, Effect.UNKNOWN),
        ([LOST, problem(400, "validation_error")], BadRequestError, Effect.UNKNOWN),
        ([faults.html()], ResponseDecodeError, Effect.UNKNOWN),
        ([LOST, Answer.json(200, applied)], ResponseDecodeError, Effect.APPLIED),
        ([problem(503), faults.redirect(301, "/")], APIError, Effect.UNKNOWN),
    ],
)
async def test_the_effect_is_the_highest_over_the_attempts(
    script: list[Step], kind: type[ThredfiError], effect: Effect, clock: "FakeClock"
) -> None:
    """A later certain answer does not remove an earlier doubt."""
    hook = Recorder()
    async with FaultServer(script) as server, client_of(server.url, clock=clock, hooks=[hook]) as client:
        with pytest.raises(kind) as caught:
            await archive(client, settle=False)
        assert len(server.requests) == len(script)
    assert (caught.value.effect, caught.value.attempts) == (effect, len(script))
    assert (hook.ended.effect, hook.ended.attempts) == (effect, len(script))
    assert max(attempt.effect for attempt in hook.attempts) == effect


async def test_unsent_attempts_leave_no_doubt(clock: "FakeClock") -> None:
    """However often connecting fails, nothing was sent."""
    async with FaultServer(listening=False) as server, client_of(server.url, clock=clock) as client:
        error = await failure(archive(client), ConnectError)
    assert (error.effect, error.attempts) == (Effect.NOT_APPLIED, 4)


@pytest.mark.parametrize("attempts", [1, 2, 7])
async def test_no_more_attempts_than_allowed(attempts: int, clock: "FakeClock") -> None:
    """`max_attempts` includes the first attempt."""
    policy = RetryPolicy(max_attempts=attempts, backoff_initial=0.01)
    async with FaultServer([problem(503)], repeat_last=True) as server, client_of(server.url, clock=clock) as client:
        error = await failure(archive(client, settle=False, retry=policy), ServerError)
        assert len(server.requests) == attempts
    assert error.attempts == attempts


@pytest.mark.parametrize(("status", "waits"), [(503, [0.5, 1.0, 2.0, 3.0]), (429, [1.0, 2.0, 3.0, 3.0])])
async def test_waits_double_up_to_a_bound(status: int, waits: list[float], clock: "FakeClock") -> None:
    """Waits double up to a bound, and throttled calls start higher."""
    policy = RetryPolicy(max_attempts=5, backoff_max=3.0, jitter=lambda: 1.0)
    async with (
        FaultServer([problem(status)], repeat_last=True) as server,
        client_of(server.url, clock=clock, retry=policy) as client,
    ):
        await failure(archive(client, settle=False), ServerError if status == 503 else RateLimitedError)
    assert clock.sleeps == waits


# Keys and bytes


@pytest.mark.parametrize("own", [None, "my-key"])
async def test_one_key_and_one_body_over_all_attempts(own: str | None, clock: "FakeClock") -> None:
    """Retries and the replay after a 401 are byte-identical; only the token may differ."""
    script: list[Step] = [LOST, problem(503), problem(401), Healthy()]
    async with FaultServer(script) as server, client_of(server.url, clock=clock, token_provider=Tokens()) as client:
        done = await archive(client, idempotency_key=own)
        sent = [
            (request.target, request.body, [pair for pair in request.headers if pair[0] != "Authorization"])
            for request in server.requests
        ]
        tokens = [request.header("Authorization") for request in server.requests]
    assert len(sent) == 4
    assert all(each == sent[0] for each in sent)
    assert tokens == ["Bearer token-1"] * 3 + ["Bearer token-2"]
    (key,) = {request.header("Idempotency-Key") for request in server.requests}
    assert key == done.idempotency_key
    assert key is not None
    assert key == own or (own is None and str(UUID(key)) == key)


async def test_every_call_has_a_key_of_its_own(clock: "FakeClock") -> None:
    """Two calls about the same customer have different keys."""
    async with FaultServer([Healthy(), Healthy()]) as server, client_of(server.url, clock=clock) as client:
        keys = {(await archive(client)).idempotency_key for _ in range(2)}
    assert len(keys) == 2


async def test_the_error_knows_the_key(clock: "FakeClock") -> None:
    """The error has the key, so that a caller can continue by hand."""
    async with (
        FaultServer([problem(404, X_Request_Id="req-7")]) as server,
        client_of(server.url, clock=clock) as client,
    ):
        error = await failure(archive(client, idempotency_key="my-key"), NotFoundError)
    assert (error.idempotency_key, error.request_id) == ("my-key", "req-7")


# Retry-After


@pytest.mark.parametrize(
    ("headers", "waits"),
    [
        ({"Retry_After": "7"}, [7.0]),
        ({"retry_after_ms": "7500"}, [7.5]),
        ({"Retry_After": "Wed, 21 Oct 2015 07:28:09 GMT", "Date": "Wed, 21 Oct 2015 07:28:00 GMT"}, [9.0]),
        ({"Retry_After": "0"}, [0.5]),
        ({"Retry_After": "soon"}, [0.5]),
    ],
)
async def test_retry_after_is_respected(headers: dict[str, str], waits: list[float], clock: "FakeClock") -> None:
    """All three forms of Retry-After are respected, and the wait is never shorter than the backoff."""
    script: list[Step] = [problem(503, **headers), Healthy()]
    async with FaultServer(script) as server, client_of(server.url, clock=clock) as client:
        assert (await archive(client)).attempts == 2
    assert clock.sleeps == waits


@pytest.mark.parametrize("status", [429, 503])
async def test_a_retry_after_that_is_too_long(status: int, clock: "FakeClock") -> None:
    """A Retry-After over `max_retry_after` ends the call at once, unsettled, with the numbers on the error."""
    policy, timeouts = RetryPolicy(max_retry_after=10.0), Timeouts(deadline=None)
    async with (
        FaultServer([problem(status, Retry_After="11")]) as server,
        client_of(server.url, clock=clock, retry=policy, timeouts=timeouts) as client,
    ):
        error = await failure(archive(client), ServerError if status == 503 else RateLimitedError)
    assert isinstance(error, APIError)
    assert (error.retry_after, error.attempts, clock.sleeps) == (11.0, 1, [])
    assert "not tried again: the server asked to wait 11 s, and max_retry_after is 10 s" in notes(error)
    assert ("the outcome was not checked: the server asked to wait 11 s" in notes(error)) is (status == 503)


async def test_a_retry_after_just_short_enough(clock: "FakeClock") -> None:
    """A Retry-After equal to `max_retry_after` is waited for."""
    policy, timeouts = RetryPolicy(max_retry_after=10.0), Timeouts(deadline=None)
    async with (
        FaultServer([problem(429, Retry_After="10"), Healthy()]) as server,
        client_of(server.url, clock=clock, retry=policy, timeouts=timeouts) as client,
    ):
        await archive(client)
    assert clock.sleeps == [10.0]


async def test_a_wait_past_the_deadline(clock: "FakeClock") -> None:
    """A wait beyond the deadline does not begin: the call ends at once, with the numbers on the error."""
    async with FaultServer([problem(429, Retry_After="30")]) as server, client_of(server.url, clock=clock) as client:
        error = await failure(archive(client), RateLimitedError)
    assert (error.retry_after, error.attempts, clock.sleeps) == (30.0, 1, [])
    assert "the next wait of 30 s would pass the deadline, with 15 s left" in notes(error)


# Turns


async def test_no_slot_is_held_while_sleeping() -> None:
    """One connection is enough for a call that waits and one that runs."""
    clock = SlowClock()
    async with (
        FaultServer([problem(503), Healthy(), Healthy()]) as server,
        client_of(server.url, clock=clock, max_connections=1) as client,
    ):
        waiting = asyncio.create_task(asyncio.wait_for(archive(client), 5))
        await clock.asleep.wait()
        assert slots_in_use(client) == 0
        assert (await archive(client)).attempts == 1
        clock.wake.set()
        assert (await waiting).attempts == 2
        assert slots_in_use(client) == 0


async def test_calls_have_their_turn_in_order() -> None:
    """First come, first served, and never more calls than slots."""
    async with (
        FaultServer([Healthy()], repeat_last=True) as server,
        client_of(server.url, max_connections=2) as client,
    ):
        keys = [f"key-{number}" for number in range(10)]
        await asyncio.gather(*(archive(client, idempotency_key=key) for key in keys))
        assert server.connections == 2
        arrived = [request.header("Idempotency-Key") for request in server.requests]
    assert all(abs(arrived.index(key) - number) <= 1 for number, key in enumerate(keys))


async def test_a_waiting_call_is_not_encoded() -> None:
    """A body is encoded when its call has its turn; an invalid one is refused then, and nothing is sent."""
    async with FaultServer([Healthy()]) as server, client_of(server.url, max_connections=1) as client:
        assert client._limiter.acquire_nowait()
        fields = body()
        call = asyncio.create_task(client.customers.archive(BUSINESS, CUSTOMER, fields))
        await until(lambda: client._limiter.waiting > 0)
        fields["email"] = "no address"
        client._limiter.release()
        error = await failure(call, InvalidRequestError)
        assert not server.requests
        assert (error.effect, error.attempts, slots_in_use(client)) == (Effect.NOT_APPLIED, 0, 0)


async def test_the_queue_is_bounded() -> None:
    """A call that never has its turn was certainly not sent."""
    hook = Recorder()
    timeouts = Timeouts(queue=0.02)
    async with client_of("http://127.0.0.1:9", max_connections=1, timeouts=timeouts, hooks=[hook]) as client:
        assert client._limiter.acquire_nowait()
        error = await failure(archive(client), RequestTimeoutError)
        client._limiter.release()
    assert (error.phase, error.effect, error.attempts) == ("queue", Effect.NOT_APPLIED, 0)
    assert "Timeouts.queue" in str(error)
    # uvloop's timers count whole milliseconds; asyncio's are exact.
    early = 0.001 if loop_name() == "uvloop" else 0.0
    assert hook.ended.queued >= 0.02 - early


async def test_the_queue_counts_every_wait() -> None:
    """A retry without queue time left ends the call, whose effect stays UNKNOWN."""
    clock = SlowClock()
    timeouts = Timeouts(queue=0.02)
    async with (
        FaultServer([LOST]) as server,
        client_of(server.url, clock=clock, max_connections=1, timeouts=timeouts) as client,
    ):
        call = asyncio.create_task(failure(archive(client), RequestTimeoutError))
        await clock.asleep.wait()
        assert client._limiter.acquire_nowait()
        clock.wake.set()
        error = await call
        client._limiter.release()
    assert (error.phase, error.effect, error.attempts) == ("queue", Effect.UNKNOWN, 1)
    assert "checking the outcome failed with RequestTimeoutError" in notes(error)


# The deadline


async def test_the_deadline_cuts_an_attempt() -> None:
    """A request that was cut off while being sent may be applied: UNKNOWN."""
    async with FaultServer([Healthy(), HANGS]) as server, client_of(server.url) as client:
        await archive(client)
        call = archive(client, settle=False, timeouts=Timeouts(deadline=0.1))
        error = await failure(call, RequestTimeoutError)
        assert slots_in_use(client) == 0
    assert (error.phase, error.effect, error.attempts) == ("deadline", Effect.UNKNOWN, 1)
    assert str(error) == "the call did not end within 0.1 s (Timeouts.deadline)"
    assert error.__context__ is None


async def test_what_the_deadline_cut_is_settled() -> None:
    """Some of the deadline is reserved for settling, which finds the customer archived."""
    async with FaultServer(routes={POST: [HANGS], GET: [Healthy()]}) as server, client_of(server.url) as client:
        call = asyncio.create_task(archive(client))
        await server.until(lambda: server.applied == 1)
        ring(client)
        done = await call
    assert (done.attempts, done.already_archived, done.parsed.is_archived) == (2, False, True)


async def test_the_deadline_cuts_the_question() -> None:
    """If the settling request is not answered in time, the first error is raised."""
    async with FaultServer(routes={POST: [problem(501)], GET: [HANGS]}) as server, client_of(server.url) as client:
        call = asyncio.create_task(failure(archive(client), ServerError))
        await server.until(lambda: len(server.requests) == 2)
        ring(client)
        error = await call
    assert (error.effect, error.attempts) == (Effect.UNKNOWN, 2)
    assert "checking the outcome failed with RequestTimeoutError" in notes(error)


async def test_the_deadline_cuts_a_token_fetch() -> None:
    """If a provider hangs, the deadline ends the call, and nothing was sent."""
    cancelled = asyncio.Event()

    async def hang() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return ""

    async with leaving_nothing():
        async with client_of("http://127.0.0.1:9", token_provider=hang, timeouts=Timeouts(deadline=0.05)) as client:
            error = await failure(archive(client), RequestTimeoutError)
            assert not cancelled.is_set()
        assert cancelled.is_set()
    assert (error.phase, error.effect, error.attempts) == ("deadline", Effect.NOT_APPLIED, 0)


async def test_the_deadline_cuts_a_sleep() -> None:
    """A sleep that takes too long is cut off by the deadline."""
    clock = SlowClock()
    async with FaultServer([problem(503)]) as server, client_of(server.url, clock=clock) as client:
        call = asyncio.create_task(failure(archive(client, settle=False), RequestTimeoutError))
        await clock.asleep.wait()
        ring(client)
        error = await call
    assert (error.phase, error.effect, error.attempts) == ("deadline", Effect.UNKNOWN, 1)


async def test_the_deadline_pauses_while_the_call_queues() -> None:
    """A retry that waits for its turn longer than the deadline is not cut off."""
    clock = SlowClock()
    async with (
        FaultServer([problem(429), Healthy()]) as server,
        client_of(server.url, clock=clock, max_connections=1) as client,
    ):
        call = asyncio.create_task(archive(client))
        await clock.asleep.wait()
        assert client._limiter.acquire_nowait()
        clock.wake.set()
        await until(lambda: client._limiter.waiting > 0)
        clock.now += 1000.0
        client._limiter.release()
        assert (await call).attempts == 2


async def test_waiting_for_the_first_turn_spends_no_deadline(clock: "FakeClock") -> None:
    """The deadline starts with the first turn."""
    async with (
        FaultServer([Healthy()]) as server,
        client_of(server.url, clock=clock, max_connections=1) as client,
    ):
        assert client._limiter.acquire_nowait()
        call = asyncio.create_task(archive(client))
        await until(lambda: client._limiter.waiting > 0)
        clock.now += 1000.0
        client._limiter.release()
        assert (await call).parsed.is_archived


async def test_no_deadline() -> None:
    """None means no deadline."""
    async with (
        FaultServer([LOST, Healthy()]) as server,
        client_of(server.url, timeouts=Timeouts(deadline=None), retry=RetryPolicy(backoff_initial=0.001)) as c,
    ):
        assert (await archive(c)).attempts == 2


# Tokens


async def test_a_refused_token_is_replaced_once(clock: "FakeClock") -> None:
    """A 401 leads to one fresh token and one replay, without a wait."""
    tokens = Tokens()
    async with FaultServer([problem(401), Healthy()]) as server:
        async with client_of(server.url, token_provider=tokens, clock=clock) as client:
            assert (await archive(client)).attempts == 2
        used = [request.header("Authorization") for request in server.requests]
    assert (used, clock.sleeps) == (["Bearer token-1", "Bearer token-2"], [])


async def test_a_token_refused_twice(clock: "FakeClock") -> None:
    """A second 401 ends the call, since the credentials are wrong."""
    tokens = Tokens()
    async with (
        FaultServer([problem(401), problem(401, "invalid_token")]) as server,
        client_of(server.url, token_provider=tokens, clock=clock) as client,
    ):
        error = await failure(archive(client), AuthenticationError)
    assert (error.effect, error.attempts, error.error_code, tokens.given) == (Effect.NOT_APPLIED, 2, "invalid_token", 2)


async def test_a_static_token_is_not_replayed(clock: "FakeClock") -> None:
    """A static token is not replaced, so the request is not replayed."""
    async with FaultServer([problem(401)]) as server, client_of(server.url, clock=clock) as client:
        error = await failure(archive(client), AuthenticationError)
    assert (error.effect, error.attempts) == (Effect.NOT_APPLIED, 1)


async def test_a_doubt_outlives_a_refused_token(clock: "FakeClock") -> None:
    """After a lost attempt and a 401, the outcome is checked, with the same refused token."""
    script: list[Step] = [LOST_APPLIED, problem(401), Healthy()]
    async with FaultServer(script) as server, client_of(server.url, clock=clock) as client:
        done = await archive(client)
    assert (done.attempts, done.already_archived) == (3, False)


async def test_only_the_token_that_was_used_is_dropped() -> None:
    """A late 401 for a token that was already replaced costs no fresh one."""
    gate, tokens = asyncio.Event(), Tokens()
    script: list[Step] = [problem(401).held(gate), problem(401), Healthy(), Healthy()]
    async with FaultServer(script) as server, client_of(server.url, token_provider=tokens) as client:
        late = asyncio.create_task(archive(client))
        await server.until(lambda: len(server.requests) == 1)
        await archive(client)
        assert tokens.given == 2
        gate.set()
        await late
        used = [request.header("Authorization") for request in server.requests]
    assert used == ["Bearer token-1", "Bearer token-1", "Bearer token-2", "Bearer token-2"]
    assert tokens.given == 2


async def test_one_fresh_token_for_all() -> None:
    """Ten concurrent calls with an expired token fetch one new token, and all succeed."""
    tokens = Tokens()

    def judge(request: Any) -> bytes:
        alive = request.header("Authorization") == "Bearer token-2"
        return (faults.good() if alive else problem(401)).render(request)

    async with (
        FaultServer([judge], repeat_last=True) as server,
        client_of(server.url, token_provider=tokens) as client,
    ):
        done = await asyncio.gather(*(archive(client) for _ in range(10)))
    assert tokens.given == 2
    assert {each.attempts for each in done} == {2}


async def test_the_api_gives_tokens(clock: "FakeClock") -> None:
    """Partner credentials are exchanged at the token endpoint, which is not counted as an attempt."""
    async with FaultServer([Healthy(), Healthy()]) as server:
        async with client_of(server.url, credentials=CREDENTIALS, clock=clock) as client:
            assert (await archive(client)).attempts == 1
        token, post = server.requests
    assert token.body == b"grant_type=client_credentials"
    assert token.header("Idempotency-Key") is None
    assert post.header("Authorization") == "Bearer token"


@pytest.mark.parametrize(
    ("script", "kind", "tries"),
    [
        ([problem(401)], AuthenticationError, 1),
        ([problem(503)] * 4, ServerError, 4),
        ([problem(409)], ConflictError, 1),
        ([LOST] * 4, ConnectionLostError, 4),
        ([faults.html()], ResponseDecodeError, 1),
    ],
)
async def test_no_token_no_request(
    script: Sequence[Step], kind: type[ThredfiError], tries: int, clock: "FakeClock"
) -> None:
    """However a token fetch fails, the customer is unchanged, and no outcome is checked."""
    async with FaultServer(script) as server, client_of(server.url, credentials=CREDENTIALS, clock=clock) as client:
        error = await failure(archive(client), kind)
        assert [request.path for request in server.requests] == ["/v1/platform/oauth2/token/"] * tries
    assert (error.effect, error.attempts) == (Effect.NOT_APPLIED, 0)


async def test_a_token_fetch_that_recovers(clock: "FakeClock") -> None:
    """A token fetch is retried like a request."""
    async with (
        FaultServer(routes={TOKEN: [problem(503), Healthy()], POST: [Healthy()]}) as server,
        client_of(server.url, credentials=CREDENTIALS, clock=clock) as client,
    ):
        assert (await archive(client)).attempts == 1
    assert clock.sleeps == [0.5]


async def test_no_token_for_a_second_attempt(clock: "FakeClock") -> None:
    """The effect of the first attempt stays, though the error is about the token."""
    tokens = Tokens(lifetime=0.4)

    async def provider() -> AccessToken:
        if tokens.given:
            raise LookupError("secret")
        return await tokens()

    async with FaultServer([LOST]) as server, client_of(server.url, token_provider=provider, clock=clock) as client:
        error = await failure(archive(client), ConnectError)
    assert (error.effect, error.attempts) == (Effect.UNKNOWN, 1)
    assert "secret" not in str(error)


async def test_a_providers_error_about_another_call(clock: "FakeClock") -> None:
    """The effect on a provider's own error is replaced by this call's."""

    async def provider() -> str:
        error = ResponseDecodeError("another customer")
        error.effect, error.attempts, error.idempotency_key = Effect.APPLIED, 5, "another"
        raise error

    async with client_of("http://127.0.0.1:9", token_provider=provider, clock=clock) as client:
        error = await failure(archive(client, idempotency_key="my-key"), ResponseDecodeError)
    assert (error.effect, error.attempts, error.idempotency_key) == (Effect.NOT_APPLIED, 0, "my-key")


# Settling


@pytest.mark.parametrize(
    ("post", "get"),
    [
        pytest.param([LOST_APPLIED], faults.good(), id="lost"),
        pytest.param([problem(501)], faults.good(), id="failed"),
        pytest.param([faults.html()], faults.good(), id="a proxy's page"),
        pytest.param([faults.literal(b"null")], faults.good(), id="null"),
        pytest.param([faults.good().cut("body")], faults.good(), id="cut"),
        pytest.param([Answer.json(200, bodies.active)], faults.good(), id="still active"),
        pytest.param([Answer.json(200, bodies.customer(OTHER))], faults.good(), id="another customer"),
        pytest.param([problem(409, "conflict")], faults.good(), id="409"),
        pytest.param([problem(400, "already_archived")], faults.good(), id="400"),
        pytest.param([faults.html(400)], faults.good(), id="400 of a proxy"),
        pytest.param([faults.html(401)], faults.good(), id="401 of a proxy"),
        pytest.param([faults.html(403)], faults.good(), id="403 of a proxy"),
        pytest.param([faults.detail(404)], faults.good(), id="404 of a framework"),
        pytest.param([Answer.content(404, b"", {})], faults.good(), id="a bare 404"),
        pytest.param([problem(403).cut("body")], faults.good(), id="403 that is cut"),
        pytest.param([faults.redirect(302, "/denied")], faults.good(), id="redirect"),
        pytest.param([problem(409)], Answer.json(200, archived_by_status), id="by status"),
    ],
)
async def test_a_doubt_that_is_settled(post: list[Step], get: Step) -> None:
    """If one GET shows the customer archived, the call succeeds with that record; no one knows whose work it is."""
    hook = Recorder()
    async with FaultServer(routes={POST: post, GET: [get]}) as server:
        async with client_of(server.url, retry=ONCE, hooks=[hook]) as client:
            done = await archive(client)
        assert server.remaining == 0
    assert (done.attempts, done.already_archived, done.status) == (2, False, 200)
    assert (hook.ended.outcome, hook.ended.effect) == ("succeeded", Effect.UNKNOWN)
    assert done.idempotency_key == server.requests[0].header("Idempotency-Key")
    assert server.requests[1].header("Idempotency-Key") is None


@pytest.mark.parametrize(
    ("get", "said"),
    [
        pytest.param(Answer.json(200, bodies.active), "the server shows no change", id="active"),
        pytest.param(problem(404), "failed with NotFoundError", id="404"),
        pytest.param(problem(500), "failed with ServerError", id="500"),
        pytest.param(problem(401), "failed with AuthenticationError", id="401"),
        pytest.param(faults.html(), "failed with ResponseDecodeError", id="a proxy's page"),
        pytest.param(
            Answer.json(200, bodies.customer(OTHER)), "failed with ResponseDecodeError", id="another customer"
        ),
        pytest.param(Cut("headers", "half-close"), "failed with ConnectionLostError", id="lost"),
    ],
)
@pytest.mark.parametrize(
    ("post", "kind", "unchanged"),
    [
        pytest.param([LOST], ConnectionLostError, Effect.UNKNOWN, id="lost"),
        pytest.param([problem(500)], ServerError, Effect.UNKNOWN, id="failed"),
        pytest.param([faults.html()], ResponseDecodeError, Effect.UNKNOWN, id="no proof"),
        pytest.param([problem(409)], ConflictError, Effect.NOT_APPLIED, id="409"),
        pytest.param([problem(400, "odd")], BadRequestError, Effect.NOT_APPLIED, id="400"),
        pytest.param([faults.html(403)], PermissionDeniedError, Effect.NOT_APPLIED, id="403 of a proxy"),
        pytest.param([faults.detail(404)], NotFoundError, Effect.NOT_APPLIED, id="404 of a framework"),
        pytest.param([faults.redirect(302, "/denied")], APIError, Effect.NOT_APPLIED, id="redirect"),
    ],
)
async def test_a_doubt_that_stands(
    post: list[Step], kind: type[ThredfiError], unchanged: Effect, get: Step, said: str
) -> None:
    """An active record makes an answered doubt NOT_APPLIED; a lost request, or no record, leaves UNKNOWN."""
    # A question that was lost is asked once more.
    gets = [get] * (2 if "ConnectionLost" in said else 1)
    async with FaultServer(routes={POST: post, GET: gets}) as server:
        async with client_of(server.url, retry=ONCE) as client:
            error = await failure(archive(client), kind)
        assert server.remaining == 0
    is_told = said == "the server shows no change"
    assert (error.effect, error.attempts) == (unchanged if is_told else Effect.UNKNOWN, 1 + len(gets))
    assert said in notes(error)
    assert ("nothing was applied" in notes(error)) is (is_told and unchanged is Effect.NOT_APPLIED)
    assert ("may still be in flight" in notes(error)) is (is_told and unchanged is Effect.UNKNOWN)


async def test_a_get_is_sent_as_often_as_it_is_counted() -> None:
    """Nothing below the client sends a GET once more when its connection breaks."""
    async with FaultServer([Cut("request", "rst")]) as server, client_of(server.url, retry=ONCE) as client:
        error = await failure(client.customers.get(BUSINESS, CUSTOMER), ConnectionLostError)
        assert (error.attempts, server.remaining, len(server.requests)) == (1, 0, 1)


async def test_a_doubt_beside_a_lost_request_stays_unknown(clock: "FakeClock") -> None:
    """An active record says nothing of a request that was lost before the answer in doubt came."""
    routes: dict[tuple[str, str], list[Step]] = {
        POST: [LOST, faults.html(403)],
        GET: [Answer.json(200, bodies.active)],
    }
    async with FaultServer(routes=routes) as server, client_of(server.url, clock=clock) as client:
        error = await failure(archive(client), PermissionDeniedError)
    assert (error.effect, error.attempts) == (Effect.UNKNOWN, 3)
    assert "may still be in flight" in notes(error)


@pytest.mark.parametrize(
    ("post", "kind", "effect"),
    [
        ([problem(404)], NotFoundError, Effect.NOT_APPLIED),
        ([problem(400, "validation_error")], BadRequestError, Effect.NOT_APPLIED),
        ([problem(429)], RateLimitedError, Effect.NOT_APPLIED),
        ([faults.html(429)], RateLimitedError, Effect.NOT_APPLIED),
        ([faults.html(413)], APIError, Effect.NOT_APPLIED),
        ([faults.redirect(307, f"{PATH}archive")], APIError, Effect.NOT_APPLIED),
        ([faults.redirect(301, f"https://other.example{PATH}archive/")], APIError, Effect.NOT_APPLIED),
        ([Answer.json(200, applied)], ResponseDecodeError, Effect.APPLIED),
    ],
)
async def test_a_certainty_is_not_asked_about(post: list[Step], kind: type[ThredfiError], effect: Effect) -> None:
    """A certain outcome needs no GET."""
    async with FaultServer(routes={POST: post}) as server, client_of(server.url, retry=ONCE) as client:
        error = await failure(archive(client), kind)
    assert (error.effect, error.attempts, notes(error)) == (effect, 1, "")


async def test_a_404_after_a_lost_answer(clock: "FakeClock") -> None:
    """After a lost answer and a 404, the effect is UNKNOWN, and the outcome is checked."""
    async with (
        FaultServer(routes={POST: [LOST, problem(404)] * 2, GET: [problem(404), faults.good()]}) as server,
        client_of(server.url, clock=clock) as client,
    ):
        error = await failure(archive(client), NotFoundError)
        assert (error.effect, error.attempts) == (Effect.UNKNOWN, 3)
        assert not (await archive(client)).already_archived


@pytest.mark.parametrize("step", [LOST, problem(409), faults.html()])
async def test_settling_can_be_switched_off(step: Step) -> None:
    """With `settle=False`, no request is sent and no note is added."""
    async with FaultServer(routes={POST: [step]}) as server, client_of(server.url, retry=ONCE) as client:
        with pytest.raises(ThredfiError) as caught:
            await archive(client, settle=False)
    assert (caught.value.attempts, notes(caught.value)) == (1, "")


async def test_settling_waits_for_as_long_as_the_server_asks(clock: "FakeClock") -> None:
    """Settling after a 503 with Retry-After waits for as long as the server asks."""
    async with (
        FaultServer(routes={POST: [problem(503, Retry_After="7")], GET: [faults.good()]}) as server,
        client_of(server.url, clock=clock, retry=ONCE) as client,
    ):
        assert (await archive(client)).attempts == 2
    assert clock.sleeps == [7.0]


async def test_settling_is_left_out_when_the_server_asks_for_more_time_than_there_is(clock: "FakeClock") -> None:
    """The deadline is kept; the error is raised with a note that says so."""
    async with (
        FaultServer(routes={POST: [problem(503, Retry_After="20")]}) as server,
        client_of(server.url, clock=clock, retry=ONCE) as client,
    ):
        error = await failure(archive(client), ServerError)
    assert (error.effect, error.retry_after, clock.sleeps) == (Effect.UNKNOWN, 20.0, [])
    assert "the outcome was not checked: the server asked to wait 20 s" in notes(error)


async def test_settling_is_left_out_when_no_time_is_left(clock: "FakeClock") -> None:
    """Nothing is sent after the deadline."""

    def late(request: Any) -> bytes:
        clock.now += 20.0
        return problem(501).render(request)

    async with FaultServer([late]) as server, client_of(server.url, clock=clock) as client:
        error = await failure(archive(client), ServerError)
    assert (error.effect, error.attempts) == (Effect.UNKNOWN, 1)
    assert "the outcome was not checked: no time is left" in notes(error)


async def test_settling_uses_the_time_that_was_kept_for_it(clock: "FakeClock") -> None:
    """After the attempts have used their time, settling can use the reserved time."""

    def late(request: Any) -> bytes:
        clock.now += 16.0
        return problem(503).render(request)

    async with (
        FaultServer(routes={POST: [late], GET: [faults.good()]}) as server,
        client_of(server.url, clock=clock) as client,
    ):
        done = await archive(client)
    assert (done.attempts, clock.sleeps) == (2, [])


async def test_settling_replaces_a_refused_token(clock: "FakeClock") -> None:
    """The settling request gets a fresh token like any request."""
    async with (
        FaultServer(routes={POST: [LOST_APPLIED], GET: [problem(401), faults.good()]}) as server,
        client_of(server.url, clock=clock, retry=ONCE, token_provider=Tokens()) as client,
    ):
        assert (await archive(client)).attempts == 3


async def test_a_get_is_never_settled(clock: "FakeClock") -> None:
    """A GET has no effect, however it ends."""
    async with FaultServer([problem(501)]) as server, client_of(server.url, clock=clock) as client:
        error = await failure(client.customers.get(BUSINESS, CUSTOMER), ServerError)
    assert (error.effect, error.attempts, error.idempotency_key) == (Effect.NOT_APPLIED, 1, None)


# Hooks


async def test_events_are_complete_and_in_order(clock: "FakeClock") -> None:
    """Hooks get every attempt, every retry and one end, all with the key."""
    hook = Recorder()
    script: list[Step] = [problem(503, X_Request_Id="req-1"), LOST, problem(409, X_Request_Id="req-3"), Healthy()]
    async with FaultServer(script) as server, client_of(server.url, clock=clock, hooks=[hook]) as client:
        error = await failure(archive(client, idempotency_key="key"), ConflictError)
        port = server.port
    common: dict[str, Any] = {"operation": "customers.archive", "idempotency_key": "key"}
    post: dict[str, Any] = {**common, "method": "POST", "elapsed": 0.0}
    unknown = Effect.UNKNOWN
    record = "/v1/platform/businesses/{business_id}/customers/{customer_id}/"
    where: dict[str, Any] = {"server_address": "127.0.0.1", "server_port": port}
    first = RequestInfo(method="POST", url_template=f"{record}archive/", resend_count=0, **where)
    second, third = (attrs.evolve(first, resend_count=count) for count in (1, 2))
    assert hook.events == [
        Attempt(number=1, status=503, error="ServerError", effect=unknown, request_id="req-1", request=first, **post),
        RetryScheduled(attempts=1, wait=0.5, error="ServerError", **common),
        Attempt(
            number=2,
            status=None,
            error="ConnectionLostError",
            effect=unknown,
            request_id=None,
            request=second,
            **post,
        ),
        RetryScheduled(attempts=2, wait=1.0, error="ConnectionLostError", **common),
        Attempt(number=3, status=409, error="ConflictError", effect=unknown, request_id="req-3", request=third, **post),
        Attempt(
            operation="customers.archive",
            number=4,
            method="GET",
            status=200,
            error=None,
            effect=Effect.NOT_APPLIED,
            elapsed=0.0,
            request_id=None,
            idempotency_key=None,
            request=RequestInfo(method="GET", url_template=record, resend_count=0, **where),
        ),
        CallEnded(
            outcome="failed",
            effect=unknown,
            attempts=4,
            elapsed=1.5,
            queued=0.0,
            error="ConflictError",
            request_id=None,
            **common,
        ),
    ]
    assert error.effect is unknown


async def test_a_success_ends_with_an_event(clock: "FakeClock") -> None:
    """A success emits one attempt, and the end."""
    hook = Recorder()
    async with FaultServer([Healthy()]) as server, client_of(server.url, clock=clock, hooks=[hook]) as client:
        await archive(client)
    attempt, end = hook.events
    assert isinstance(attempt, Attempt)
    assert isinstance(end, CallEnded)
    assert (attempt.status, attempt.error, attempt.effect) == (200, None, Effect.APPLIED)
    assert (end.outcome, end.effect, end.error) == ("succeeded", Effect.APPLIED, None)


async def test_a_hook_that_fails_does_no_harm(clock: "FakeClock", caplog: pytest.LogCaptureFixture) -> None:
    """The call continues, other hooks are called, and the log names the hook without its message."""

    class Broken:
        def on_event(self, event: Event, /) -> None:
            raise RuntimeError("secret")

    hook = Recorder()
    with caplog.at_level(logging.DEBUG, "thredfi_async"):
        async with (
            FaultServer([LOST, Healthy()]) as server,
            client_of(server.url, clock=clock, hooks=[Broken(), hook]) as client,
        ):
            await archive(client)
    assert len(hook.events) == 4
    assert {record.getMessage() for record in caplog.records} == {"the hook Broken raised RuntimeError"}
    assert all(record.exc_info is None for record in caplog.records)


@pytest.mark.parametrize("failures", [0, 1, MANY - 2, MANY - 1, MANY, 3 * MANY])
async def test_an_empty_budget_keeps_no_question_back(failures: int) -> None:
    """An API that answers is asked; one that has answered no one is asked too, as a probe."""
    policy = RetryPolicy(max_attempts=1, budget=RetryBudget(1))
    async with (
        FaultServer([Healthy(), *[problem(503)] * failures, LOST, Healthy()]) as server,
        client_of(server.url, retry=policy) as client,
    ):
        for _ in range(1 + failures):
            with contextlib.suppress(ServerError):
                await archive(client, settle=False)
        assert (await archive(client)).attempts == 2


# Foreign parts


def pipeline(send: Send, hook: Recorder, limiter: Limiter) -> Pipeline:
    """Yield a pipeline around a stand-in for the transport."""
    return Pipeline(
        send=send,
        authenticator=StaticToken(Hidden("token")),
        limiter=limiter,
        availability=Availability(SystemClock(), limiter),
        lifecycle=Lifecycle(),
        timeouts=Timeouts(),
        retry=STEADY,
        budget=RetryBudget(),
        clock=SystemClock(),
        hooks=(hook,),
    )


@pytest.mark.parametrize("part", ["prepare", "send", "judge"])
async def test_a_part_that_breaks(part: str) -> None:
    """A foreign exception becomes an error with the effect, which shows none of its words; the slot is released."""
    hook, limiter = Recorder(), Limiter(1, time.monotonic)

    def judge(_: Response) -> Verdict[None]:
        raise ZeroDivisionError("secret")

    async def send(request: Request[T], authorization: Secret, timeouts: Timeouts, progress: Progress) -> Response:
        if part == "send":
            raise ZeroDivisionError("secret")
        progress.sent = True
        return Response(200, {}, b"")

    def prepare() -> Request[None]:
        if part == "prepare":
            raise ZeroDivisionError("secret")
        return Request(method="POST", url="http://x/", judge=judge, mutates=True, idempotency_key="key")

    call = pipeline(send, hook, limiter).run("operation", prepare, CallOptions())
    error = await failure(call, InternalError)
    effect = Effect.UNKNOWN if part == "judge" else Effect.NOT_APPLIED
    attempts, key = (0, None) if part == "prepare" else (1, "key")
    assert (error.effect, error.attempts, error.idempotency_key) == (effect, attempts, key)
    assert (hook.ended.outcome, hook.ended.error, hook.ended.effect) == ("failed", "InternalError", effect)
    place = r"\(.*test_pipeline\.py, line \d+\)"
    words = f"a part of the client, or one that it was given, raised ZeroDivisionError {place}"
    assert re.fullmatch(words, str(error))
    assert (error.__cause__, error.__context__, error.transient) == (None, None, False)
    assert limiter.in_use == 0


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ([ClientStateError("closed")], ClientStateError),
        ([TimeoutError()], InternalError),
        ([ConnectionLostError("lost"), ClientStateError("closed")], ClientStateError),
    ],
)
async def test_a_question_that_ends_otherwise(asked: list[Exception], kind: type[ThredfiError]) -> None:
    """A client that was closed, or a timeout that is not ours, ends the call in its question, the second one too."""
    hook, limiter, questions = Recorder(), Limiter(1, time.monotonic), iter(asked)

    def judge(_: Response) -> Verdict[None]:
        raise NotImplementedError

    async def send(request: Request[T], authorization: Secret, timeouts: Timeouts, progress: Progress) -> Response:
        progress.sent = True
        raise next(questions) if request.method == "GET" else ConnectionLostError("lost")

    def question() -> Request[Any]:
        return Request(method="GET", url="http://x/", judge=judge)

    request = Request[None](method="POST", url="http://x/", judge=judge, mutates=True, settle=question)
    call = pipeline(send, hook, limiter).run("operation", lambda: request, CallOptions(retry=ONCE))
    error = await failure(call, kind)
    assert (error.effect, error.attempts) == (Effect.UNKNOWN, 1 + len(asked))
    assert limiter.in_use == 0


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"timeouts": 5}, "timeouts: must be a Timeouts, not int"),
        ({"retry": 3}, "retry: must be a RetryPolicy, not int"),
    ],
)
async def test_options_of_another_kind(options: dict[str, Any], problem: str) -> None:
    """Options of the wrong type are refused before anything is sent, not after a failed attempt."""
    async with FaultServer() as server, client_of(server.url) as client:
        error = await failure(archive(client, **options), InvalidRequestError)
        assert server.connections == 0
    assert error.problems == (problem,)


async def test_an_error_raised_later_has_no_foreign_context(clock: "FakeClock") -> None:
    """An error after retries has no context from tenacity or a timeout scope."""
    async with FaultServer([LOST], repeat_last=True) as server, client_of(server.url, clock=clock) as client:
        error = await failure(archive(client, settle=False), ConnectionLostError)
    assert error.__context__ is None
    assert error.__cause__ is None


async def test_a_call_waits_out_a_cooldown_between_its_requests(clock: "FakeClock") -> None:
    """The POST waits if the API asked another call to back off after the record was fetched."""

    class Throttled:
        def on_event(self, event: Event, /) -> None:
            if isinstance(event, Attempt) and event.method == "GET":
                client._limiter.throttled(client._limiter.ticket, 5.0)

    async with FaultServer([Healthy(), Healthy()]) as server:
        client = client_of(server.url, hooks=[Throttled()], clock=clock)
        async with client:
            assert (await client.customers.archive(BUSINESS, CUSTOMER)).is_archived
    assert [request.method for request in server.requests] == ["GET", "POST"]
    assert clock.sleeps == [5.0]


@pytest.mark.parametrize("found", [Unchanged.UNCHANGED, "the record"])
async def test_closing_while_the_question_is_answered(found: str | Unchanged) -> None:
    """If the client closes in the turn of the settling answer, an unchanged record is still no success."""
    hook, limiter = Recorder(), Limiter(1, time.monotonic)

    def judge(_: Response) -> Verdict[str]:
        error = ServerError("501", status=501)
        error.effect = Effect.UNKNOWN
        return Failure(error)

    async def send(request: Request[T], authorization: Secret, timeouts: Timeouts, progress: Progress) -> Response:
        progress.sent = True
        if request.method == "GET":
            parts.lifecycle.interrupt()
        return Response(200, {}, b"")

    def ask() -> Request[str | Unchanged]:
        return Request(method="GET", url="http://x/", judge=lambda _: Success(found))

    def prepare() -> Request[str]:
        return Request(method="POST", url="http://x/", judge=judge, mutates=True, settle=ask)

    parts = pipeline(send, hook, limiter)
    call = parts.run("operation", prepare, CallOptions(retry=ONCE))
    if isinstance(found, str):
        assert (await call).value == found
    else:
        error = await failure(call, ServerError)
        assert (error.effect, hook.ended.outcome) == (Effect.UNKNOWN, "failed")
        assert "the server shows no change" in notes(error)
