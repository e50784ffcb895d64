"""Arguments are all checked before anything is sent; lists follow pages, and never to another origin."""

import asyncio
import math
from collections import UserDict
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from enum import Enum
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import pytest
from faultserver import Answer, FaultServer, Healthy, Request, bodies, faults
from helpers import BUSINESS, CUSTOMER, GET, ONCE, OTHER, PAGES, PATH, POST, Recorder, body, client_of, failure

from thredfi_async import (
    Customer,
    CustomerRequest,
    Effect,
    InvalidRequestError,
    PermissionDeniedError,
    ResponseDecodeError,
    ServerError,
    ThredfiClient,
    ThredfiError,
)
from thredfi_async._checks.headers import LONGEST
from thredfi_async.resources._listing import followed

UUID_RULE = "must be a UUID such as 3c90c3cc-0d44-4b50-8888-8dd25736052a, not"


@pytest.fixture
async def unused() -> AsyncGenerator[ThredfiClient]:
    """Yield a client whose server must receive nothing."""
    async with FaultServer() as server, client_of(server.url) as client:
        yield client
        assert server.connections == 0


async def problems_of(call: Any) -> tuple[str, ...]:
    """Return the problems of a refused call."""
    error = await failure(call, InvalidRequestError)
    assert (error.effect, error.attempts) == (Effect.NOT_APPLIED, 0)
    assert str(error) == "; ".join(error.problems)
    return error.problems


# Identifiers


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("", "text of 0 characters"),
        ("Jane Doe", "text of 8 characters"),
        (CUSTOMER.replace("-", ""), "text of 32 characters"),
        (f"{{{CUSTOMER}}}", "text of 38 characters"),
        (f"urn:uuid:{CUSTOMER}", "text of 45 characters"),
        (f"{CUSTOMER}\n", "text of 37 characters"),
        (f"{CUSTOMER}/../x", "text of 41 characters"),
        (CUSTOMER.replace("1", "\N{ARABIC-INDIC DIGIT ONE}"), "text of 36 characters"),
        ("..", "text of 2 characters"),
        (5, "int"),
        (None, "NoneType"),
        (True, "bool"),
        (CUSTOMER.encode(), "bytes"),
        (UUID(CUSTOMER).int, "int"),
    ],
)
async def test_ids_that_are_none(value: Any, what: str, unused: ThredfiClient) -> None:
    """Anything but a canonical UUID is refused, and not quoted."""
    for call in (unused.customers.archive(value, value, body()), unused.customers.get(value, value)):
        assert await problems_of(call) == (f"business_id: {UUID_RULE} {what}", f"customer_id: {UUID_RULE} {what}")
    with pytest.raises(InvalidRequestError) as caught:
        unused.customers.list(value)
    assert caught.value.problems == (f"business_id: {UUID_RULE} {what}",)


@pytest.mark.parametrize("customer_id", [CUSTOMER, UUID(CUSTOMER), "AAAAAAAA-1111-4111-8111-111111111111"])
async def test_ids(customer_id: str | UUID) -> None:
    """A UUID or its text in any case is accepted, sent in lower case, and compared with the answer in any case."""

    def payload(request: Request) -> dict[str, Any]:
        return bodies.customer(str(bodies.customer_id_in(request.path)).upper())

    upper = Answer.json(200, payload)
    async with FaultServer([upper]) as server, client_of(server.url) as client:
        done = await client.customers.archive(UUID(BUSINESS), customer_id, body())
        assert server.requests[0].path == f"{PAGES}{str(customer_id).lower()}/archive/"
    assert done.id == UUID(str(customer_id))


# Bad input


def wrong(**fields: Any) -> dict[str, Any]:
    """Return a body with these fields invalid."""
    return body(**fields)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"external_id": ""}, "external_id: must not be empty"),
        ({"notes": None}, "notes: must be a string, not NoneType"),
        ({"city": "\ud800"}, "city: holds a lone surrogate, which no UTF-8 text can"),
        ({"payment_terms_days": True}, "payment_terms_days: must be an integer, not bool"),
        ({"credit_limit_cents": 1.0}, "credit_limit_cents: must be an integer, not float"),
        ({"tax_exempt": 1}, "tax_exempt: must be true or false, not int"),
        ({"email": "secret"}, "email: must be an email address, such as name@example.com"),
        ({"country": "gb"}, "country: must be two capital letters (ISO 3166-1 alpha-2), such as GB"),
        ({"transaction_tags": "secret"}, "transaction_tags: must be a list, not str"),
        ({"metadata": {"a": [math.nan]}}, "metadata.a[0]: NaN and infinities are not JSON"),
        ({"metadata": {"a": object()}}, "metadata.a: object is not a JSON value"),
        ({"metadata": {5: 1}}, "metadata[key 0]: keys must be strings, not int"),
        ({"nots": "secret"}, "nots: is not a documented field; did you mean notes?"),
    ],
)
async def test_fields_that_are_wrong(fields: dict[str, Any], problem: str, unused: ThredfiClient) -> None:
    """One clear message names the field and not its value."""
    assert await problems_of(unused.customers.archive(BUSINESS, CUSTOMER, wrong(**fields))) == (problem,)


async def test_a_missing_name_and_a_missing_field(unused: ThredfiClient) -> None:
    """One of the two names is required, and every other field."""
    fields = body()
    for name in ("individual_name", "company_name", "notes"):
        del fields[name]
    assert set(await problems_of(unused.customers.archive(BUSINESS, CUSTOMER, fields))) == {
        "individual_name, company_name: one of them must be given",
        "notes: is missing",
    }


async def test_all_wrong_fields_at_once(unused: ThredfiClient) -> None:
    """All invalid fields are reported at once, so that they can be fixed together."""
    fields = dict.fromkeys(body(), "")
    found = await problems_of(unused.customers.archive(BUSINESS, CUSTOMER, fields))
    assert {problem.partition(":")[0] for problem in found} == fields.keys() - {"metadata"}


@pytest.mark.parametrize("value", [5, "text", [body()], b"{}", object()])
async def test_bodies_that_are_none(value: Any, unused: ThredfiClient) -> None:
    """A body must be a request or a mapping."""
    (problem,) = await problems_of(unused.customers.archive(BUSINESS, CUSTOMER, value))
    assert problem.startswith("customer: must be a CustomerRequest or a mapping, not ")


async def test_a_customer_in_the_place_of_a_body(unused: ThredfiClient) -> None:
    """A `Customer` is refused as a body."""
    customer: Any = Customer(id=UUID(CUSTOMER), status="ACTIVE", is_active=True, is_archived=False)
    (problem,) = await problems_of(unused.customers.archive(BUSINESS, CUSTOMER, customer))
    assert problem.startswith("customer: must be a CustomerRequest or a mapping, not Customer")


BAD_VALUES = [
    ("", "must be visible ASCII characters, and not empty"),
    (" ", "must be visible ASCII characters, and not empty"),
    ("a\r\nX-Evil: 1", "must be visible ASCII characters, and not empty"),
    ("a\n", "must be visible ASCII characters, and not empty"),
    ("a\0", "must be visible ASCII characters, and not empty"),
    ("é", "must be visible ASCII characters, and not empty"),
    ("x" * (LONGEST + 1), f"must not be longer than {LONGEST} characters"),
    (5, "must be a string, not int"),
]


@pytest.mark.parametrize(("value", "problem"), BAD_VALUES)
async def test_header_values_that_cannot_be_sent(value: Any, problem: str, unused: ThredfiClient) -> None:
    """Keys and headers are checked alike, in every call."""
    archive = unused.customers.archive(BUSINESS, CUSTOMER, body(), idempotency_key=value, headers={"X-Own": value})
    assert await problems_of(archive) == (f"idempotency_key: {problem}", f"headers[X-Own]: {problem}")
    get = unused.customers.get(BUSINESS, CUSTOMER, headers={"X-Own": value})
    assert await problems_of(get) == (f"headers[X-Own]: {problem}",)
    with pytest.raises(InvalidRequestError):
        unused.customers.list(BUSINESS, headers={"X-Own": value})


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "content-type",
        "Content-Length",
        "HOST",
        "Idempotency-Key",
        "Accept-Encoding",
        "Connection",
        "Expect",
    ],
)
async def test_headers_that_are_ours(name: str, unused: ThredfiClient) -> None:
    """Headers that the client sets are refused, in any case."""
    call = unused.customers.archive(BUSINESS, CUSTOMER, body(), headers={name: "x"})
    assert await problems_of(call) == (f"headers[{name}]: is set by the client itself",)


async def test_all_wrong_arguments_at_once(unused: ThredfiClient) -> None:
    """Ids, body, key and headers are checked together."""
    bad: Any = 5
    call = unused.customers.archive("x", "y", bad, idempotency_key="", headers={"X": "", "Host": "z", "b d": "1"})
    found = await problems_of(call)
    places = [problem.partition(":")[0] for problem in found]
    assert places == [
        "business_id",
        "customer_id",
        "customer",
        "idempotency_key",
        "headers[X]",
        "headers[Host]",
        "headers[2]",
    ]
    assert await problems_of(unused.customers.get(BUSINESS, CUSTOMER, headers=bad)) == (
        "headers: must be a mapping, not int",
    )


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"page_size": 0}, ("page_size",)),
        ({"page_size": -1}, ("page_size",)),
        ({"page_size": True}, ("page_size",)),
        ({"page_size": "10"}, ("page_size",)),
        ({"page_size": 1.0}, ("page_size",)),
        ({"external_id": ""}, ("external_id",)),
        ({"external_id": 5}, ("external_id",)),
        ({"external_id": "\ud800"}, ("external_id",)),
        ({"page_size": 0, "external_id": ""}, ("page_size", "external_id")),
    ],
)
async def test_filters_that_cannot_be(arguments: dict[str, Any], found: tuple[str, ...], unused: ThredfiClient) -> None:
    """Invalid filters are refused by `list`, not during the iteration."""
    with pytest.raises(InvalidRequestError) as caught:
        unused.customers.list(BUSINESS, **arguments)
    assert tuple(problem.partition(":")[0] for problem in caught.value.problems) == found


async def test_headers_are_taken_as_they_were_checked() -> None:
    """A mapping that changes while its call waits does not change what is sent."""
    async with FaultServer([Healthy()]) as server, client_of(server.url, max_connections=1) as client:
        assert client._limiter.acquire_nowait()
        headers = {"X-Own": "1"}
        call = asyncio.create_task(client.customers.archive(BUSINESS, CUSTOMER, body(), headers=headers))
        await asyncio.sleep(0)
        headers.update({"X-Own": "2", "X-Evil": "a\r\nb"})
        client._limiter.release()
        await call
        assert server.requests[0].header("X-Own") == "1"
        assert server.requests[0].header("X-Evil") is None


async def test_a_body_that_cannot_be_encoded(unused: ThredfiClient) -> None:
    """A number that Python cannot write, deep in the metadata, is refused."""
    request = CustomerRequest(**body(metadata=10**5000))
    (problem,) = await problems_of(unused.customers.archive(BUSINESS, CUSTOMER, request))
    assert problem.startswith("transaction_tags, metadata: hold a number")


# Lists


def page(*ids: str, following: str | None = None) -> Answer:
    """Return one page; its items have no documents."""
    items = [bodies.customer(each) for each in ids]
    for item in items:
        del item["documents"]
    return Answer.json(200, {"count": len(ids), "next": following, "previous": None, "results": items})


async def ids(customers: AsyncIterator[Customer]) -> list[str]:
    """Return the ids in order."""
    return [str(customer.id) async for customer in customers]


@pytest.mark.parametrize("relative", ["?page=2", f"{PAGES}?page=2", "../customers/?page=2"])
async def test_pages(relative: str) -> None:
    """Next links are followed, absolute and relative, one page at a time, with the call's headers."""

    def first(request: Request) -> bytes:
        return page(CUSTOMER, following=f"http://{request.header('Host')}{PAGES}?page=1").render(request)

    script: list[Any] = [first, page(following=relative), page(OTHER)]
    async with FaultServer(script) as server, client_of(server.url) as client:
        listing = client.customers.list(BUSINESS, headers={"X-Own": "1"})
        assert str((await anext(listing)).id) == CUSTOMER
        assert len(server.requests) == 1
        assert await ids(listing) == [OTHER]
        assert [request.target for request in server.requests] == [PAGES, f"{PAGES}?page=1", f"{PAGES}?page=2"]
        assert {request.header("X-Own") for request in server.requests} == {"1"}
        assert {request.method for request in server.requests} == {"GET"}


async def test_whole_pages() -> None:
    """Pages have their customers, the number of all, and the link to go on from."""
    strange = Answer.json(200, {"count": "many", "next": None, "previous": None, "results": []})
    script: list[Any] = [page(CUSTOMER, following="?page=2"), page(OTHER), page(OTHER), strange]
    async with FaultServer(script) as server, client_of(server.url) as client:
        first, second = [each async for each in client.customers.list(BUSINESS).pages()]
        assert ([str(each.id) for each in first.results], first.count) == ([CUSTOMER], 1)
        assert (first.next, second.next) == (f"{server.url}{PAGES}?page=2", None)
        assert "page=2" not in repr(first)
        assert await ids(client.customers.list(BUSINESS, start=first.next)) == [OTHER]
        assert server.requests[-1].target == f"{PAGES}?page=2"
        (odd,) = [each async for each in client.customers.list(BUSINESS).pages()]
        assert odd.count is None


async def test_a_page_whose_link_cannot_be_followed() -> None:
    """It does not look like the last one, and the next step says why there is none."""
    script: list[Any] = [page(CUSTOMER, following="https://other.example/")]
    async with FaultServer(script) as server, client_of(server.url) as client:
        pages = client.customers.list(BUSINESS).pages()
        assert (await anext(pages)).next == "https://other.example/"
        with pytest.raises(ResponseDecodeError, match="leads to another origin"):
            await anext(pages)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"start": "https://other.example/?page=2"}, "start: must be the next link of a page of this API"),
        ({"start": 5}, "start: must be the next link of a page of this API"),
        ({"start": "?page=2", "page_size": 5}, "start: has the filters of the list that it comes from; give no others"),
    ],
)
async def test_starts_that_cannot_be(arguments: dict[str, Any], problem: str, unused: ThredfiClient) -> None:
    """A start on another host is refused at once, and so are filters that it would ignore."""
    with pytest.raises(InvalidRequestError) as caught:
        unused.customers.list(BUSINESS, **arguments)
    assert caught.value.problems == (problem,)


async def test_a_list_that_is_closed() -> None:
    """After `aclose` there is nothing more, begun or not."""
    async with FaultServer([page(CUSTOMER, OTHER)]) as server, client_of(server.url) as client:
        begun, not_begun = client.customers.list(BUSINESS), client.customers.list(BUSINESS)
        await anext(begun)
        for listing in (begun, not_begun):
            await listing.aclose()
            assert await ids(listing) == []
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("arguments", "query"),
    [
        ({}, {}),
        ({"include_archived": False}, {}),
        ({"include_archived": True}, {"include_archived": "true"}),
        ({"external_id": "a b&c=d/é?#"}, {"external_id": "a b&c=d/é?#"}),
        ({"page_size": 50}, {"page_size": "50"}),
        (
            {"page_size": 1, "external_id": "x", "include_archived": True},
            {"page_size": "1", "external_id": "x", "include_archived": "true"},
        ),
    ],
)
async def test_filters(arguments: dict[str, Any], query: Mapping[str, str]) -> None:
    """Filters are sent under the contract's names, encoded."""
    async with FaultServer([page()]) as server, client_of(server.url) as client:
        assert await ids(client.customers.list(BUSINESS, **arguments)) == []
        path, _, sent = server.requests[0].target.partition("?")
    assert path == PAGES
    assert dict(parse_qsl(sent)) == query


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/v1/",
        "//evil.example/v1/",
        "https://127.0.0.1:{port}/v1/",
        "http://127.0.0.1:1/v1/",
        "http://localhost:{port}/v1/",
        "http://user@127.0.0.1:{port}/v1/",
        "http://:password@127.0.0.1:{port}/v1/",
        "http://@127.0.0.1:{port}/v1/",
        "http://127.0.0.1:{port}@evil.example/",
        "http://evil.example\\@127.0.0.1:{port}/",
        "ftp://127.0.0.1:{port}/",
        "javascript:alert(1)",
        "http://[::1",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:port/",
        "",
        " ",
        "?page=é",
        "?page=1\r\nX-Evil: 1",
    ],
)
async def test_links_to_strangers(link: str) -> None:
    """The token is not sent to another origin: the list ends with an error, after the customers before it."""

    def first(request: Request) -> bytes:
        port = str(request.header("Host")).partition(":")[2]
        return page(CUSTOMER, following=link.replace("{port}", port)).render(request)

    async with FaultServer([first]) as server, client_of(server.url) as client:
        listing = client.customers.list(BUSINESS)
        assert str((await anext(listing)).id) == CUSTOMER
        error = await failure(anext(listing), ResponseDecodeError)
        assert len(server.requests) == 1
    assert "another origin, or nowhere" in str(error)
    assert error.problems == ("$.next: another origin",)
    assert error.effect is Effect.NOT_APPLIED


@pytest.mark.parametrize(
    ("here", "link"),
    [
        ("https://api.example/v1/", "https://api.example:443/v1/?page=2"),
        ("https://api.example:443/v1/", "https://api.example/v1/?page=2"),
        ("https://api.example/v1/", "HTTPS://API.example/v1/?page=2"),
        ("http://localhost/v1/", "http://localhost:80/v1/?page=2"),
    ],
)
def test_one_origin_in_two_spellings(here: str, link: str) -> None:
    """A default port may be given or omitted."""
    assert followed(link, here) is not None


@pytest.mark.parametrize("circle", [["?page=1"], ["?page=2", "?page=1"], ["?page=2", "?page=3", "?page=4", "?page=2"]])
async def test_links_in_a_circle(circle: list[str]) -> None:
    """Circular links are detected soon."""
    script = [page(CUSTOMER, following="?page=1"), *[page(CUSTOMER, following=link) for link in circle * 10]]
    async with FaultServer(script) as server, client_of(server.url) as client:
        listing = client.customers.list(BUSINESS)
        error = await failure(ids(listing), ResponseDecodeError)
        assert len(server.requests) <= 3 * len(circle) + 4
    assert "lead back to a page" in str(error)


async def test_many_pages() -> None:
    """A long list is not taken for a circle."""
    script = [page(CUSTOMER, following=f"?page={number}") for number in range(99)]
    async with FaultServer([*script, page(CUSTOMER)]) as server, client_of(server.url) as client:
        assert len(await ids(client.customers.list(BUSINESS))) == 100


async def test_a_page_that_fails() -> None:
    """Customers before a failed page are returned; the error is an ordinary one, and each page is a call of its own."""
    hook = Recorder()
    script = [page(CUSTOMER, following="?page=2"), faults.problem(403)]
    async with FaultServer(script) as server, client_of(server.url, hooks=[hook]) as client:
        listing = client.customers.list(BUSINESS)
        await anext(listing)
        error = await failure(anext(listing), PermissionDeniedError)
        with pytest.raises(StopAsyncIteration):
            await anext(listing)
    assert (error.effect, error.attempts) == (Effect.NOT_APPLIED, 1)
    assert [event.operation for event in hook.attempts] == ["customers.list", "customers.list"]


@pytest.mark.parametrize(
    "answer",
    [faults.html(), faults.literal(), faults.good().cut("body"), Answer.json(200, {"next": None, "results": [{}]})],
)
async def test_a_page_that_is_none(answer: Answer) -> None:
    """An invalid page is reported as such."""
    async with FaultServer([answer], repeat_last=True) as server, client_of(server.url) as client:
        with pytest.raises(ThredfiError):
            await ids(client.customers.list(BUSINESS, retry=ONCE))


async def test_a_list_that_is_left() -> None:
    """If the caller stops early, no more pages are fetched, and no slot is held between pages."""
    async with FaultServer([page(CUSTOMER, OTHER, following="?page=2")]) as server, client_of(server.url) as client:
        listing: Any = client.customers.list(BUSINESS)
        await anext(listing)
        assert client._limiter.in_use == 0
        await listing.aclose()
        assert len(server.requests) == 1


# A base URL with a path


async def test_a_base_url_with_a_path() -> None:
    """The path is kept, in requests and in relative links."""
    routes: Any = {POST: [Healthy()], GET: [Healthy()], ("GET", "/customers/"): [page(following="?page=2"), page()]}
    async with FaultServer(routes=routes) as server, client_of(f"{server.url}/gateway/") as client:
        await client.customers.get(BUSINESS, CUSTOMER)
        await client.customers.archive(BUSINESS, CUSTOMER, body())
        await ids(client.customers.list(BUSINESS))
        targets = [request.target for request in server.requests]
    assert targets == [
        f"/gateway{PATH}",
        f"/gateway{PATH}archive/",
        f"/gateway{PAGES}",
        f"/gateway{PAGES}?page=2",
    ]


async def test_get() -> None:
    """`get` returns the customer with its documents, or raises."""
    async with FaultServer([faults.good(), faults.problem(503)]) as server, client_of(server.url) as client:
        customer = await client.customers.get(BUSINESS, CUSTOMER)
        assert len(customer.documents) == 1
        error = await failure(client.customers.get(BUSINESS, CUSTOMER, retry=ONCE), ServerError)
    assert error.effect is Effect.NOT_APPLIED


class Unreadable(UserDict[str, str]):
    """Headers that cannot be read."""

    def __getitem__(self, key: str) -> str:
        raise LookupError("a secret")


async def test_headers_that_cannot_be_read(unused: ThredfiClient) -> None:
    """A mapping that raises is a wrong argument, and its exception is not even the context."""
    headers = Unreadable({"X": "a"})
    archive = unused.customers.archive(BUSINESS, CUSTOMER, body(), headers=headers)
    get = unused.customers.get(BUSINESS, CUSTOMER, headers=headers)
    for call in (archive, get):
        with pytest.raises(InvalidRequestError) as caught:
            await call
        assert caught.value.problems == ("headers: reading them raised LookupError",)
        assert caught.value.__context__ is None


class Text(str, Enum):  # noqa: UP042 - whose members Python formats as their names
    """Texts of a caller's own."""

    KEY = "key-of-job-7"


async def test_texts_of_a_subclass_are_sent_as_they_are() -> None:
    """The key that is sent is the key that is told."""
    async with FaultServer([Healthy()]) as server, client_of(server.url) as client:
        raw = await client.customers.with_raw_response.archive(
            BUSINESS, CUSTOMER, body(), idempotency_key=Text.KEY, headers={"X-Own": Text.KEY}
        )
    (request,) = server.requests
    assert (request.header("Idempotency-Key"), request.header("X-Own")) == ("key-of-job-7", "key-of-job-7")
    assert (raw.idempotency_key, type(raw.idempotency_key)) == ("key-of-job-7", str)
