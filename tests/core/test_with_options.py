"""Other settings over the same connections, and the shorthands for two of them."""

import gc
import warnings
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest
from faultserver import Cut, FaultServer, Healthy, faults
from helpers import BUSINESS, CUSTOMER, ONCE, Recorder, body, client_of, failure

from thredfi_async import (
    ClientStateError,
    ConfigurationError,
    InvalidRequestError,
    PartnerCredentials,
    RequestTimeoutError,
    RetryPolicy,
    ServerError,
    ThredfiClient,
    Timeouts,
)
from thredfi_async._version import __version__

PARTNER = "22222222-2222-4222-8222-222222222222"


async def test_connections_token_and_limits_are_shared() -> None:
    """A client with other settings uses the same connection and the same limits."""
    async with FaultServer([Healthy(), Healthy()]) as server, client_of(server.url) as client:
        other = client.with_options(headers={"X-Tenant": "blue"})
        await client.customers.archive(BUSINESS, CUSTOMER, body())
        await other.customers.archive(BUSINESS, CUSTOMER, body())
        assert server.connections == 1
        assert [request.header("X-Tenant") for request in server.requests] == [None, "blue"]
        assert other.limits == client.limits
        assert type(other) is ThredfiClient


async def test_no_retry() -> None:
    """`max_retries=0` sends one request, and leaves the client's own policy as it was."""
    async with FaultServer([faults.problem(500)]) as server, client_of(server.url) as client:
        other = client.with_options(max_retries=0)
        assert other.retry.max_attempts == 1
        assert client.retry.max_attempts == RetryPolicy().max_attempts
        await failure(other.customers.get(BUSINESS, CUSTOMER), ServerError)
        assert len(server.requests) == 1


async def test_settings_of_settings() -> None:
    """What the second set of options does not name stays as the first has it."""
    async with FaultServer([Healthy()]) as server, client_of(server.url) as client:
        first = client.with_options(max_retries=5, timeout=7.0, headers={"X-Tenant": "blue", "X-Region": "eu"})
        second = first.with_options(headers={"x-tenant": "red"})
        assert second.retry.max_attempts == 6
        assert second._pipeline.timeouts == Timeouts(connect=5.0, read=5.0, deadline=7.0)
        await second.customers.archive(BUSINESS, CUSTOMER, body(), headers={"X-REGION": "us"})
        (request,) = server.requests
        assert (request.header("X-Tenant"), request.header("X-Region")) == ("red", "us")


async def test_closing_it_closes_nothing() -> None:
    """It lives as long as the client that was made, and neither it nor its end disturbs that one."""
    async with FaultServer([Healthy(), Healthy()]) as server, client_of(server.url) as client:
        async with client.with_options(timeout=5.0) as other:
            await other.customers.archive(BUSINESS, CUSTOMER, body())
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            del other
            gc.collect()
        await client.customers.archive(BUSINESS, CUSTOMER, body())
        kept = client.with_options(timeout=5.0).with_options(max_retries=1)
        await client.aclose()
        await failure(kept.customers.get(BUSINESS, CUSTOMER), ClientStateError)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"timeout": 0}, "timeout: must be a positive number of seconds, not 0"),
        ({"timeout": True}, "timeout: must be a positive number of seconds"),
        ({"timeout": 5, "timeouts": Timeouts()}, "timeout: is short for timeouts"),
        ({"max_retries": -1}, "max_retries: must be a whole number of at least 0, not -1"),
        ({"max_retries": 1.0}, "max_retries: must be a whole number of at least 0"),
        ({"max_retries": 0, "retry": ONCE}, "max_retries: is short for retry"),
        ({"retry": 0}, "retry must be a RetryPolicy, not int"),
        ({"headers": {"Authorization": "x"}}, r"headers\[Authorization\]: is set by the client itself"),
        ({"headers": 5}, "headers: must be a mapping, not int"),
    ],
)
def test_options_that_cannot_be(settings: dict[str, Any], sentence: str) -> None:
    """A setting that is not valid is refused, for a client and for its options alike."""
    with pytest.raises(ConfigurationError, match=sentence):
        ThredfiClient("a", **settings)
    with pytest.raises(ConfigurationError, match=sentence):
        ThredfiClient("a").with_options(**settings)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"timeout": float("nan")}, "timeout: must be a positive number of seconds, not nan"),
        ({"timeout": 5, "timeouts": Timeouts()}, "timeout: is short for timeouts=Timeouts(deadline=...); give one"),
        ({"max_retries": True}, "max_retries: must be a whole number of at least 0, not True"),
        ({"retry": 0}, "retry: must be a RetryPolicy, not int"),
    ],
)
async def test_a_calls_own_options_that_cannot_be(settings: dict[str, Any], problem: str) -> None:
    """They are refused before anything is sent."""
    async with client_of("http://127.0.0.1:9") as client:
        for call in (client.customers.archive, client.customers.get):
            error = await failure(call(BUSINESS, CUSTOMER, **settings), InvalidRequestError)
            assert str(error).startswith(problem)
        with pytest.raises(InvalidRequestError):
            client.customers.list(BUSINESS, **settings)


async def test_a_calls_own_shorthands() -> None:
    """`timeout` bounds the whole call; `max_retries` is one less than its attempts."""
    script = [faults.problem(503), faults.problem(503)]
    retry = RetryPolicy(jitter=lambda: 0.0)
    async with FaultServer(script) as server, client_of(server.url, retry=retry) as client:
        error = await failure(client.customers.get(BUSINESS, CUSTOMER, max_retries=1), ServerError)
        assert (error.attempts, len(server.requests)) == (2, 2)
    async with FaultServer([Cut("request", how="hang")]) as server, client_of(server.url) as client:
        late = await failure(client.customers.get(BUSINESS, CUSTOMER, timeout=0.05), RequestTimeoutError)
        assert late.phase == "deadline"


@pytest.mark.parametrize("settings", [{"timeout": 9.0, "max_retries": 2}, {}])
def test_a_clients_shorthands(settings: Mapping[str, Any]) -> None:
    """A client's shorthands change one field of the default settings."""
    client = ThredfiClient("a", **settings)
    assert client._pipeline.timeouts == Timeouts(deadline=settings.get("timeout", 120.0))
    assert client.retry.max_attempts == settings.get("max_retries", 3) + 1


@pytest.mark.parametrize("session", [False, True], ids=["own", "given"])
async def test_headers_and_the_name_of_an_application(session: bool) -> None:
    """They are on every request, that for a token included; a call's own headers win."""
    given = aiohttp.ClientSession() if session else None
    credentials = PartnerCredentials(PARTNER, "key")
    settings: dict[str, Any] = {"credentials": credentials, "headers": {"X-Gate": "1"}, "app_name": "acme-billing/2.3"}
    try:
        async with FaultServer([Healthy()] * 3) as server:
            async with client_of(server.url, session=given, **settings) as client:
                await client.customers.archive(BUSINESS, CUSTOMER, body())
                await client.customers.archive(BUSINESS, CUSTOMER, body(), headers={"x-gate": "2"})
            assert [request.header("X-Gate") for request in server.requests] == ["1", "1", "2"]
            agents = {request.header("User-Agent") for request in server.requests}
            assert agents == {f"thredfi-async/{__version__} acme-billing/2.3"}
    finally:
        if given is not None:
            await given.close()


@pytest.mark.parametrize("name", ["", "two words", "a/b/c", "a\r\nX: y", 5, "é"])
def test_names_of_an_application_that_cannot_be(name: Any) -> None:
    """A name that would break the header is refused."""
    with pytest.raises(ConfigurationError, match="app_name must be a name"):
        ThredfiClient("a", app_name=name)


async def test_events_come_from_both() -> None:
    """The hooks of a client see the calls of all that are made of it."""
    hook = Recorder()
    async with FaultServer([Healthy()]) as server, client_of(server.url, hooks=[hook]) as client:
        await client.with_options(timeout=5.0).customers.archive(BUSINESS, CUSTOMER, body())
    assert len(hook.ends) == 1
