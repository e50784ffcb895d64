"""The user's calls: archive with or without a body, get, list, and the same with the raw answer."""

import pickle
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from aioresponses import CallbackResult
from faultserver import Answer, Cut, FaultServer, Healthy, Request, Step, bodies, faults
from helpers import BUSINESS, CUSTOMER, GET, ONCE, OTHER, PATH, POST, Recorder, body, client_of, failure, notes
from yarl import URL

from thredfi_async import (
    Customer,
    CustomerRequest,
    CustomerStatus,
    Effect,
    NotFoundError,
    PartnerCredentials,
    PermissionDeniedError,
    ResponseDecodeError,
    ServerError,
    ThredfiClient,
    ThredfiError,
    Timeouts,
)
from thredfi_async.mock_server import Fault, FaultKind, MockServer

if TYPE_CHECKING:
    from clocks import FakeClock

BASE = "https://api.example"


@pytest.mark.parametrize("given", [body(), CustomerRequest(**body())], ids=["mapping", "request"])
async def test_archive(given: Any, api: Any) -> None:
    """One POST, and the customer of the server's answer."""
    api.post(f"{BASE}{PATH}archive/", payload=bodies.customer(CUSTOMER, extra_field=1))
    async with client_of(BASE) as client:
        customer = await client.customers.archive(UUID(BUSINESS), UUID(CUSTOMER), given)
    assert (customer.id, customer.status, customer.is_archived) == (UUID(CUSTOMER), CustomerStatus.ARCHIVED, True)
    assert customer.extra == {"extra_field": 1}
    assert len(api.requests) == 1


async def test_get(api: Any) -> None:
    """One GET, whatever the customer's state."""
    for archived in (True, False):
        api.get(f"{BASE}{PATH}", payload=bodies.customer(CUSTOMER, archived=archived))
    async with client_of(BASE) as client:
        assert (await client.customers.get(BUSINESS, CUSTOMER)).is_archived
        assert (await client.customers.get(BUSINESS, CUSTOMER)).is_active


async def test_raw_archive(api: Any, clock: "FakeClock") -> None:
    """A raw response has the answer's status, headers and request id, attempts, time and key."""
    api.post(f"{BASE}{PATH}archive/", status=503)
    headers = {"X-Request-Id": "req-9"}
    api.post(f"{BASE}{PATH}archive/", status=201, payload=bodies.customer(CUSTOMER), headers=headers)
    async with client_of(BASE, clock=clock) as client:
        raw = await client.customers.with_raw_response.archive(
            BUSINESS, CUSTOMER, body(), idempotency_key="key", headers={"X-Own": "1"}
        )
    assert isinstance(raw.parsed, Customer)
    assert (raw.status, raw.request_id, raw.headers["x-request-id"]) == (201, "req-9", "req-9")
    assert (raw.attempts, raw.elapsed, raw.idempotency_key, raw.already_archived) == (2, 0.5, "key", False)
    for call in api.requests["POST", URL(f"{BASE}{PATH}archive/")]:
        assert call.kwargs["headers"]["X-Own"] == "1"
        assert call.kwargs["headers"]["Idempotency-Key"] == "key"


async def test_raw_get(api: Any) -> None:
    """A GET has no key, and never finds the customer "already" archived."""
    api.get(f"{BASE}{PATH}", payload=bodies.customer(CUSTOMER), headers={"X-Request-Id": "bad id"})
    async with client_of(BASE) as client:
        raw = await client.customers.with_raw_response.get(BUSINESS, CUSTOMER)
    assert raw.parsed.is_archived
    assert (raw.status, raw.request_id, raw.attempts) == (200, None, 1)
    assert (raw.idempotency_key, raw.already_archived) == (None, False)


async def test_raw_responses_show_no_secrets(api: Any) -> None:
    """The repr shows neither the body nor the headers."""
    api.post(f"{BASE}{PATH}archive/", payload=bodies.customer(CUSTOMER), headers={"X-Secret": "hidden"})
    async with client_of(BASE) as client:
        raw = await client.customers.with_raw_response.archive(BUSINESS, CUSTOMER, body())
    assert "hidden" not in repr(raw)
    assert "Ada" not in repr(raw)


# Without a body


async def test_without_a_body() -> None:
    """The client fetches the server's own record, and sends it unchanged."""

    def payload(request: Request) -> dict[str, Any]:
        return {**bodies.active(request), "notes": "from the server", "city": ""}

    record = Answer.json(200, payload)
    async with FaultServer(routes={GET: [record], POST: [Healthy()]}) as server, client_of(server.url) as client:
        raw = await client.customers.with_raw_response.archive(BUSINESS, CUSTOMER, idempotency_key="key")
        get, post = server.requests
    expected = body(notes="from the server")
    del expected["city"]
    assert post.json() == expected
    assert (get.header("Idempotency-Key"), post.header("Idempotency-Key")) == (None, "key")
    assert (raw.attempts, raw.already_archived, raw.idempotency_key) == (2, False, "key")


async def test_without_a_body_and_archived_already() -> None:
    """Nothing is posted, and the result says already archived."""
    hook = Recorder()
    async with FaultServer(routes={GET: [faults.good()]}) as server, client_of(server.url, hooks=[hook]) as client:
        raw = await client.customers.with_raw_response.archive(BUSINESS, CUSTOMER)
    assert raw.parsed.is_archived
    assert (raw.attempts, raw.already_archived, raw.idempotency_key) == (1, True, None)
    assert (hook.ended.outcome, hook.ended.effect) == ("succeeded", Effect.NOT_APPLIED)


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        (faults.problem(404), NotFoundError),
        (faults.problem(403), PermissionDeniedError),
        (faults.problem(501), ServerError),
        (faults.html(), ResponseDecodeError),
        (Answer.json(200, bodies.customer(OTHER)), ResponseDecodeError),
        (Answer.json(200, bodies.customer(OTHER, archived=False)), ResponseDecodeError),
    ],
)
async def test_without_a_body_and_no_record(record: Step, kind: type[ThredfiError]) -> None:
    """Nothing is posted and no outcome is checked: certainly not applied."""
    async with FaultServer(routes={GET: [record]}) as server, client_of(server.url, retry=ONCE) as client:
        error = await failure(client.customers.archive(BUSINESS, CUSTOMER), kind)
    assert (error.effect, error.attempts, error.idempotency_key, notes(error)) == (Effect.NOT_APPLIED, 1, None, "")


async def test_without_a_body_every_request_may_be_tried_again(clock: "FakeClock") -> None:
    """The GET and the POST each have their own attempts, and the POST is settled as usual."""
    active = Answer.json(200, bodies.active)
    lost = Cut("request", "rst", applied=True)
    routes: dict[tuple[str, str], list[Step]] = {
        GET: [faults.problem(503), active, Healthy()],
        POST: [lost, lost, lost, faults.problem(502)],
    }
    async with FaultServer(routes=routes) as server, client_of(server.url, clock=clock) as client:
        raw = await client.customers.with_raw_response.archive(BUSINESS, CUSTOMER)
        keys = {request.header("Idempotency-Key") for request in server.requests if request.method == "POST"}
        sent = {request.body for request in server.requests if request.method == "POST"}
    assert (raw.attempts, raw.already_archived) == (7, False)
    assert clock.sleeps == [0.5, 0.5, 1.0, 2.0]
    assert keys == {raw.idempotency_key}
    assert len(sent) == 1


async def test_without_a_body_and_an_edit_in_between() -> None:
    """Another client archives the customer meanwhile: the 409 is settled, and no one knows by whom it was archived."""
    active = Answer.json(200, bodies.active)
    routes: dict[tuple[str, str], list[Step]] = {GET: [active, faults.good()], POST: [faults.problem(409)]}
    async with FaultServer(routes=routes) as server, client_of(server.url) as client:
        raw = await client.customers.with_raw_response.archive(BUSINESS, CUSTOMER)
    assert (raw.attempts, raw.already_archived) == (3, False)


# Per-call settings


async def test_a_calls_own_settings(clock: "FakeClock") -> None:
    """Retry, timeouts and settle of one call do not change the client's."""
    async with (
        FaultServer([faults.problem(503)] * 5 + [Healthy()] * 2) as server,
        client_of(server.url, clock=clock) as client,
    ):
        await failure(client.customers.archive(BUSINESS, CUSTOMER, body(), retry=ONCE, settle=False), ServerError)
        call = client.customers.archive(BUSINESS, CUSTOMER, body(), timeouts=Timeouts(deadline=0.4), settle=False)
        assert "would pass the deadline" in notes(await failure(call, ServerError))
        await failure(client.customers.get(BUSINESS, CUSTOMER, retry=ONCE), ServerError)
        await failure(client.customers.with_raw_response.get(BUSINESS, CUSTOMER, retry=ONCE), ServerError)
        assert (await client.customers.with_raw_response.archive(BUSINESS, CUSTOMER, body())).attempts == 2
        await client.customers.get(BUSINESS, CUSTOMER, timeouts=Timeouts(), headers={"X-Own": "1"})
        assert server.requests[-1].header("X-Own") == "1"


async def test_an_error_of_the_api_is_whole(api: Any) -> None:
    """Everything in the envelope is on the error, and survives pickling."""
    payload = bodies.problem("validation_error", "Jane's words", email=["not good"], secret_field=["x"])
    api.post(f"{BASE}{PATH}archive/", status=404, payload=payload, headers={"X-Request-Id": "req-1"})
    async with client_of(BASE) as client:
        error = await failure(
            client.customers.archive(BUSINESS, CUSTOMER, body(), idempotency_key="key"), NotFoundError
        )
    assert str(error) == "404, validation_error, wrong fields: email and 1 more, request id req-1"
    assert (error.message, error.error_code, error.request_id) == ("Jane's words", "validation_error", "req-1")
    assert error.details == payload["details"]
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert vars(copy) == vars(error)
    assert (copy.effect, copy.attempts, copy.idempotency_key) == (Effect.NOT_APPLIED, 1, "key")


async def test_mocked_answers_work_for_users_too(api: Any) -> None:
    """A mock never writes the request, but its answer counts."""

    def slow(url: URL, **_: Any) -> CallbackResult:
        return CallbackResult(status=500)

    api.post(f"{BASE}{PATH}archive/", callback=slow)
    async with client_of(BASE, retry=ONCE) as client:
        error = await failure(client.customers.archive(BUSINESS, CUSTOMER, body(), settle=False), ServerError)
    assert error.effect is Effect.UNKNOWN


# The mock server


def client_for(server: MockServer, **settings: Any) -> ThredfiClient:
    """Return a client with the mock server's own credentials."""
    credentials = PartnerCredentials(server.partner_uuid, server.api_key)
    return client_of(server.url, credentials=credentials, **settings)


@pytest.mark.parametrize("with_body", [True, False])
@pytest.mark.parametrize(
    "kind",
    [
        FaultKind.THROTTLE,
        FaultKind.SERVER_ERROR,
        FaultKind.RESET_BEFORE,
        FaultKind.RESET_AFTER,
        FaultKind.TRUNCATED,
        FaultKind.NOT_JSON,
        FaultKind.NULL_FIELDS,
        FaultKind.EXPIRED_TOKEN,
        FaultKind.WRONG_ID,
    ],
)
async def test_every_fault_of_the_mock_server(kind: FaultKind, with_body: bool, clock: "FakeClock") -> None:
    """After one fault of each kind, the customer is archived, with one key and one body."""
    async with MockServer(customers=1) as server, client_for(server, clock=clock) as client:
        (customer,) = server.customers
        server.queue_faults(customer.customer_id, Fault(kind))
        fields = customer.body if with_body else None
        done = await client.customers.archive(customer.business_id, customer.customer_id, fields)
        assert done.is_archived
        assert server.is_archived(customer.customer_id)
        record = server.requests.of(customer.customer_id)
        assert server.faults_thrown[kind] == 1
    assert (len(record.keys), len(record.digests)) == (1, 1) if kind is not FaultKind.RESET_BEFORE else True


@pytest.mark.parametrize("repeat", ["ok", "conflict", "invalid"])
async def test_archiving_twice(repeat: Any) -> None:
    """Whatever the server answers to a repeat, the customer is archived; after a POST, no one says since when."""
    async with MockServer(customers=1, repeat=repeat) as server, client_for(server) as client:
        (customer,) = server.customers
        calls = [
            await client.customers.with_raw_response.archive(customer.business_id, customer.customer_id, customer.body)
            for _ in range(2)
        ]
    assert [call.parsed.is_archived for call in calls] == [True, True]
    assert [call.already_archived for call in calls] == [False, False]


async def test_listing_the_mock_server() -> None:
    """The list has all pages, archived customers only on request, and can be filtered by external id."""
    async with MockServer(customers=25) as server, client_for(server) as client:
        business = server.business_ids[0]
        first = server.customers[0]
        await client.customers.archive(business, first.customer_id, first.body)
        active = [customer.id async for customer in client.customers.list(business, page_size=10)]
        everyone = [customer.id async for customer in client.customers.list(business, include_archived=True)]
        found = client.customers.list(business, external_id=first.body["external_id"], include_archived=True)
        assert [customer.id async for customer in found] == [first.customer_id]
    assert (len(active), len(set(active)), len(everyone)) == (24, 24, 25)
    assert first.customer_id not in active
