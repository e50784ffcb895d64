"""The client's settings and lifecycle: what it refuses, which loop it belongs to, and how it closes."""

import asyncio
import gc
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest
from faultserver import FaultServer, Healthy, faults
from helpers import (
    BUSINESS,
    CUSTOMER,
    HANGS,
    ONCE,
    STUCK,
    Recorder,
    body,
    client_of,
    connections_in_use,
    failure,
    leaving_nothing,
    slots_in_use,
    stuck,
    until,
)

from thredfi_async import (
    ClientStateError,
    ConfigurationError,
    ConnectError,
    Customer,
    Effect,
    Environment,
    PartnerCredentials,
    ThredfiClient,
    Timeouts,
)

PARTNER = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
CREDENTIALS = PartnerCredentials(PARTNER, "secret-key")


async def provider() -> str:
    """Return a token."""
    return "token"


def archive(client: ThredfiClient, **options: Any) -> Awaitable[Customer]:
    """Archive the customer."""
    return client.customers.archive(BUSINESS, CUSTOMER, body(), **options)


# Settings


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, "give exactly one of token, credentials, token_provider, not none"),
        ({"token": "a", "credentials": CREDENTIALS}, "token and credentials"),
        ({"token": "a", "token_provider": provider}, "token and token_provider"),
        ({"credentials": CREDENTIALS, "token_provider": provider}, "credentials and token_provider"),
        ({"token": 5}, "token must not be int"),
        ({"token": b"a"}, "token must not be bytes"),
        ({"credentials": (PARTNER, "key")}, "credentials must not be tuple"),
        ({"token_provider": "token"}, "token_provider must not be str"),
        ({"token": ""}, "must be visible ASCII"),
        ({"token": "a b"}, "must be visible ASCII"),
        ({"token": "a\n"}, "must be visible ASCII"),
        ({"token": "a", "base_url": "api.thredfi.com"}, "base_url must be an absolute URL"),
        ({"token": "a", "base_url": "http://api.thredfi.com"}, "base_url must use https"),
        ({"token": "a", "base_url": 5}, "base_url must be an Environment or a string, not int"),
        ({"token": "a", "base_url": f"https://{'a' * 64}.example"}, "base_url must be an absolute URL"),
        ({"token": "a", "base_url": "https://a..b"}, "base_url must be an absolute URL"),
        ({"token": "a", "base_url": "https://a\\b.example"}, "base_url must be an absolute URL"),
        ({"token": "a", "timeouts": 5}, "timeouts must be a Timeouts, not int"),
        ({"token": "a", "retry": 3}, "retry must be a RetryPolicy, not int"),
        ({"token": "a", "max_connections": 0}, "max_connections must be a whole number of at least 1, not 0"),
        ({"token": "a", "max_connections": True}, "max_connections must be a whole number"),
        ({"token": "a", "max_connections": "5"}, "max_connections must be a whole number"),
        ({"token": "a", "rate": 0}, "rate must be a positive number of requests a second, not 0; None is no maximum"),
        ({"token": "a", "max_concurrency": 0}, "max_concurrency must be a whole number of at least 1, not 0"),
        ({"token": "a", "max_concurrency": 101}, r"max_concurrency \(101\) must not be over max_connections \(100\)"),
        ({"token": "a", "max_body_bytes": 1.5}, "max_body_bytes must be a whole number"),
        *(
            ({"token": "a", "max_connection_age": age}, "max_connection_age must be a positive number of seconds")
            for age in (0, -1.0, float("nan"), float("inf"), "300", True)
        ),
        *(
            ({"token": "a", "proxy": proxy}, "proxy must be an http or https URL")
            for proxy in ("", "proxy:3128", "socks5://proxy:1", "http://", "http://a..b", "http://h:99999", 5)
        ),
    ],
)
def test_settings_that_cannot_work(settings: dict[str, Any], sentence: str) -> None:
    """An invalid setting is refused with a message that names it, before anything connects."""
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        ThredfiClient(**settings)
    assert isinstance(caught.value, ValueError)
    assert caught.value.effect is Effect.NOT_APPLIED


def test_a_proxys_password_is_not_shown() -> None:
    """A refused proxy URL is not shown, since it may contain a password."""
    with pytest.raises(ConfigurationError) as caught:
        client_of("https://api.example", proxy="socks5://user:secret-password@proxy")
    assert "secret-password" not in str(caught.value)


async def test_ssl_belongs_to_the_sessions_connector() -> None:
    """`ssl` is refused together with a caller's session, where it would have no effect."""
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ConfigurationError, match="set ssl on the connector"):
            client_of("https://api.example", session=session, ssl=False)


def test_hooks_are_a_list() -> None:
    """A hook alone is refused with the setting's name, not with a TypeError of its first call."""
    with pytest.raises(ConfigurationError, match=r"^hooks must be a list of hooks, such as \[LoggingHook\(\)\], not "):
        client_of("https://api.example", hooks=Recorder())


def test_certificates_that_are_not_verified() -> None:
    """`ssl=False` warns where the client is made, and another `ssl` does not."""
    with pytest.warns(RuntimeWarning, match="^ssl=False: certificates are not verified") as caught:
        ThredfiClient("token", ssl=False)
    with pytest.warns(RuntimeWarning, match="^ssl=False: certificates are not verified") as too:
        ThredfiClient.from_env({"THREDFI_TOKEN": "token"}, ssl=False)
    assert [each.filename for each in [*caught, *too]] == [__file__, __file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client_of("https://api.example", ssl=True)
        client_of("https://api.example")


@pytest.mark.parametrize(
    ("base_url", "is_used"),
    [
        ("https://api.example", True),
        ("http://127.0.0.1:9", False),
        ("http://localhost:9", False),
        ("http://[::1]:9", False),
        ("https://localhost:9", False),
    ],
)
@pytest.mark.parametrize("by", ["argument", "environment"])
def test_this_machine_is_reached_without_a_proxy(
    base_url: str, is_used: bool, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token for this machine must not leave it in clear, wherever a proxy is configured."""
    proxy = "http://proxy.example:3128"
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, proxy)
    given: dict[str, Any] = {"proxy": proxy} if by == "argument" else {"trust_env": True}
    client = client_of(base_url, **given)
    assert client._transport._options.proxy == (proxy if is_used else None)


@pytest.mark.parametrize("settings", [{"trust_env": True}, {"proxy": "http://proxy.example:3128"}])
async def test_a_given_session_with_a_proxy_and_plain_http(settings: dict[str, Any]) -> None:
    """A session that would show the token to a proxy is refused; with https, its proxy is the caller's business."""
    async with aiohttp.ClientSession(**settings) as session:
        with pytest.raises(ConfigurationError, match=r"^session must have no proxy and no trust_env for plain http"):
            client_of("http://127.0.0.1:9", session=session)
        client_of("https://api.example", session=session)


def test_a_given_session_of_another_loop() -> None:
    """A session that belongs to another event loop is refused when it is used, and nothing is sent."""

    async def make() -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    async def use(session: aiohttp.ClientSession) -> ClientStateError:
        async with client_of("http://127.0.0.1:9", session=session) as client:
            return await failure(archive(client), ClientStateError)

    with asyncio.Runner() as first, asyncio.Runner() as second:
        session = first.run(make())
        error = second.run(use(session))
        first.run(session.close())
    assert str(error) == "the session that this client was given belongs to another event loop"
    assert (error.effect, error.transient) == (Effect.NOT_APPLIED, False)


@pytest.mark.parametrize("given", [{"token": "a"}, {"credentials": CREDENTIALS}, {"token_provider": provider}])
def test_repr_shows_no_secret(given: dict[str, Any]) -> None:
    """The repr shows only the base URL."""
    client = ThredfiClient(base_url="https://gateway.example/path/", **given)
    assert repr(client) == "<ThredfiClient https://gateway.example/path>"
    assert client.base_url == "https://gateway.example/path"


def test_environments() -> None:
    """The default environment is the sandbox; production must be requested."""
    assert repr(ThredfiClient("a")) == "<ThredfiClient https://sandbox.thredfi.com>"
    assert repr(ThredfiClient("a", base_url=Environment.PRODUCTION)) == "<ThredfiClient https://api.thredfi.com>"


async def test_concurrency_may_be_lower_than_connections() -> None:
    """The lower of the two limits bounds the requests in flight."""
    gate = asyncio.Event()
    async with (
        FaultServer([faults.good().held(gate)], repeat_last=True) as server,
        client_of(server.url, max_connections=5, max_concurrency=2) as client,
    ):
        calls = [asyncio.create_task(_await(archive(client))) for _ in range(5)]
        await server.until(lambda: len(server.requests) == 2)
        assert slots_in_use(client) == 2
        gate.set()
        await asyncio.gather(*calls)
        assert server.connections == 2


# The environment


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"THREDFI_TOKEN": "a"}, "https://sandbox.thredfi.com"),
        ({"THREDFI_TOKEN": "a", "THREDFI_BASE_URL": "https://x.example/"}, "https://x.example"),
        ({"THREDFI_TOKEN": "a", "THREDFI_ENVIRONMENT": "production"}, "https://api.thredfi.com"),
        ({"THREDFI_TOKEN": "a", "THREDFI_ENVIRONMENT": "SANDBOX"}, "https://sandbox.thredfi.com"),
        ({"THREDFI_PARTNER_UUID": PARTNER, "THREDFI_API_KEY": "k"}, "https://sandbox.thredfi.com"),
        (
            {"THREDFI_TOKEN": "a", "THREDFI_API_KEY": "", "THREDFI_BASE_URL": "", "THREDFI_ENVIRONMENT": ""},
            "https://sandbox.thredfi.com",
        ),
    ],
)
def test_from_env(environ: dict[str, str], url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`from_env` reads a mapping or the process's environment; an empty variable counts as unset."""
    for name in ("TOKEN", "PARTNER_UUID", "API_KEY", "BASE_URL", "ENVIRONMENT"):
        monkeypatch.delenv(f"THREDFI_{name}", raising=False)
    assert repr(ThredfiClient.from_env(environ)) == f"<ThredfiClient {url}>"
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert repr(ThredfiClient.from_env()) == f"<ThredfiClient {url}>"
    assert ThredfiClient.from_env().base_url == url


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({}, "not set: THREDFI_PARTNER_UUID and THREDFI_API_KEY"),
        ({"THREDFI_PARTNER_UUID": PARTNER}, "not set: THREDFI_API_KEY"),
        ({"THREDFI_API_KEY": "k"}, "not set: THREDFI_PARTNER_UUID"),
        ({"THREDFI_TOKEN": "a", "THREDFI_API_KEY": "k"}, "set THREDFI_TOKEN or .* not both"),
        ({"THREDFI_TOKEN": "a", "THREDFI_BASE_URL": "x", "THREDFI_ENVIRONMENT": "sandbox"}, "not both"),
        ({"THREDFI_TOKEN": "a", "THREDFI_ENVIRONMENT": "staging"}, "THREDFI_ENVIRONMENT must be sandbox or production"),
        ({"THREDFI_TOKEN": "secret token"}, "must be visible ASCII"),
        ({"THREDFI_PARTNER_UUID": "secret", "THREDFI_API_KEY": "k"}, "partner_uuid must be a UUID"),
    ],
)
def test_from_env_that_cannot_work(environ: dict[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the variables without their values; an empty mapping does not fall back to the environment."""
    monkeypatch.setenv("THREDFI_TOKEN", "of-the-process")
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        ThredfiClient.from_env(environ)
    assert "secret" not in str(caught.value)


def test_settings_beside_the_environment() -> None:
    """Settings beside the environment are used, and a base URL among them overrides it."""
    environ = {"THREDFI_TOKEN": "a", "THREDFI_ENVIRONMENT": "production"}
    client = ThredfiClient.from_env(environ, base_url="https://x.example", max_connections=3)
    assert repr(client) == "<ThredfiClient https://x.example>"
    assert client._limiter._limit == 3


# Event loop and process


def test_built_outside_a_loop() -> None:
    """A client built outside a loop connects on first use."""

    async def use(client: ThredfiClient) -> None:
        async with FaultServer([Healthy()]) as server, ThredfiClient("a", base_url=server.url) as inner:
            await archive(inner)
        await client.aclose()

    asyncio.run(use(ThredfiClient("a")))


def test_a_second_event_loop() -> None:
    """A second event loop is refused with the reason, for calls and for closing."""

    async def first() -> ThredfiClient:
        async with FaultServer([Healthy()]) as server:
            client = client_of(server.url)
            await archive(client)
            thread = threading.Thread(target=lambda: asyncio.run(second(client)))
            thread.start()
            await asyncio.to_thread(thread.join)
            await client.aclose()
        return client

    async def second(client: ThredfiClient) -> None:
        for call in (archive(client), client.aclose()):
            error = await failure(call, ClientStateError)
            assert "belongs to another event loop" in str(error)
            assert (error.effect, error.attempts) == (Effect.NOT_APPLIED, 0)

    client = asyncio.run(first())
    with pytest.raises(ClientStateError, match="this client is closed"):
        asyncio.run(_await(archive(client)))


async def _await(call: Awaitable[Customer]) -> Customer:
    return await call


async def test_closing_from_elsewhere_closes_nothing() -> None:
    """An `aclose` from another loop is refused and closes nothing."""
    async with FaultServer([Healthy(), Healthy()]) as server, client_of(server.url) as client:
        await archive(client)

        def elsewhere() -> None:
            with pytest.raises(ClientStateError, match="another event loop"):
                asyncio.run(client.aclose())

        await asyncio.to_thread(elsewhere)
        assert (await archive(client)).is_archived


FORK = """
import asyncio, os
from faultserver import FaultServer, Healthy
from helpers import BUSINESS, CUSTOMER, body, client_of
from thredfi_async import ClientStateError

async def refused(call):
    try:
        await call
    except ClientStateError as error:
        return f"belongs to process {os.getppid()}; make one for process {os.getpid()}" in str(error)

async def main():
    async with FaultServer([Healthy(), Healthy()]) as server, client_of(server.url) as client:
        await client.customers.archive(BUSINESS, CUSTOMER, body())
        child = os.fork()
        if child == 0:
            calls = [client.customers.archive(BUSINESS, CUSTOMER, body()), client.aclose()]
            RUN
            os._exit(sum(found))
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        assert os.waitstatus_to_exitcode(status) == 2
        assert (await client.customers.archive(BUSINESS, CUSTOMER, body())).is_archived
        assert server.connections == 1

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "run",
    ["found = [await refused(call) for call in calls]", "found = [asyncio.run(refused(call)) for call in calls]"],
    ids=["goes on", "a loop of its own"],
)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_forked_child(run: str) -> None:
    """A forked child is refused, and the parent's connection is not affected."""
    path = os.pathsep.join([str(Path(__file__).parents[1] / "support"), *sys.path])
    command = [sys.executable, "-W", "error", "-c", FORK.replace("RUN", run)]
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (0, "")


async def test_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the processes by number."""
    async with client_of("http://127.0.0.1:9", retry=ONCE) as client:
        await failure(archive(client), ConnectError)
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(os, "getpid", lambda: 1)
            error = await failure(archive(client), ClientStateError)
    assert str(error) == f"this client belongs to process {os.getpid()}; make one for process 1, forked from it"


# Closing


async def test_after_closing() -> None:
    """After closing, every call is refused, closing again does nothing, and no task or connection is left."""
    async with leaving_nothing(), FaultServer([Healthy()]) as server:
        client = client_of(server.url)
        await archive(client)
        await client.aclose()
        await client.aclose()
        await server.until(lambda: server.open_connections == 0)
        listing = client.customers.list(BUSINESS)
        for call in (archive(client), client.customers.get(BUSINESS, CUSTOMER), anext(listing)):
            error = await failure(call, ClientStateError)
            assert str(error).startswith("this client is closed; make a new one")
            assert isinstance(error, RuntimeError)
            assert (error.effect, error.attempts) == (Effect.NOT_APPLIED, 0)


async def test_closing_what_was_never_used() -> None:
    """A client that was never used can be closed."""
    async with ThredfiClient("a"):
        pass


async def test_closing_lets_calls_end() -> None:
    """Closing waits for calls in flight and calls that wait for their turn; new ones are refused."""
    gate = asyncio.Event()
    async with FaultServer([faults.good().held(gate)], repeat_last=True) as server:
        client = client_of(server.url, max_connections=1)
        calls = [asyncio.create_task(_await(archive(client))) for _ in range(3)]
        await server.until(lambda: len(server.requests) == 1)
        closing = asyncio.create_task(client.aclose())
        await asyncio.sleep(0)
        await failure(archive(client), ClientStateError)
        gate.set()
        assert all(customer.is_archived for customer in await asyncio.gather(*calls))
        await closing


def leftover_slots(state: str) -> int:
    """Return the slots that the test itself takes, so that the call has to queue."""
    return state in {"queued", "queued again"}


@pytest.mark.parametrize(("state", "effect", "attempts"), STUCK)
async def test_closing_ends_what_is_left(state: str, effect: Effect, attempts: int) -> None:
    """A call that closing ends gets a ClientStateError with its effect, and nothing is left running."""
    async with leaving_nothing(), stuck(state) as case:
        await case.client.aclose(drain=0.01)
        error = await failure(case.call, ClientStateError)
        assert (error.effect, error.attempts) == (effect, attempts)
        assert error.idempotency_key == (None if state == "queued" else "key")
        end = case.hook.ended
        assert (end.outcome, end.effect, end.error) == ("failed", effect, "ClientStateError")
        await case.server.until(lambda: case.server.open_connections == 0)
        assert slots_in_use(case.client) == leftover_slots(state)
        assert len(case.server.requests) == (0 if state == "connecting" else attempts)


@pytest.mark.parametrize(("state", "effect", "attempts"), STUCK)
async def test_closing_that_is_cancelled(state: str, effect: Effect, attempts: int) -> None:
    """A cancelled close still ends every call, closes every connection, and stays cancelled."""
    async with leaving_nothing(), stuck(state) as case:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await case.client.aclose()
        assert case.call.done()
        error = await failure(case.call, ClientStateError)
        assert (error.effect, error.attempts) == (effect, attempts)
        await case.server.until(lambda: case.server.open_connections == 0)


async def test_closing_that_is_cancelled_twice() -> None:
    """However often a close is cancelled, it closes everything before it ends."""
    async with leaving_nothing(), stuck("waiting for the head") as case:
        closing = asyncio.create_task(case.client.aclose())
        await asyncio.sleep(0)
        for _ in range(3):
            closing.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert not case.client._transport.is_open
        error = await failure(case.call, ClientStateError)
        assert (error.effect, error.attempts) == (Effect.UNKNOWN, 1)


async def test_closing_while_a_call_just_has_its_turn() -> None:
    """A call that has just had its turn ends before it sends anything."""
    async with leaving_nothing(), FaultServer([HANGS]) as server:
        client = client_of(server.url, max_connections=1)
        assert client._limiter.acquire_nowait()
        call = asyncio.create_task(_await(archive(client)))
        await until(lambda: client._limiter.waiting > 0)
        client._limiter.release()
        client._lifecycle.interrupt()
        error = await failure(call, ClientStateError)
        await client.aclose()
        assert not server.requests
    assert error.effect is Effect.NOT_APPLIED


async def test_closing_many() -> None:
    """Calls in flight and in the queue end without a cancellation."""
    async with leaving_nothing(), FaultServer([HANGS], repeat_last=True) as server:
        client = client_of(server.url, max_connections=5)
        calls = [asyncio.create_task(_await(archive(client))) for _ in range(50)]
        await server.until(lambda: server.applied == 5)
        await asyncio.gather(client.aclose(drain=0.01), client.aclose(drain=5.0))
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(error) for error in ended} == {ClientStateError}
        effects = [error.effect for error in ended if isinstance(error, ClientStateError)]
        assert (effects.count(Effect.UNKNOWN), effects.count(Effect.NOT_APPLIED)) == (5, 45)
        assert (slots_in_use(client), connections_in_use(client)) == (0, 0)


async def test_closing_as_the_deadline_passes() -> None:
    """A call whose deadline has just expired does not break the closing of its client."""
    async with leaving_nothing(), FaultServer([HANGS], repeat_last=True) as server:
        client = client_of(server.url)
        calls = [
            asyncio.create_task(_await(archive(client, settle=False, timeouts=Timeouts(deadline=0.03 + n / 5000))))
            for n in range(50)
        ]
        await asyncio.sleep(0)
        await client.aclose(drain=0.035)
        ended = await asyncio.gather(*calls, return_exceptions=True)
        await server.until(lambda: server.open_connections == 0)
    assert not [error for error in ended if isinstance(error, asyncio.CancelledError)]
    assert all(isinstance(error, ClientStateError | TimeoutError) for error in ended)


async def test_leaving_the_block_closes() -> None:
    """Leaving the `async with` block closes the client, also when the block raises."""
    client = client_of("http://127.0.0.1:9")

    async def leave() -> None:
        async with client as same:
            assert same is client
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await leave()
    await failure(archive(client), ClientStateError)


async def test_a_client_that_was_never_closed() -> None:
    """A client that goes away with an open session of its own warns by its own name."""
    client: ThredfiClient | None = client_of("http://127.0.0.1:9")
    assert client is not None
    await failure(archive(client, retry=ONCE), ConnectError)
    session = client._transport._session
    assert session is not None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        client = None
        gc.collect()
    said = [str(warning.message) for warning in caught if "ThredfiClient" in str(warning.message)]
    assert said == ["<ThredfiClient http://127.0.0.1:9> was never closed: use 'async with', or await aclose()"]
    assert {warning.category for warning in caught} == {ResourceWarning}
    await session.close()


@pytest.mark.parametrize("use", ["never", "closed", "given"])
async def test_a_client_that_has_nothing_to_close(use: str) -> None:
    """A client that was never used, was closed, or has a session of the caller's, goes away in silence."""
    async with aiohttp.ClientSession() as session:
        given: dict[str, Any] = {"session": session} if use == "given" else {}
        client: ThredfiClient | None = client_of("http://127.0.0.1:9", **given)
        assert client is not None
        if use != "never":
            await failure(archive(client, retry=ONCE), ConnectError)
        if use == "closed":
            await client.aclose()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            client = None
            gc.collect()
    assert not [warning for warning in caught if "ThredfiClient" in str(warning.message)]


def test_a_client_that_could_not_be_made_is_silent() -> None:
    """A refused setting leaves nothing that warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ConfigurationError):
            client_of("nonsense")
        gc.collect()


async def test_hooks_are_the_clients_own() -> None:
    """Later changes to the sequence of hooks have no effect."""
    hook = Recorder()
    hooks = [hook]
    async with FaultServer([Healthy()]) as server, client_of(server.url, hooks=hooks) as client:
        hooks.clear()
        await archive(client)
    assert hook.ended.outcome == "succeeded"


async def test_the_limits_can_be_looked_at() -> None:
    """What is in use, who waits, and what the API allows, before a call, while some wait, and after throttling."""
    client = client_of("http://127.0.0.1:1", max_connections=3)
    assert attrs.asdict(client.limits) == {
        "in_use": 0,
        "waiting": 0,
        "max_in_flight": 3,
        "rate": None,
        "cooldown": 0.0,
        "granted_rate": None,
        "granted_at_once": None,
    }
    limiter = client._limiter
    for _ in range(3):
        assert limiter.acquire_nowait()
    waiting = limiter.queue(None)
    limiter.throttled(limiter.ticket, 5.0)
    seen = client.limits
    assert not waiting.done()
    assert (seen.in_use, seen.waiting, seen.max_in_flight, seen.rate) == (3, 1, 3, None)
    assert 4.0 < seen.cooldown <= 5.0
    await client.aclose()
