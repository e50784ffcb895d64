import asyncio
import json
from urllib.parse import urlsplit
from uuid import uuid4

import aiohttp
import orjson
import pytest
from mock_server_caller import Answer, calling, path_of

from thredfi_async import ThredfiClient
from thredfi_async.mock_server import Fault, FaultKind, MockServer, seeded_customers


def problem(answer: Answer) -> tuple[int, str]:
    """Return the status and code of an error, which must have the contract's envelope."""
    assert answer.headers["Content-Type"] == "application/json"
    assert set(answer.json) == {"error", "error_code", "details"}
    return answer.status, answer.json["error_code"]


async def test_a_customer_is_archived() -> None:
    """A valid request archives its customer, and the server's own state shows it."""
    async with calling(MockServer(customers=2)) as caller:
        customer, other = caller.server.customers
        answer = await caller.archive(customer)
        assert (answer.status, answer.json["id"]) == (200, str(customer.customer_id))
        assert answer.json["is_archived"] is True
        assert caller.server.is_archived(customer.customer_id)
        assert not caller.server.is_archived(str(other.customer_id))
        assert (await caller.get(customer)).json == answer.json


async def test_every_answer_has_a_request_id() -> None:
    """Successes and refusals have request ids, each a different one."""
    async with calling(MockServer(customers=1)) as caller:
        customer = caller.server.customers[0]
        answers = [await caller.archive(customer), await caller.archive(customer, {}), await caller.send("GET", "/x")]
        assert len({answer.headers["X-Request-Id"] for answer in answers}) == 3


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_missing_slash_is_redirected(method: str) -> None:
    """A missing slash is redirected, as by Django's APPEND_SLASH, and nothing is applied."""
    async with calling(MockServer(customers=1)) as caller:
        customer = caller.server.customers[0]
        path = path_of(customer) + "archive"
        answer = await caller.send(method, path + "?a=1", data=orjson.dumps(customer.body))
        assert (answer.status, answer.headers["Location"]) == (301, path + "/?a=1")
        assert not caller.server.is_archived(customer.customer_id)


async def test_refusals_come_in_order_and_in_the_envelope() -> None:
    """Method, token, business, customer, media type, body: each refusal has its status and code."""
    async with calling(MockServer(customers=2, businesses=2)) as caller:
        customer, other = caller.server.customers
        path = path_of(customer) + "archive/"
        stranger = path.replace(str(customer.business_id), str(uuid4()))
        unknown = path.replace(str(customer.customer_id), str(uuid4()))
        elsewhere = path.replace(str(customer.business_id), str(other.business_id))
        wrong = {"Authorization": "Bearer wrong"}
        assert problem(await caller.send("GET", path, headers=wrong)) == (405, "method_not_allowed")
        assert problem(await caller.send("POST", stranger, headers=wrong)) == (401, "invalid_token")
        assert problem(await caller.send("POST", path, headers={"Authorization": ""})) == (
            401,
            "authentication_required",
        )
        assert problem(await caller.send("POST", stranger)) == (403, "permission_denied")
        assert problem(await caller.send("POST", unknown)) == (404, "not_found")
        assert problem(await caller.send("POST", elsewhere)) == (404, "not_found")
        assert problem(await caller.send("POST", path, data=b"{}")) == (415, "unsupported_media_type")
        assert problem(await caller.archive(customer, b"{")) == (400, "validation_error")
        assert problem(await caller.send("GET", "/v1/")) == (404, "not_found")


@pytest.mark.parametrize("method", ["DELETE", "HEAD", "OPTIONS", "PATCH", "PUT", "QUERY", "TRACE"])
async def test_other_methods_are_405(method: str) -> None:
    """A method that an endpoint does not accept is answered with the accepted one."""
    async with calling(MockServer(customers=1)) as caller:
        path = path_of(caller.server.customers[0])
        for suffix, allowed in (("", "GET"), ("archive/", "POST")):
            answer = await caller.send(method, path + suffix)
            assert (answer.status, answer.headers["Allow"]) == (405, allowed)


async def test_strict_and_lenient_bodies() -> None:
    """A body with fields left out is refused by a strict server and merged by a lenient one."""
    body = {"notes": "left"}
    async with calling(MockServer(customers=1)) as caller:
        answer = await caller.archive(caller.server.customers[0], body)
        assert problem(answer) == (400, "validation_error")
        assert len(answer.json["details"]) == 19
    async with calling(MockServer(customers=1, strict=False)) as caller:
        customer = caller.server.customers[0]
        answer = await caller.archive(customer, body)
        assert {name: answer.json[name] for name in customer.body} == {**customer.body, **body}


async def test_the_token_endpoint_gives_tokens_that_work() -> None:
    """Partner credentials are exchanged for a token with a lifetime."""
    async with calling(MockServer(customers=1, token_lifetime=90)) as caller:
        customer = caller.server.customers[0]
        answer = await caller.token()
        assert answer.status == 200
        assert (answer.json["token_type"], answer.json["expires_in"]) == ("Bearer", 90)
        caller.server.expire_tokens()
        assert problem(await caller.archive(customer)) == (401, "invalid_token")
        for token in ((await caller.token()).json["access_token"], caller.server.issue_token()):
            assert (await caller.archive(customer, Authorization=f"Bearer {token}")).status == 200


async def test_the_token_endpoint_is_strict() -> None:
    """Wrong credentials, another media type and another grant are refused."""
    async with calling(MockServer(customers=1)) as caller:
        assert problem(await caller.token(Authorization="Basic eDp5")) == (401, "authentication_required")
        assert problem(await caller.token(b"{}", **{"Content-Type": "application/json"}))[0] == 415
        assert problem(await caller.token({"grant_type": "password"})) == (400, "validation_error")


async def test_lists_are_paged_by_absolute_urls() -> None:
    """Following `next` returns every customer once, and `previous` goes back."""
    async with calling(MockServer(customers=14, businesses=2)) as caller:
        ids: list[str] = []
        path = f"/v1/platform/businesses/{caller.server.business_ids[0]}/customers/?page_size=3"
        while True:
            page = (await caller.send("GET", path)).json
            ids += [customer["id"] for customer in page["results"]]
            assert page["count"] == 7
            if page["next"] is None:
                break
            assert page["next"].startswith(caller.server.url + "/v1/")
            url = urlsplit(str(page["next"]))
            path = f"{url.path}?{url.query}"
        assert ids == [str(customer.customer_id) for customer in caller.server.customers[::2]]
        assert "page=2" in page["previous"]


async def test_page_urls_keep_the_filters() -> None:
    """The next page belongs to the same list, whatever characters the filter has."""
    async with calling(MockServer(customers=2, strict=False)) as caller:
        for customer in caller.server.customers:
            assert (await caller.archive(customer, {"external_id": "ä &"})).status == 200
        page = (await caller.list("?external_id=%C3%A4%20%26&include_archived=true&page_size=1")).json
        assert page["count"] == 2
        url = urlsplit(str(page["next"]))
        second = (await caller.send("GET", f"{url.path}?{url.query}")).json
        assert [customer["external_id"] for customer in page["results"] + second["results"]] == ["ä &", "ä &"]
        assert problem(await caller.list("?page=0")) == (400, "validation_error")


async def test_a_key_repeats_its_first_answer() -> None:
    """The same idempotency key replays a success; a new one gets the conflict."""
    async with calling(MockServer(customers=1, repeat="conflict")) as caller:
        customer = caller.server.customers[0]
        first = await caller.archive(customer, Idempotency_Key="a")
        assert (await caller.archive(customer, Idempotency_Key="a")).body == first.body
        assert problem(await caller.archive(customer, Idempotency_Key="b")) == (409, "conflict")
        record = caller.server.requests.of(customer.customer_id)
        assert (record.requests, record.applied, record.keys) == (3, 1, {"a", "b"})


async def test_the_rate_limit_answers_429() -> None:
    """A request over the limit gets a 429 with Retry-After, in the envelope; the token endpoint has no limit."""
    now = [0.0]
    async with calling(MockServer(customers=1, rate_limit=2, clock=lambda: now[0])) as caller:
        customer = caller.server.customers[0]
        answers = [await caller.get(customer) for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert (problem(answers[2]), answers[2].headers["Retry-After"]) == ((429, "throttled"), "1")
        assert (await caller.token()).status == 200
        now[0] += 0.5
        assert (await caller.get(customer)).status == 200


async def test_what_was_received_is_recorded() -> None:
    """Counts by kind and status, keys and digests; refused requests and unknown customers count too."""
    async with calling(MockServer(customers=2, keep_arrivals=True)) as caller:
        customer, other = caller.server.customers
        await caller.archive(customer, b"{", Idempotency_Key="k")
        await caller.archive(customer, Idempotency_Key="k", Authorization="Bearer wrong")
        await caller.archive(customer, Idempotency_Key="k")
        await caller.get(customer)
        await caller.list()
        await caller.token()
        await caller.send("GET", "/x")
        record = caller.server.requests
        assert record.totals == {"archive": 3, "get": 1, "list": 1, "token": 1, "other": 1}
        assert record.statuses == {200: 4, 400: 1, 401: 1, 404: 1}
        one = record.of(customer.customer_id)
        assert (one.requests, one.reads, one.applied, one.keys, len(one.digests)) == (3, 1, 1, {"k"}, 2)
        assert one.first_applied is not None
        assert record.of(other.customer_id).requests == 0
        assert [kind for _, kind in record.arrivals][:4] == ["archive"] * 3 + ["get"]


async def test_an_outage_resets_or_answers_as_a_proxy() -> None:
    """During an outage every request is reset, or gets a proxy's page; afterwards all is as before."""
    async with calling(MockServer(customers=1)) as caller:
        customer = caller.server.customers[0]
        caller.server.set_down(True)
        with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
            await caller.archive(customer)
        with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
            await caller.token()
        caller.server.set_down(True, status=502)
        answer = await caller.archive(customer)
        assert (answer.status, answer.headers["Content-Type"]) == (502, "text/html; charset=utf-8")
        caller.server.set_down(False)
        assert (await caller.archive(customer)).status == 200


async def test_hostile_bytes_never_make_a_500() -> None:
    """Bad encodings, deep nesting, endless numbers, NULs and oversized bodies are refused or served."""
    async with calling(MockServer(customers=1)) as caller:
        customer = caller.server.customers[0]
        body = customer.body
        deep = b"[" * 100_000 + b"]" * 100_000
        raw = orjson.dumps({**body, "metadata": 0}).replace(b'"metadata":0', b'"metadata":%s')
        answers = [
            await caller.archive(customer, raw % deep),
            await caller.archive(customer, raw % (b"[" * 1000 + b"]" * 1000)),
            await caller.archive(customer, raw % (b"[" * 500 + b"]" * 500)),
            await caller.archive(customer, raw % (b"9" * 5000)),
            await caller.archive(customer, {**body, "notes": "\0"}),
            await caller.archive(customer, b"\xff\xfe"),
            await caller.archive(customer, b" " * (1 << 20) + b" "),
            await caller.archive(customer, Content_Encoding="gzip"),
            await caller.archive(customer, Content_Type="é/;;"),
            await caller.archive(customer, json.dumps({**body, "credit_limit_cents": 10**300}).encode()),
            await caller.list("?page=" + "9" * 6000),
            await caller.list("?external_id=%ff%00"),
        ]
        assert all(answer.status < 500 for answer in answers)
        assert [answer.status for answer in answers if answer.status not in {200, 400}] == [413, 415, 415, 404]


async def raw_exchange(server: MockServer, request: bytes) -> bytes:
    """Return the answer to bytes that no client library would send."""
    _, _, port = server.url.rpartition(":")
    reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize("target", [b"/\xff\xfe", b"/v1/platform/oauth2/token/?\xff", b"*", b"/%ff%00/"])
async def test_raw_bytes_in_a_target_are_no_500(target: bytes) -> None:
    """A request target that is not text is a 404."""
    async with MockServer(customers=1) as server:
        answer = await raw_exchange(server, b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert answer.split()[1] in {b"400", b"404", b"405"}


async def test_what_is_no_http_is_refused_in_the_envelope() -> None:
    """A request that cannot be parsed gets a 400 in the contract's envelope, and no traceback in the log."""
    async with MockServer(customers=1) as server:
        answer = await raw_exchange(server, b"NONSENSE\r\n\r\n")
        assert answer.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400"))
        assert orjson.loads(answer.partition(b"\r\n\r\n")[2])["error_code"] == "parse_error"


async def test_a_broken_framing_is_refused() -> None:
    """An invalid chunk ends in a 400 or a closed connection, and nothing is applied."""
    async with MockServer(customers=1) as server:
        head = f"POST {path_of(server.customers[0])}archive/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        head += f"Authorization: Bearer {server.token}\r\nContent-Type: application/json\r\n\r\n"
        answer = await raw_exchange(server, head.encode() + b"2\r\n{}\r\nzz\r\n")
        assert answer.split()[1:2] in ([b"400"], [])
        assert not server.requests.applied


async def test_a_wild_host_header_gets_no_place_in_urls() -> None:
    """Page URLs use the Host header only if it is valid."""
    async with MockServer(customers=2) as server:
        path = f"/v1/platform/businesses/{server.business_ids[0]}/customers/?page_size=1"
        head = (
            f"GET {path} HTTP/1.1\r\nHost: a b<>\r\nAuthorization: Bearer {server.token}\r\nConnection: close\r\n\r\n"
        )
        answer = await raw_exchange(server, head.encode())
        assert orjson.loads(answer.partition(b"\r\n\r\n")[2])["next"].startswith("http://localhost/v1/")


async def test_a_client_that_leaves_half_way_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """A request whose body never comes ends without a log line, and changes nothing."""
    async with calling(MockServer(customers=1)) as caller:
        customer = caller.server.customers[0]
        _, _, port = caller.server.url.rpartition(":")
        reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
        head = f"POST {path_of(customer)}archive/ HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n"
        writer.write(f"{head}Authorization: Bearer {caller.server.token}\r\n\r\n{{".encode())
        await writer.drain()
        while not caller.server.requests.totals["archive"]:
            await caller.token()
        writer.close()
        await writer.wait_closed()
        del reader
        await caller.token()
        assert not caller.server.is_archived(customer.customer_id)
    assert not [record for record in caplog.records if record.name != "asyncio"]


async def test_a_server_starts_again_with_its_state_and_port() -> None:
    """A stopped server refuses connections; started again, it has its state and address."""
    async with calling(MockServer(customers=1)) as caller:
        server, url = caller.server, caller.server.url
        customer = server.customers[0]
        await caller.archive(customer)
        await server.aclose()
        with pytest.raises(aiohttp.ClientConnectorError):
            await caller.get(customer)
        await server.start()
        assert server.url == url
        assert (await caller.get(customer)).json["is_archived"] is True
        await server.aclose()
        await server.aclose()


async def test_starting_twice_is_refused() -> None:
    """A running server does not start again, and a taken port is an error that leaves nothing behind."""
    async with MockServer(customers=1) as server:
        with pytest.raises(RuntimeError, match="running"):
            await server.start()
        port = int(server.url.rpartition(":")[2])
        other = MockServer(customers=1, port=port)
        with pytest.raises(OSError, match=str(port)):
            await other.start()
        await other.aclose()


async def test_a_server_needs_no_loop_before_it_starts() -> None:
    """Customers and plans exist before it listens, its URL does not; IPv6 hosts are bracketed."""
    server = MockServer(customers=3, seed=5)
    assert list(server.customers) == list(seeded_customers(3, 1, 5))
    server.queue_faults(server.customers[0].customer_id, Fault(FaultKind.SERVER_ERROR))
    with pytest.raises(RuntimeError, match="started"):
        assert server.url
    assert MockServer(host="::1", port=80).url == "http://[::1]:80"


async def test_strangers_have_no_state() -> None:
    """Asking for the state of a customer that does not exist is a KeyError."""
    with pytest.raises(KeyError):
        MockServer(customers=1).is_archived(uuid4())


async def test_latency_can_be_set_while_running() -> None:
    """Every request takes the latency that is set when it arrives."""
    async with calling(MockServer(customers=1, latency=0.05)) as caller:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        await caller.get(caller.server.customers[0])
        assert loop.time() - begin >= 0.045
        caller.server.latency = 0.0
        assert caller.server.latency == 0
        assert (await caller.get(caller.server.customers[0])).status == 200


async def test_environ_is_what_a_client_needs() -> None:
    """`from_env` makes a client of it, which fetches its token with the partner's credentials."""
    server = MockServer(customers=1)
    with pytest.raises(RuntimeError, match="before it is started"):
        _ = server.environ
    async with server, ThredfiClient.from_env(server.environ) as client:
        each = server.customers[0]
        await client.customers.archive(each.business_id, each.customer_id)
        assert server.is_archived(each.customer_id)
        assert client.base_url == server.url
