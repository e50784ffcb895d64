"""The guarantees to users, one test for each defence, over real sockets; `mutants.py` shows that each can fail."""

import asyncio
from typing import Any

import pytest
from clocks import LoopClock
from faultserver import Answer, Cut, FaultServer, Healthy, Routes, bodies, faults

from thredfi_async import (
    APIError,
    AuthenticationError,
    ConnectionLostError,
    Customer,
    Effect,
    NotFoundError,
    PartnerCredentials,
    RequestTimeoutError,
    ResponseDecodeError,
    RetryPolicy,
    ServerError,
    ThredfiClient,
    Timeouts,
)

BUSINESS = "33333333-3333-4333-8333-333333333333"
CUSTOMER = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
PATH = f"/v1/platform/businesses/{BUSINESS}/customers/{CUSTOMER}/"
ONCE = RetryPolicy(max_attempts=1)
AGAIN = RetryPolicy(no_wait=True)
GOOD = faults.good().applied()
UNAUTHORIZED = faults.problem(401, "invalid_token")
LOST = Cut("request", "rst", applied=True)


def client_of(server: FaultServer, **settings: Any) -> ThredfiClient:
    """Return a client that never waits."""
    usual: dict[str, Any] = {"retry": AGAIN, "timeouts": Timeouts(read=2.0, deadline=5.0), "clock": LoopClock()}
    given = usual | settings
    if not given.keys() & {"credentials", "token_provider"}:
        given["token"] = "token-of-the-test"
    return ThredfiClient(base_url=server.url, **given)


async def archive(client: ThredfiClient, customer_id: str = CUSTOMER, **options: Any) -> Customer:
    """Archive a customer."""
    return await client.customers.archive(BUSINESS, customer_id, bodies.customer_request(), **options)


async def test_lost_answer_is_settled_by_asking() -> None:
    """The server archived, its answer is lost, and the call still succeeds."""
    async with FaultServer([LOST, Healthy()]) as server, client_of(server, retry=ONCE) as client:
        assert (await archive(client)).is_archived
        assert [request.method for request in server.requests] == ["POST", "GET"]


async def test_lost_answer_is_unknown_without_asking() -> None:
    """Without settling, a lost answer ends in UNKNOWN."""
    async with FaultServer([LOST]) as server, client_of(server, retry=ONCE) as client:
        with pytest.raises(ConnectionLostError) as caught:
            await archive(client, settle=False)
    assert caught.value.effect is Effect.UNKNOWN


async def test_server_error_is_unknown_without_asking() -> None:
    """A 500 may come after the work was done, as it does here."""
    failing = faults.problem(500).applied()
    async with FaultServer([failing]) as server, client_of(server, retry=ONCE) as client:
        with pytest.raises(ServerError) as caught:
            await archive(client, settle=False)
        assert server.applied == 1
    assert caught.value.effect is Effect.UNKNOWN


async def test_effect_of_a_call_is_the_highest_of_its_attempts() -> None:
    """A 404 after a lost answer leaves the effect UNKNOWN."""
    async with FaultServer([LOST, faults.problem(404)]) as server, client_of(server) as client:
        with pytest.raises(NotFoundError) as caught:
            await archive(client, settle=False)
    assert (caught.value.effect, caught.value.attempts) == (Effect.UNKNOWN, 2)


async def test_answer_about_another_customer_is_no_success() -> None:
    """An answer about another customer proves nothing about the requested one."""
    stranger = Answer.json(200, bodies.customer(OTHER))
    async with FaultServer([stranger]) as server, client_of(server) as client:
        with pytest.raises(ResponseDecodeError) as caught:
            await archive(client, settle=False)
        assert server.applied == 0
    assert caught.value.effect is Effect.UNKNOWN


async def test_answer_that_does_not_say_archived_is_no_success() -> None:
    """A 200 with an active customer is not a success."""
    async with FaultServer([Answer.json(200, bodies.active)]) as server, client_of(server) as client:
        with pytest.raises(ResponseDecodeError, match="does not say that the customer is archived"):
            await archive(client, settle=False)


@pytest.mark.parametrize("encoding", ["plain", "gzip"])
async def test_body_over_the_bound_is_not_read(encoding: str) -> None:
    """A body of 200 kB is not read beyond the bound of 50 kB, even if it is a good customer."""

    def long(request: Any) -> bytes:
        return b" " * 200_000 + bodies.dump(bodies.archived(request))

    plain = Answer.content(200, long, {"Content-Type": "application/json"})
    answer = plain if encoding == "plain" else faults.decompression_bomb("gzip", 1)
    async with FaultServer([answer]) as server, client_of(server, max_body_bytes=50_000) as client:
        with pytest.raises(ResponseDecodeError, match=r"longer than max_body_bytes \(50000\)"):
            await archive(client, settle=False)


@pytest.mark.parametrize(("path", "asked"), [("{}archive/", 0), ("/elsewhere/archive/", 1)], ids=["same", "another"])
async def test_redirect_is_not_followed(path: str, asked: int) -> None:
    """Neither token nor key is sent to another host; only to another path, the answer's place may have been taken."""
    async with FaultServer([Healthy()]) as elsewhere:
        redirect = faults.redirect(307, elsewhere.url + path.format(PATH))
        script = [redirect, *[Answer.json(200, bodies.active)] * asked]
        async with FaultServer(script) as server, client_of(server) as client:
            with pytest.raises(APIError, match=r"a redirect to 127\.0\.0\.1, which is not followed") as caught:
                await archive(client)
            assert [request.method for request in server.requests] == ["POST", *["GET"] * asked]
        assert elsewhere.connections == 0
    assert (caught.value.status, caught.value.effect) == (307, Effect.NOT_APPLIED)


@pytest.mark.parametrize("answer", [faults.html(403), faults.html(404), faults.redirect(302, "/denied")])
async def test_refusal_by_a_gateway_is_not_the_apis_no(answer: Answer) -> None:
    """A gateway that lets the request through and refuses its answer is not believed: the record is asked for."""
    async with FaultServer([answer.applied(), Healthy()]) as server, client_of(server) as client:
        assert (await archive(client)).is_archived
        assert [request.method for request in server.requests] == ["POST", "GET"]
    async with FaultServer([answer.applied()]) as server, client_of(server) as client:
        with pytest.raises(APIError) as caught:
            await archive(client, settle=False)
        assert server.applied == 1
    assert caught.value.effect is Effect.UNKNOWN


async def test_every_attempt_carries_the_same_key_and_the_same_bytes() -> None:
    """All attempts have the same key and bytes, or the server would take a retry for another call."""
    async with FaultServer([LOST, faults.problem(503), GOOD]) as server, client_of(server) as client:
        answer = await client.customers.with_raw_response.archive(BUSINESS, CUSTOMER, bodies.customer_request())
        keys = [request.header("Idempotency-Key") for request in server.requests]
        assert keys == [answer.idempotency_key] * 3
        assert len({request.body for request in server.requests}) == 1


async def test_refused_token_is_replaced_and_the_call_replayed_once() -> None:
    """After the first 401, one new token is fetched and the call succeeds."""
    routes: Routes = {
        ("POST", bodies.ARCHIVE_SUFFIX): [UNAUTHORIZED, GOOD],
        ("POST", bodies.TOKEN_PATH): [Healthy()] * 2,
    }
    credentials = PartnerCredentials(OTHER, "api-key-of-the-test")
    async with FaultServer(routes=routes) as server, client_of(server, credentials=credentials) as client:
        assert (await archive(client)).is_archived


async def test_token_refused_twice_ends_the_call() -> None:
    """A second 401 ends the call after two requests."""
    routes: Routes = {("POST", bodies.ARCHIVE_SUFFIX): [UNAUTHORIZED], ("POST", bodies.TOKEN_PATH): [Healthy()]}
    credentials = PartnerCredentials(OTHER, "api-key-of-the-test")
    async with (
        FaultServer(routes=routes, repeat_last=True) as server,
        client_of(server, credentials=credentials) as client,
    ):
        with pytest.raises(AuthenticationError) as caught:
            await archive(client)
        assert sum(bodies.is_archive(request) for request in server.requests) == 2
    assert (caught.value.effect, caught.value.attempts) == (Effect.NOT_APPLIED, 2)


async def test_one_token_is_fetched_for_all_who_wait_and_outlives_the_one_who_asked() -> None:
    """The first of twenty callers is cancelled while it waits, and the others get the token."""
    gate, asked, fetched = asyncio.Event(), asyncio.Event(), list[int]()

    async def provide() -> str:
        fetched.append(1)
        asked.set()
        await gate.wait()
        return "token-of-the-test"

    async with FaultServer([GOOD], repeat_last=True) as server, client_of(server, token_provider=provide) as client:
        calls = [asyncio.create_task(archive(client)) for _ in range(20)]
        await asked.wait()
        calls[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await calls[0]
        gate.set()
        assert all(customer.is_archived for customer in await asyncio.gather(*calls[1:]))
    assert len(fetched) == 1


class Sleeper:
    """A clock whose sleeps end when the test says so."""

    def __init__(self) -> None:
        self.asleep, self.wake = asyncio.Event(), asyncio.Event()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        self.asleep.set()
        await self.wake.wait()


async def test_no_slot_is_held_while_a_call_sleeps() -> None:
    """The only slot serves another call between two attempts of the first."""
    clock = Sleeper()
    async with (
        FaultServer([faults.problem(500), GOOD, GOOD]) as server,
        client_of(server, max_concurrency=1, clock=clock, retry=RetryPolicy()) as client,
    ):
        first = asyncio.create_task(archive(client))
        await clock.asleep.wait()
        async with asyncio.timeout(2):
            assert (await archive(client, OTHER)).is_archived
        clock.wake.set()
        assert (await first).is_archived


async def test_deadline_cuts_what_is_running() -> None:
    """The deadline ends a running request long before the read timeout."""
    async with FaultServer([Cut("request", "hang", applied=True)]) as server:
        timeouts = Timeouts(read=2.0, deadline=0.1)
        async with client_of(server, timeouts=timeouts, retry=ONCE) as client:
            with pytest.raises(RequestTimeoutError) as caught:
                await archive(client, settle=False)
    assert (caught.value.phase, caught.value.effect) == ("deadline", Effect.UNKNOWN)


async def test_time_in_the_queue_is_counted_whether_the_turn_came_or_not() -> None:
    """A call that waits in vain for its second turn has spent its queue time, and its event says so."""
    ended: list[Any] = []

    class Hook:
        def on_event(self, event: Any, /) -> None:
            ended.append(event)

    async with (
        FaultServer([Cut("request", "hang")]) as server,
        client_of(server, max_concurrency=1, hooks=[Hook()]) as client,
    ):
        holder = asyncio.create_task(archive(client, OTHER))
        await server.until(lambda: bool(server.requests))
        with pytest.raises(RequestTimeoutError) as caught:
            await archive(client, timeouts=Timeouts(queue=0.05))
        holder.cancel()
        with pytest.raises(asyncio.CancelledError):
            await holder
    assert (caught.value.phase, caught.value.effect, caught.value.attempts) == ("queue", Effect.NOT_APPLIED, 0)
    assert ended[0].outcome == "failed"
    assert ended[0].queued >= 0.049


async def test_cancellation_tells_effect_and_key() -> None:
    """The same CancelledError propagates, with a note that has effect and key."""
    async with FaultServer([Cut("request", "hang", applied=True)]) as server, client_of(server) as client:
        call = asyncio.create_task(archive(client, idempotency_key="key-1"))
        await server.until(lambda: server.applied == 1)
        call.cancel("enough")
        with pytest.raises(asyncio.CancelledError, match="enough") as caught:
            await call
    assert "cancelled with effect UNKNOWN, attempts 1, idempotency key key-1" in caught.value.__notes__[0]


async def test_next_link_to_another_origin_is_not_followed() -> None:
    """A next link to another origin is not followed, so that the token stays secret."""
    async with FaultServer([Healthy()]) as elsewhere:
        page: dict[str, Any] = {"count": 2, "next": elsewhere.url + "/?page=2", "previous": None, "results": []}
        async with FaultServer([Answer.json(200, page)]) as server, client_of(server) as client:
            with pytest.raises(ResponseDecodeError, match="another origin"):
                await anext(client.customers.list(BUSINESS))
        assert elsewhere.connections == 0
