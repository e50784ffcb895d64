"""Every kind of fault, as a client sees it on the wire, and what the server has then applied."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import aiohttp
import pytest
from mock_server_caller import Caller, calling

from thredfi_async.mock_server import Fault, FaultKind, Faults, MockServer

LOST = (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)


def planned(*faults: Fault | None, customers: int = 2) -> MockServer:
    """A server with a plan for its first customer."""
    server = MockServer(customers=customers)
    server.queue_faults(server.customers[0].customer_id, *faults)
    return server


def applied(caller: Caller) -> bool:
    """Whether the first customer is archived."""
    return caller.server.is_archived(caller.server.customers[0].customer_id)


@pytest.mark.parametrize(
    ("fault", "status", "media_type", "retry"),
    [
        (Fault(FaultKind.THROTTLE), 429, "application/json", {}),
        (Fault(FaultKind.THROTTLE, retry_after=3, html=True), 429, "text/html; charset=utf-8", {"Retry-After": "3"}),
        (Fault(FaultKind.THROTTLE, retry_after=0.2, form="ms"), 429, "application/json", {"Retry-After-Ms": "200"}),
        (Fault(FaultKind.SERVER_ERROR), 503, "application/json", {}),
        (Fault(FaultKind.SERVER_ERROR, status=500, html=True), 500, "text/html; charset=utf-8", {}),
        (Fault(FaultKind.SERVER_ERROR, retry_after="x"), 503, "application/json", {"Retry-After": "x"}),
    ],
)
async def test_errors_are_not_applied(fault: Fault, status: int, media_type: str, retry: dict[str, str]) -> None:
    """Throttles and server errors come once, as configured, and apply nothing."""
    async with calling(planned(fault)) as caller:
        answer = await caller.archive(caller.server.customers[0])
        assert (answer.status, answer.headers["Content-Type"]) == (status, media_type)
        given = {name: answer.headers[name] for name in ("Retry-After", "Retry-After-Ms") if name in answer.headers}
        assert given == retry
        assert not applied(caller)
        assert (await caller.archive(caller.server.customers[0])).status == 200
        assert caller.server.faults_thrown == {fault.kind: 1}


@pytest.mark.parametrize(("kind", "done"), [(FaultKind.RESET_BEFORE, False), (FaultKind.RESET_AFTER, True)])
async def test_resets_are_applied_or_not(kind: FaultKind, done: bool) -> None:
    """A reset loses the answer; whether it was applied depends on when it came."""
    async with calling(planned(Fault(kind))) as caller:
        customer = caller.server.customers[0]
        with pytest.raises(LOST):
            await caller.archive(customer, Idempotency_Key="k")
        assert applied(caller) is done
        record = caller.server.requests.of(customer.customer_id)
        assert (record.requests, record.applied, record.keys) == (1, int(done), {"k"})
        assert len(record.digests) == int(done)


async def test_resets_are_real() -> None:
    """The connection ends by RST, not by FIN: the client's socket reports a reset."""
    async with calling(planned(Fault(FaultKind.RESET_AFTER, on="get"))) as caller:
        host, _, port = caller.server.url.removeprefix("http://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        customer = caller.server.customers[0]
        path = f"/v1/platform/businesses/{customer.business_id}/customers/{customer.customer_id}/"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {caller.server.token}\r\n\r\n".encode())
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        with suppress(ConnectionResetError):
            await writer.wait_closed()


@pytest.mark.parametrize("done", [True, False])
async def test_a_hang_lasts_until_the_client_leaves(done: bool) -> None:
    """A hang gets no answer; it is applied or not, as configured, and the handler ends with the client."""
    async with calling(planned(Fault(FaultKind.HANG, applied=done))) as caller:
        task = asyncio.create_task(caller.archive(caller.server.customers[0]))
        while not caller.server.faults_thrown:
            await caller.token()
        assert applied(caller) is done
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        waits = caller.server._service.waits
        while waits._futures:
            await caller.token()


async def test_a_truncated_answer_is_applied() -> None:
    """The answer is shorter than its announced length."""
    async with calling(planned(Fault(FaultKind.TRUNCATED))) as caller:
        with pytest.raises(aiohttp.ClientPayloadError):
            await caller.archive(caller.server.customers[0])
        assert applied(caller)


async def test_an_answer_that_is_not_json_is_applied() -> None:
    """A proxy's page has a success status."""
    async with calling(planned(Fault(FaultKind.NOT_JSON))) as caller:
        answer = await caller.archive(caller.server.customers[0])
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert applied(caller)


async def test_null_fields_are_applied() -> None:
    """Documented text fields are null; the ids and the status stay."""
    async with calling(planned(Fault(FaultKind.NULL_FIELDS))) as caller:
        customer = caller.server.customers[0]
        answer = (await caller.archive(customer)).json
        assert (answer["id"], answer["is_archived"]) == (str(customer.customer_id), True)
        assert answer["email"] is answer["display_name"] is answer["vat_number"] is None
        assert (await caller.get(customer)).json["email"] is not None


async def test_an_expired_token_is_dead() -> None:
    """The used token is refused from then on, by every endpoint; others are not."""
    async with calling(planned(Fault(FaultKind.EXPIRED_TOKEN))) as caller:
        customer, other = caller.server.customers
        fresh = caller.server.issue_token()
        for target in (customer, other):
            answer = await caller.archive(target)
            assert (answer.status, answer.json["error_code"]) == (401, "invalid_token")
        assert not applied(caller)
        assert (await caller.archive(customer, Authorization=f"Bearer {fresh}")).status == 200


async def test_a_wrong_answer_is_about_somebody_else() -> None:
    """The request is applied and the answer is another customer's."""
    async with calling(planned(Fault(FaultKind.WRONG_ID), customers=1)) as caller:
        customer = caller.server.customers[0]
        answer = (await caller.archive(customer)).json
        assert (answer["is_archived"], answer["id"] == str(customer.customer_id)) == (True, False)
        assert applied(caller)


async def test_a_slow_request_is_applied_although_its_client_has_left() -> None:
    """Latency comes before the effect: a request that the client gave up may still be applied."""
    async with calling(planned(Fault(FaultKind.LATENCY, seconds=0.1))) as caller:
        task = asyncio.create_task(caller.archive(caller.server.customers[0]))
        while not caller.server.faults_thrown:
            await caller.token()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not applied(caller)
        while not applied(caller):
            await caller.token()


async def test_a_slow_request_is_answered() -> None:
    """Latency does not change the answer."""
    async with calling(planned(Fault(FaultKind.LATENCY, seconds=0.01))) as caller:
        assert (await caller.archive(caller.server.customers[0])).status == 200


async def test_plans_wait_for_valid_tokens_and_for_their_method() -> None:
    """A refused token and a GET use up nothing of a plan for archive requests; None is a proper answer."""
    slow = Fault(FaultKind.SERVER_ERROR, on="get", status=504)
    async with calling(planned(None, Fault(FaultKind.THROTTLE), slow)) as caller:
        customer = caller.server.customers[0]
        statuses = [
            (await caller.archive(customer, Authorization="Bearer wrong")).status,
            (await caller.get(customer)).status,
            (await caller.get(customer)).status,
            (await caller.archive(customer)).status,
            (await caller.archive(customer)).status,
            (await caller.archive(customer)).status,
        ]
        assert statuses == [401, 504, 200, 200, 429, 200]


async def test_an_invalid_request_is_refused_although_a_fault_was_planned() -> None:
    """An invalid request is refused instead of losing its answer, and no fault is counted."""
    async with calling(planned(Fault(FaultKind.RESET_AFTER))) as caller:
        assert (await caller.archive(caller.server.customers[0], b"{")).status == 400
        assert not caller.server.faults_thrown


async def test_token_and_list_have_faults_too() -> None:
    """The endpoints without a customer have their own plans, in which a wrong id is no fault."""
    token = [Fault(FaultKind.SERVER_ERROR), Fault(FaultKind.NULL_FIELDS), Fault(FaultKind.EXPIRED_TOKEN)]
    pages = [Fault(FaultKind.NULL_FIELDS), Fault(FaultKind.WRONG_ID)]
    async with calling(MockServer(customers=1, faults=Faults(token=token, pages=pages))) as caller:
        assert (await caller.token()).status == 503
        assert (await caller.token()).json["access_token"] is None
        assert (await caller.token()).status == 401
        assert (await caller.token()).status == 200
        assert (await caller.list()).json["results"][0]["email"] is None
        assert (await caller.list()).json["results"][0]["email"] is not None


async def test_chances_hit_the_same_requests_each_time() -> None:
    """With the same seed, the same requests in order get the same faults."""

    async def statuses() -> Sequence[int]:
        faults = Faults(rates={FaultKind.THROTTLE: 0.3, FaultKind.NOT_JSON: 0.2}, seed=4)
        async with calling(MockServer(customers=30, faults=faults)) as caller:
            return [(await caller.archive(customer)).status for customer in caller.server.customers]

    first = await statuses()
    assert first == await statuses()
    assert set(first) == {200, 429}
