"""The whole public API as type checkers see it: never run, and read by mypy and pyright alike.

An ignore is an assertion too: both checkers complain of one that has nothing to ignore.
"""

import asyncio
import datetime as dt
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, assert_never, assert_type
from uuid import UUID

import aiohttp

from thredfi_async import (
    UNSET,
    AccessToken,
    APIError,
    Attempt,
    CallEnded,
    Clock,
    ConfigurationError,
    ConnectError,
    Customer,
    CustomerList,
    CustomerRequest,
    CustomerStatus,
    Document,
    Effect,
    Environment,
    Event,
    Hook,
    InvalidRequestError,
    LoggingHook,
    PartnerCredentials,
    RateLimitedError,
    RawResponse,
    RequestTimeoutError,
    ResponseDecodeError,
    RetryPolicy,
    RetryScheduled,
    SystemClock,
    ThredfiClient,
    ThredfiError,
    Timeouts,
    TokenProvider,
    TransportError,
    Unset,
    __version__,
)
from thredfi_async.bulk import ArchiveItem, ArchiveResult, ArchiveRun, ItemState, StopPolicy, archive_many
from thredfi_async.worker import ArchiveHandler, Done, Rejected, RetryLater

BUSINESS = UUID("3c90c3cc-0d44-4b50-8888-8dd25736052a")
CUSTOMER = "3c90c3cc-0d44-4b50-8888-8dd25736052a"

VERSION: str = __version__


# -- making a client


async def text_provider() -> str:
    """A provider that knows no lifetime."""
    return "token"


async def token_provider() -> AccessToken:
    """A provider that does."""
    return AccessToken("token", expires_in=3600)


def clients(session: aiohttp.ClientSession, context: ssl.SSLContext) -> None:
    """The ways to make one."""
    ThredfiClient("token")
    ThredfiClient(token="token")
    ThredfiClient(credentials=PartnerCredentials(BUSINESS, "key"))
    ThredfiClient(credentials=PartnerCredentials(partner_uuid=CUSTOMER, api_key="key"))
    ThredfiClient(token_provider=text_provider)
    ThredfiClient(token_provider=token_provider)
    ThredfiClient("token", base_url="http://localhost:8000")
    ThredfiClient(
        "token",
        base_url=Environment.PRODUCTION,
        timeouts=Timeouts(connect=1, read=2.5, deadline=None, queue=60),
        retry=RetryPolicy(max_attempts=1, jitter=lambda: 0.5),
        max_connections=10,
        max_concurrency=5,
        rate=50.0,
        max_connection_age=60,
        hooks=[LoggingHook(), Counter()],
        session=session,
        proxy="http://proxy:3128",
        ssl=context,
        trust_env=True,
        max_body_bytes=1024,
        clock=SystemClock(),
    )
    ThredfiClient("token", ssl=False)
    assert_type(ThredfiClient.from_env(), ThredfiClient)
    ThredfiClient.from_env({"THREDFI_TOKEN": "token"}, max_connections=5, max_connection_age=None)
    assert_type(PartnerCredentials(BUSINESS, "key").partner_uuid, str)

    ThredfiClient("token", Environment.SANDBOX)  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]
    ThredfiClient(b"token")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ThredfiClient(credentials=("partner", "key"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ThredfiClient(token_provider=lambda: "token")  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType]
    ThredfiClient("token", timeouts=30)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ThredfiClient("token", hooks=[print])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    ThredfiClient("token", tiemouts=Timeouts())  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Timeouts(10.0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Timeouts(read=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    RetryPolicy(max_attempts="4")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def providers() -> None:
    """What is a token provider."""
    both: list[TokenProvider] = [text_provider, token_provider]
    assert_type(both, list[Callable[[], Awaitable[str | AccessToken]]])


async def lifetime() -> None:
    """Opening and closing."""
    async with ThredfiClient("token") as client:
        assert_type(client, ThredfiClient)
        assert_type(client.base_url, str)
    assert_type(await client.aclose(), None)
    assert_type(await client.aclose(drain=1.0), None)


# -- calls


def body() -> CustomerRequest:
    """A body with every field given, or left out on purpose."""
    request = CustomerRequest(
        external_id="crm-42",
        reference_number="R-7",
        individual_name="Jane Doe",
        email="jane@example.com",
        mobile_phone=UNSET,
        office_phone=UNSET,
        address_line1="1 High Street",
        address_line2=UNSET,
        city="London",
        state_county=UNSET,
        postal_code="SW1A 1AA",
        country="GB",
        vat_number=UNSET,
        tax_exempt=False,
        transaction_tags=["gold", {"since": 2020}],
        notes=UNSET,
        metadata={"any": ["json"]},
        payment_terms_days=30,
        credit_limit_cents=500_000,
    )
    CustomerRequest(external_id="crm-42")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    CustomerRequest.from_mapping(["x"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    request.email = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    assert_type(CustomerRequest.from_mapping({"external_id": "crm-42"}), CustomerRequest)
    return request


def narrowing(request: CustomerRequest) -> str:
    """UNSET is an enum's member, so that checkers narrow it."""
    assert_type(UNSET, Literal[Unset.UNSET])
    if isinstance(request.city, Unset):
        return "left out"
    assert_type(request.city, str)
    return request.city


async def archive(client: ThredfiClient) -> Customer:
    """Archiving, with a body of each kind, or none."""
    customer = await client.customers.archive(BUSINESS, CUSTOMER, body())
    assert_type(customer, Customer)
    assert_type(await client.customers.archive(CUSTOMER, BUSINESS), Customer)
    await client.customers.archive(BUSINESS, CUSTOMER, {"external_id": "crm-42"})
    await client.customers.archive(
        BUSINESS,
        CUSTOMER,
        customer=CustomerRequest.from_customer(customer),
        settle=False,
        timeouts=Timeouts(deadline=5),
        retry=RetryPolicy(max_attempts=2),
        idempotency_key="key",
        headers={"X-Trace": "1"},
    )
    await client.customers.archive(BUSINESS)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.customers.archive(BUSINESS, 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.customers.archive(BUSINESS, CUSTOMER, customer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.customers.archive(BUSINESS, CUSTOMER, None, False)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.customers.archive(BUSINESS, CUSTOMER)  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    client.customers = client.customers  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    return customer


async def many(client: ThredfiClient) -> None:
    """Gathered calls keep their types."""
    results = await asyncio.gather(*(client.customers.archive(BUSINESS, CUSTOMER) for _ in range(10)))
    assert_type(results, list[Customer])


async def get_and_list(client: ThredfiClient) -> None:
    """Reading one, and iterating over all."""
    assert_type(await client.customers.get(BUSINESS, CUSTOMER, timeouts=Timeouts(), headers={}), Customer)
    listed = client.customers.list(
        BUSINESS, include_archived=True, external_id="crm-42", page_size=50, retry=RetryPolicy()
    )
    assert_type(listed, CustomerList)
    async for page in listed.pages():
        assert_type(page.results, tuple[Customer, ...])
        assert_type(page.count, int | None)
        assert_type(page.next, str | None)
    async for customer in client.customers.list(BUSINESS):
        assert_type(customer, Customer)
    for _ in client.customers.list(BUSINESS):  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass


async def other(client: ThredfiClient) -> None:
    """Other settings, other requests, and JSON."""
    quick = client.with_options(timeout=5, max_retries=0, headers={"X-Tenant": "blue"})
    assert_type(quick, ThredfiClient)
    answer = await quick.request("POST", "/v1/platform/businesses/", params={"page": 2}, json={"name": "x"})
    assert_type(answer, RawResponse[Any])
    customer = await quick.customers.archive(BUSINESS, CUSTOMER, timeout=5.0, max_retries=0)
    assert_type(customer.to_dict(), dict[str, Any])
    assert_type(customer.to_json(), str)
    client.with_options(token="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def raw(client: ThredfiClient) -> None:
    """The answer beside the result."""
    response = await client.customers.with_raw_response.archive(BUSINESS, CUSTOMER, body(), settle=False)
    assert_type(response, RawResponse[Customer])
    assert_type(response.parsed, Customer)
    assert_type(response.status, int)
    assert_type(response.headers, Mapping[str, str])
    assert_type(response.request_id, str | None)
    assert_type(response.attempts, int)
    assert_type(response.elapsed, float)
    assert_type(response.already_archived, bool)
    assert_type(response.idempotency_key, str | None)
    assert_type(await client.customers.with_raw_response.get(BUSINESS, CUSTOMER), RawResponse[Customer])


# -- values


def reading(customer: Customer) -> None:
    """What the fields of a customer are."""
    assert_type(customer.id, UUID)
    assert_type(customer.status, CustomerStatus | str)
    assert_type(customer.is_archived, bool)
    assert_type(customer.email, str | None)
    assert_type(customer.tax_exempt, bool | None)
    assert_type(customer.credit_limit_cents, int | None)
    assert_type(customer.transaction_tags, tuple[Any, ...])
    assert_type(customer.documents, tuple[Document, ...])
    assert_type(customer.documents[0].url, str | None)
    assert_type(customer.documents[0].document_id, UUID | None)
    assert_type(customer.archived_at, dt.datetime | None)
    assert_type(customer.extra, Mapping[str, Any])
    customer.email.lower()  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    customer.is_active = False  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    customer.extra["x"] = 1  # type: ignore[index]  # pyright: ignore[reportIndexIssue]


# -- errors


async def errors(client: ThredfiClient) -> None:
    """What the errors say, by class."""
    try:
        await client.customers.archive(BUSINESS, CUSTOMER)
    except InvalidRequestError as error:
        assert_type(error.problems, tuple[str, ...])
    except RateLimitedError as error:
        assert_type(error.retry_after, float | None)
    except APIError as error:
        assert_type(error.status, int)
        assert_type(error.error_code, str | None)
        assert_type(error.message, str | None)
        assert_type(error.details, Mapping[str, object])
        assert_type(error.body, bytes)
    except RequestTimeoutError as error:
        assert_type(error.phase, Literal["queue", "connect", "read", "deadline"])
    except (ConnectError, TransportError) as error:
        assert_type(error.transient, bool)
    except ResponseDecodeError as error:
        assert_type(error.problems, tuple[str, ...])
    except ThredfiError as error:
        assert_type(error.effect, Effect)
        assert_type(error.attempts, int)
        assert_type(error.request_id, str | None)
        assert_type(error.idempotency_key, str | None)


def builtin_bases(error: ConfigurationError, late: RequestTimeoutError) -> tuple[ValueError, TimeoutError]:
    """Errors are the builtin ones too."""
    return error, late


def every_effect(effect: Effect) -> str:
    """There are three, and checkers know."""
    match effect:
        case Effect.NOT_APPLIED:
            return "certainly not"
        case Effect.UNKNOWN:
            return "perhaps"
        case Effect.APPLIED:
            return "certainly"
    assert_never(effect)


def order(one: Effect, other: Effect) -> Effect:
    """Effects compare."""
    assert_type(one < other, bool)
    return max(one, other)


# -- hooks and clocks


class Counter:
    """A hook needs no base class."""

    def on_event(self, event: Event, /) -> None:
        """Look at each kind of event."""
        match event:
            case Attempt():
                assert_type(event.status, int | None)
            case RetryScheduled():
                assert_type(event.wait, float)
            case CallEnded():
                assert_type(event.outcome, Literal["succeeded", "failed", "cancelled"])
            case _:
                assert_never(event)


class Deaf:
    """What hears nothing is no hook."""

    def on_event(self) -> None:
        """Take nothing."""


def protocols() -> tuple[Hook, Hook, Clock]:
    """What satisfies them, and what does not."""
    deaf: Hook = Deaf()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    del deaf
    return Counter(), LoggingHook(), SystemClock()


# -- bulk and worker


async def bulk_runs(client: ThredfiClient, ids: list[UUID]) -> None:
    """Results are values, and their states are few."""
    items = (ArchiveItem(one, one) for one in ids)
    async with archive_many(client, items, journal="run.db", stop=StopPolicy(outage_timeout=60)) as run:
        assert_type(run, ArchiveRun)
        async for result in run:
            assert_type(result, ArchiveResult)
            assert_type(result.state, ItemState)
            assert_type(result.code, str | None)
    archive_many(client, 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def handled(client: ThredfiClient, payload: bytes) -> float:
    """There are three decisions, and checkers know."""
    decision = await ArchiveHandler(client)(payload)
    match decision:
        case Done():
            assert_type(decision.state, ItemState)
        case Rejected():
            assert_type(decision.code, str)
        case RetryLater():
            return decision.delay
        case _:
            assert_never(decision)
    return 0.0
