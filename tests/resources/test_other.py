"""Requests for which there is no method: read as often as needed, changed once."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from faultserver import Answer, Cut, FaultServer, Healthy, Step, faults
from helpers import Recorder, client_of, failure
from hypothesis import given, settings
from hypothesis import strategies as st

from thredfi_async import (
    APIError,
    AuthenticationError,
    ConflictError,
    Effect,
    InvalidRequestError,
    NotFoundError,
    PartnerCredentials,
    RateLimitedError,
    ResponseDecodeError,
    RetryPolicy,
    ServerError,
    ThredfiError,
)
from thredfi_async.resources._other import _line_problems

AT = "/v1/platform/businesses/"
HASTY = RetryPolicy(jitter=lambda: 0.0)


async def test_a_get() -> None:
    """A GET has its query, and is retried; what comes is the answer with its parsed JSON."""
    script = [faults.problem(503), Answer.json(200, {"results": [1]}, {"X-Request-Id": "r-1"})]
    async with FaultServer(script) as server, client_of(server.url, retry=HASTY) as client:
        answer = await client.request(
            "GET", AT, params={"page": 2, "all": True, "tag": ["a b", "é"], "none": None}, headers={"X-Own": "1"}
        )
        assert (answer.parsed, answer.status, answer.request_id, answer.attempts) == ({"results": [1]}, 200, "r-1", 2)
        assert [request.target for request in server.requests] == [f"{AT}?page=2&all=true&tag=a+b&tag=%C3%A9"] * 2
        assert {request.header("X-Own") for request in server.requests} == {"1"}
        assert {request.header("Content-Type") for request in server.requests} == {None}


async def test_a_head_has_no_json() -> None:
    """A HEAD ends with its status, and no value."""
    script = [Answer.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")]
    async with FaultServer(script) as server, client_of(server.url) as client:
        answer = await client.request("HEAD", AT)
    assert (answer.parsed, answer.status) == (None, 200)


async def test_a_change() -> None:
    """Any other method sends its JSON, and its success is an effect."""
    hook = Recorder()
    script = [Answer.json(201, {"id": 1}), Answer.content(204, b""), faults.literal(b"null")]
    async with FaultServer(script) as server, client_of(server.url, hooks=[hook]) as client:
        assert (await client.request("POST", AT, json={"name": "é", "big": 10**30})).parsed == {"id": 1}
        assert (await client.request("DELETE", f"{AT}1/")).parsed is None
        assert (await client.request("PATCH", f"{AT}1/", json=None)).parsed is None
        first, second, third = server.requests
    assert (first.header("Content-Type"), first.json()) == ("application/json", {"name": "é", "big": 10**30})
    assert (second.method, second.body, third.body) == ("DELETE", b"", b"null")
    assert [end.effect for end in hook.ends] == [Effect.APPLIED] * 3
    assert {end.operation for end in hook.ends} == {"request"}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    ("step", "kind", "effect"),
    [
        (faults.problem(500), ServerError, Effect.UNKNOWN),
        (faults.problem(503), ServerError, Effect.UNKNOWN),
        (faults.detail(404), NotFoundError, Effect.UNKNOWN),
        (faults.problem(404), NotFoundError, Effect.NOT_APPLIED),
        (faults.problem(409), ConflictError, Effect.NOT_APPLIED),
        (faults.problem(429), RateLimitedError, Effect.NOT_APPLIED),
        (faults.detail(429), RateLimitedError, Effect.UNKNOWN),
        (faults.redirect(307, "/elsewhere/"), APIError, Effect.UNKNOWN),
        (Cut("request", applied=True), None, Effect.UNKNOWN),
        (faults.html(), ResponseDecodeError, Effect.UNKNOWN),
    ],
    ids=str,
)
async def test_a_change_is_sent_once(method: str, step: Step, kind: type[ThredfiError] | None, effect: Effect) -> None:
    """Whatever comes, one request was sent, and only the API's own envelope says that it did nothing."""
    hook = Recorder()
    async with FaultServer([step]) as server, client_of(server.url, retry=HASTY, hooks=[hook]) as client:
        with pytest.raises(kind or ThredfiError) as caught:
            await client.request(method, AT, json={"name": "x"})
        assert (caught.value.effect, caught.value.attempts, len(server.requests)) == (effect, 1, 1)
    assert hook.ended.effect is effect


@pytest.mark.parametrize(("refused", "is_again"), [(faults.problem(401), True), (faults.detail(401), False)])
async def test_a_refused_token(refused: Step, is_again: bool) -> None:
    """A change is sent again with a new token only if the API itself refused the old one."""
    credentials = PartnerCredentials("22222222-2222-4222-8222-222222222222", "key")
    script = [Healthy(), refused, Healthy(), Answer.json(200, {})]
    async with FaultServer(script) as server, client_of(server.url, credentials=credentials) as client:
        if is_again:
            assert (await client.request("POST", AT, json={})).attempts == 2
        else:
            error = await failure(client.request("POST", AT, json={}), AuthenticationError)
            assert (error.effect, error.attempts) == (Effect.UNKNOWN, 1)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"method": "get"}, "method: must be an HTTP method in capital letters"),
        ({"method": "CONNECT"}, "method: must be"),
        ({"method": 5}, "method: must be"),
        ({"path": "customers"}, "path: must begin with one slash"),
        ({"path": "//other.example/"}, "path: must begin with one slash"),
        ({"path": "https://other.example/"}, "path: must begin with one slash"),
        ({"path": "/a b"}, "path: must begin"),
        ({"path": "/a\r\nX: y"}, "path: must begin"),
        ({"path": "/a?b=c"}, "path: must begin"),
        ({"path": b"/a"}, "path: must begin"),
        ({"params": [("a", "b")]}, "params: must be a mapping, not list"),
        ({"params": {"a": object()}}, "params: names must be texts; values texts, numbers"),
        ({"params": {1: "a"}}, "params: names must be texts"),
        ({"params": {"a": "\ud800"}}, "params: must be texts that can be written in UTF-8"),
        ({"json": {}}, "json: a GET has no body; give params"),
        ({"method": "POST", "json": {"a": float("nan")}}, "json: cannot be written as JSON (ValueError)"),
        ({"method": "POST", "json": object()}, "json: cannot be written as JSON (TypeError)"),
        ({"headers": {"Host": "x"}}, "headers[Host]: is set by the client itself"),
        ({"timeout": -1}, "timeout: must be a positive number of seconds"),
    ],
    ids=str,
)
async def test_arguments_that_cannot_be(arguments: dict[str, Any], problem: str) -> None:
    """What cannot be sent is refused before anything is."""
    given: dict[str, Any] = {"method": "GET", "path": AT} | arguments
    async with FaultServer() as server, client_of(server.url) as client:
        error = await failure(client.request(given.pop("method"), given.pop("path"), **given), InvalidRequestError)
        assert (error.problems[0].startswith(problem), server.connections) == (True, 0), error.problems


async def test_an_answer_that_is_too_long() -> None:
    """It is said, and proves nothing."""
    script = [Answer.json(200, {"a": "x" * 500})]
    async with FaultServer(script) as server, client_of(server.url, max_body_bytes=100) as client:
        error = await failure(client.request("POST", AT, json={}), ResponseDecodeError)
    assert str(error) == "200, the body is longer than max_body_bytes (100)"
    assert error.effect is Effect.UNKNOWN


async def test_headers_of_every_call() -> None:
    """Those of the client are on it too."""
    async with FaultServer([Answer.json(200, {})]) as server, client_of(server.url, headers={"X-Gate": "1"}) as client:
        await client.request("POST", AT, json={}, headers={"X-Own": "2"})
        (request,) = server.requests
    assert (request.header("X-Gate"), request.header("X-Own")) == ("1", "2")


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.text(), st.text())
def test_no_path_leaves_the_host(method: str, path: str) -> None:
    """Whatever path is accepted, the request goes to the base URL's host."""
    if not _line_problems(method, path):
        parts = urlsplit(f"https://api.example{path}")
        assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("https", "api.example", "", "")


def test_it_takes_a_path() -> None:
    """A path of the API is accepted."""
    assert not _line_problems("GET", AT)
