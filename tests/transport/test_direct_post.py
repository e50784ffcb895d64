"""A POST without aiohttp's session: the same request, the same answers, and no interference with other requests."""

import asyncio
from typing import Any
from unittest import mock

import aiohttp
import pytest
from faultserver import FaultServer, Healthy, faults
from helpers import BUSINESS, CUSTOMER, ONCE, body, client_of, failure

from thredfi_async import APIError, ConnectError, ConnectionLostError, Effect, Timeouts
from thredfi_async._interfaces import Request, Verdict
from thredfi_async._transport.connections import Connector
from thredfi_async._transport.direct_post import LONGEST, DirectPost


def request_of(**changed: Any) -> Request[None]:
    """Return a request that can be sent directly, with changes."""
    usual: dict[str, Any] = {"method": "POST", "url": "https://api.example/a/", "body": b""}
    return Request(judge=lambda _: Verdict(), **usual | changed)


async def test_the_session_would_send_the_same() -> None:
    """With a session of the caller's own, aiohttp writes the same bytes, except for the case of header names."""
    options: dict[str, Any] = {"idempotency_key": "key-1", "headers": {"user-agent": "mine/1", "X-Trace": "abc"}}
    async with FaultServer([Healthy(), Healthy()]) as server, aiohttp.ClientSession() as session:
        for ways in ({}, {"session": session}):
            async with client_of(server.url, **ways) as client:
                await client.customers.archive(BUSINESS, CUSTOMER, body(), **options)
        ours, aiohttps = server.requests
    assert (ours.method, ours.target, ours.body) == (aiohttps.method, aiohttps.target, aiohttps.body)
    assert sorted((name.lower(), value) for name, value in ours.headers) == sorted(
        (name.lower(), value) for name, value in aiohttps.headers
    )


async def test_answers_that_only_announce() -> None:
    """Informational answers (100 and 103) are skipped."""
    async with FaultServer([faults.informational(100, 103, 102)]) as server, client_of(server.url) as client:
        assert (await client.customers.archive(BUSINESS, CUSTOMER, body())).is_archived


async def test_a_body_that_is_long() -> None:
    """A body that the server may be slow to read goes through the session, which waits."""
    long = body(notes="x" * LONGEST)
    async with FaultServer([Healthy()]) as server, client_of(server.url) as client:
        assert (await client.customers.archive(BUSINESS, CUSTOMER, long)).is_archived
        assert server.requests[0].json()["notes"] == long["notes"]


@pytest.mark.parametrize(
    ("changed", "takes"),
    [({}, True), ({"body": b"x" * (LONGEST + 1)}, False), ({"body": None}, False), ({"method": "GET"}, False)],
)
def test_what_goes_this_way(changed: dict[str, Any], takes: bool) -> None:
    """A POST with a body that can be written at once is sent directly."""
    assert DirectPost(mock.Mock(), mock.Mock(), {}).can_send(request_of(**changed)) is takes


def test_a_session_that_is_stood_in_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a test library has replaced the session's method, every request goes through it."""
    monkeypatch.setattr(aiohttp.ClientSession, "_request", mock.AsyncMock())
    assert not DirectPost(mock.Mock(), mock.Mock(), {}).can_send(request_of())


async def test_an_aiohttp_that_nobody_has_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an unchecked version of aiohttp, its session sends all requests."""
    monkeypatch.setattr("thredfi_async._transport.direct_post.KNOWN", False)
    monkeypatch.setattr(DirectPost, "post", mock.AsyncMock(side_effect=AssertionError))
    async with FaultServer([Healthy()]) as server, client_of(server.url) as client:
        assert (await client.customers.archive(BUSINESS, CUSTOMER, body())).is_archived


async def test_the_session_follows_no_redirect_either() -> None:
    """A GET goes through the session, which follows no redirect either."""
    async with FaultServer([faults.redirect(302, "/elsewhere/"), Healthy()]) as server, client_of(server.url) as client:
        error = await failure(client.customers.get(BUSINESS, CUSTOMER), APIError)
        assert (error.status, len(server.requests)) == (302, 1)


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
async def test_no_header_ends_a_line(end: str) -> None:
    """A line break in a header never turns one request into two."""
    async with FaultServer([]) as server, client_of(server.url, retry=ONCE) as client:
        with mock.patch("thredfi_async.resources._requests.headers_problems", return_value=[]):
            call = client.customers.archive(BUSINESS, CUSTOMER, body(), headers={"X-Trace": f"a{end}X-Other: b"})
            error = await failure(call, ConnectError)
        assert (error.effect, error.transient, server.connections) == (Effect.NOT_APPLIED, False, 0)


async def test_a_connection_may_idle_for_longer_than_an_answer() -> None:
    """Silence counts only while waiting for an answer."""
    async with FaultServer([Healthy(), Healthy()]) as server:
        async with client_of(server.url, timeouts=Timeouts(read=0.05)) as client:
            for _ in range(2):
                assert (await client.customers.archive(BUSINESS, CUSTOMER, body())).is_archived
                await asyncio.sleep(0.08)
        assert server.connections == 1


async def test_a_connection_that_is_gone_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pooled connection may be lost in the same moment; whether anything was written is unknown."""
    lent = mock.Mock(protocol=None)
    monkeypatch.setattr(Connector, "connect", mock.AsyncMock(return_value=lent))
    async with FaultServer([]) as server, client_of(server.url, retry=ONCE) as client:
        error = await failure(client.customers.archive(BUSINESS, CUSTOMER, body(), settle=False), ConnectionLostError)
    assert error.effect is Effect.UNKNOWN
    lent.close.assert_called_once_with()
