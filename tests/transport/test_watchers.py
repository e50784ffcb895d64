"""Who watches or replaces aiohttp's client gets every POST: looked at before each of them."""

import functools
import logging
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler
from faultserver import FaultServer, Healthy
from helpers import BUSINESS, CUSTOMER, ONCE, body, client_of

from thredfi_async import ThredfiClient
from thredfi_async._transport import watchers
from thredfi_async._transport.connections import Protocol
from thredfi_async._transport.direct_post import DirectPost, _BufferedProtocol
from thredfi_async._transport.watchers import _FUNCTIONS

Archive = Callable[[], Awaitable[bool]]


class Posts:
    """Archives with one client, and tells which way each POST went."""

    def __init__(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.url = url
        self.direct = 0
        post = DirectPost.post

        async def count(*arguments: Any) -> Any:
            self.direct += 1
            return await post(*arguments)

        monkeypatch.setattr(DirectPost, "post", count)
        self.client = self.another()

    def another(self, **settings: Any) -> ThredfiClient:
        return client_of(self.url, retry=ONCE, **settings)

    @property
    def session(self) -> Any:
        return self.client._transport._session

    async def is_direct(self, client: ThredfiClient | None = None) -> bool:
        """Archive, and return whether the POST went past the session."""
        before = self.direct
        assert (await (client or self.client).customers.archive(BUSINESS, CUSTOMER, body(), settle=False)).is_archived
        return self.direct > before


@pytest.fixture
async def posts(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Posts]:
    """Provide a client of a server that archives."""
    async with FaultServer([Healthy()], repeat_last=True) as server:
        found = Posts(server.url, monkeypatch)
        async with found.client:
            yield found


def place(name: str) -> tuple[Any, str]:
    """Return a class of aiohttp's and the name of its method."""
    kind, _, method = name.partition(".")
    return getattr(aiohttp, kind), method


def plain(function: Any) -> Any:
    """Replace a function as New Relic, Sentry or a fixture of a test does."""

    def replaced(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return replaced


def wrapping(function: Any) -> Any:
    """Replace a function as vcrpy does: it has the module and the name of what it replaces."""
    return functools.wraps(function)(plain(function))


def mocking(function: Any) -> Any:
    """Replace a function as aioresponses does."""
    return mock.create_autospec(function, side_effect=function)


class Proxy:
    """Stands for a function as the proxies of wrapt do, which OpenTelemetry and Datadog use."""

    def __init__(self, function: Any) -> None:
        self.__wrapped__ = function
        self.__module__ = function.__module__
        self.__code__ = function.__code__
        self.__globals__ = function.__globals__

    def __eq__(self, other: object) -> bool:
        return bool(self.__wrapped__ == other)

    def __hash__(self) -> int:
        return hash(self.__wrapped__)

    def __get__(self, instance: object, kind: type | None = None) -> Any:
        return self if instance is None else functools.partial(self.__wrapped__, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__wrapped__(*args, **kwargs)


@pytest.mark.parametrize("how", [plain, wrapping, mocking, Proxy])
@pytest.mark.parametrize("name", _FUNCTIONS)
async def test_a_function_that_was_replaced(
    name: str, how: Callable[[Any], Any], posts: Posts, caplog: pytest.LogCaptureFixture
) -> None:
    """Before the first call, after it, and until it is put back: it sees every POST, and the log says its name once."""
    caplog.set_level(logging.INFO, "thredfi_async")
    kind, method = place(name)
    with mock.patch.object(kind, method, how(getattr(kind, method))):
        assert not await posts.is_direct()
        assert not await posts.is_direct()
    assert await posts.is_direct()
    with mock.patch.object(kind, method, how(getattr(kind, method))):
        assert not await posts.is_direct()
    assert await posts.is_direct()
    words = f"POSTs go through aiohttp's session, which costs a little more: {name} is not aiohttp's own"
    assert [record.getMessage() for record in caplog.records if record.name == "thredfi_async"] == [words]


async def test_a_function_that_was_replaced_for_another_stays_seen(posts: Posts) -> None:
    """One replacement after another, without a pause between them: each sees its POST."""
    for how in (plain, wrapping, mocking, Proxy, plain):
        with mock.patch.object(aiohttp.ClientSession, "_request", how(aiohttp.ClientSession._request)):
            assert not await posts.is_direct()
    assert await posts.is_direct()


@pytest.mark.parametrize("kind", [mock.AsyncMock, mock.MagicMock, mock.Mock])
async def test_a_bare_mock(kind: Any, posts: Posts) -> None:
    """A mock that has no code, or any attribute that it is asked for, is called for every POST."""
    assert await posts.is_direct()
    answered = AssertionError("this is the mock")
    with mock.patch.object(aiohttp.ClientSession, "_request", kind(side_effect=answered)) as mocked:
        with pytest.raises(Exception, match="AssertionError"):
            await posts.is_direct()
        assert mocked.call_count == 1
    assert await posts.is_direct()


async def test_code_that_was_replaced_inside_the_function(posts: Posts, monkeypatch: pytest.MonkeyPatch) -> None:
    """What rewrites a function in place is seen too, by its code or by the note that it leaves."""
    function: Any = aiohttp.ClientSession._request
    assert await posts.is_direct()
    monkeypatch.setattr(function, "__dd_wrapped__", function, raising=False)
    own = function.__code__
    monkeypatch.setattr(function, "__code__", own.replace(co_name="_request_"))
    assert not await posts.is_direct()
    monkeypatch.delattr(function, "__dd_wrapped__")
    assert await posts.is_direct()
    monkeypatch.setattr(function, "__code__", own.replace(co_filename=__file__))
    assert not await posts.is_direct()


def trace() -> tuple[aiohttp.TraceConfig, list[str]]:
    """Return a trace configuration, and the methods of the requests that it saw."""
    seen: list[str] = []

    async def see(_: aiohttp.ClientSession, __: SimpleNamespace, params: aiohttp.TraceRequestStartParams) -> None:
        seen.append(params.method)

    config = aiohttp.TraceConfig()
    config.on_request_start.append(see)
    return config, seen


@pytest.mark.parametrize("frozen", [True, False])
async def test_trace_configs_of_the_session(frozen: bool, posts: Posts) -> None:
    """A trace config that is added after the first call sees the next, and none once it is removed."""
    config, seen = trace()
    assert await posts.is_direct()
    if frozen:
        config.freeze()
        posts.session.trace_configs.append(config)
    else:
        # aiohttp itself sends nothing while one is not frozen; its own sessions freeze them.
        posts.session.trace_configs.append(config)
        config.freeze()
    assert not await posts.is_direct()
    await posts.client.customers.get(BUSINESS, CUSTOMER)
    assert seen == ["POST", "GET"]
    posts.session.trace_configs.clear()
    assert await posts.is_direct()
    posts.session.trace_configs.append(aiohttp.TraceConfig())
    assert posts.client._transport._direct_post is not None
    assert posts.client._transport._direct_post._watchers.reason() == "the session has trace configs"


@pytest.mark.parametrize("subclass", [True, False], ids=["subclass", "init"])
@pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")
async def test_sessions_that_are_made_with_more(subclass: bool, posts: Posts, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that gets a trace config, a header or a middleware when it is made sends all POSTs itself."""
    made = aiohttp.ClientSession.__init__
    more: dict[str, Any] = {}

    def init(session: Any, *args: Any, **kwargs: Any) -> None:
        headers = {**kwargs.pop("headers"), **more.get("headers", {})}
        made(session, *args, **{**kwargs, **more, "headers": headers})

    if subclass:
        monkeypatch.setattr(aiohttp, "ClientSession", type("Ours", (aiohttp.ClientSession,), {"__init__": init}))
    else:
        monkeypatch.setattr(aiohttp.ClientSession, "__init__", init)

    async def middleware(request: Any, handler: Any) -> Any:
        return await handler(request)

    config, seen = trace()
    for given in ({"trace_configs": [config]}, {"headers": {"X-More": "1"}}, {"middlewares": [middleware]}):
        more.clear()
        more.update(given)
        async with posts.another() as client:
            assert not await posts.is_direct(client)
    assert seen == ["POST"]
    more.clear()
    async with posts.another() as client:
        assert await posts.is_direct(client)


def _headers(session: Any) -> None:
    session.headers["X-More"] = "1"


def _proxied_connector(session: Any) -> None:
    session._connector = mock.Mock(wraps=session._connector)


STATES: dict[str, Callable[[Any], None]] = {
    "the session has middlewares": lambda session: setattr(session, "_middlewares", (mock.Mock(),)),
    "the session has another connector": _proxied_connector,
    "the session has a proxy": lambda session: setattr(session, "_default_proxy", "http://proxy.example"),
    "the session has other headers": _headers,
    "a method of the session was replaced": lambda session: setattr(session, "_request", session._request),
    "ClientRequest.send is not aiohttp's own": lambda session: setattr(
        session, "_request_class", type("Ours", (aiohttp.ClientRequest,), {"send": plain(aiohttp.ClientRequest.send)})
    ),
    "ClientResponse.start is not aiohttp's own": lambda session: setattr(
        session,
        "_response_class",
        type("Ours", (aiohttp.ClientResponse,), {"start": plain(aiohttp.ClientResponse.start)}),
    ),
    "the session, or a method of it, is not aiohttp's own": lambda session: delattr(session, "_middlewares"),
}


@pytest.mark.parametrize("reason", STATES)
@pytest.mark.filterwarnings("ignore:Setting custom ClientSession:DeprecationWarning")
async def test_a_session_that_was_changed(reason: str, posts: Posts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was done to the session after the first call, the next POST goes through it."""
    assert await posts.is_direct()
    direct_post = posts.client._transport._direct_post
    assert direct_post is not None
    state = cast("dict[str, Any]", vars(posts.session))
    attributes = dict(state)
    headers = posts.session.headers.copy()
    STATES[reason](posts.session)
    assert direct_post._watchers.reason() == reason
    state.clear()
    state.update({**attributes, "_default_headers": headers})
    assert direct_post._watchers.reason() is None


@pytest.mark.parametrize(("value", "is_on"), [("0", False), ("false", False), ("1", True), ("", True), (None, True)])
async def test_the_environment(
    value: str | None, is_on: bool, posts: Posts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """`THREDFI_DIRECT_POST=0` holds from the next POST on, and a client made under it is as plain as can be."""
    caplog.set_level(logging.INFO, "thredfi_async")
    assert await posts.is_direct()
    if value is not None:
        monkeypatch.setenv("THREDFI_DIRECT_POST", value)
    assert await posts.is_direct() is is_on
    async with posts.another() as client:
        assert await posts.is_direct(client) is is_on
        assert isinstance(connection_of(client), _BufferedProtocol) is is_on
        assert isinstance(connection_of(client), Protocol)
    assert caplog.text.count("THREDFI_DIRECT_POST is set") == (0 if is_on else 2)
    monkeypatch.delenv("THREDFI_DIRECT_POST", raising=False)
    assert await posts.is_direct()


def connection_of(client: ThredfiClient) -> object:
    """Return the one connection in a client's pool."""
    session = client._transport._session
    assert session is not None
    connector: Any = session.connector
    ((connection, _),) = next(iter(connector._conns.values()))
    return connection


async def test_an_aiohttp_that_has_not_been_checked(
    posts: Posts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With another version of aiohttp its session sends all, our buffer is not used, and the log says so once."""
    monkeypatch.setattr(watchers, "KNOWN", False)
    caplog.set_level(logging.INFO, "thredfi_async")
    async with posts.another() as client:
        for _ in range(3):
            assert not await posts.is_direct(client)
        assert not isinstance(connection_of(client), _BufferedProtocol)
    words = f"aiohttp {aiohttp.__version__} has not been checked for a shorter way"
    assert [record.getMessage().endswith(words) for record in caplog.records] == [True]


async def test_a_session_of_the_callers_or_a_proxy(
    posts: Posts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Those were asked for: the session sends all, and the log says nothing."""
    monkeypatch.setenv("THREDFI_DIRECT_POST", "0")
    caplog.set_level(logging.INFO, "thredfi_async")
    async with aiohttp.ClientSession() as session, posts.another(session=session) as client:
        assert not await posts.is_direct(client)
    async with client_of("https://api.example", proxy="http://proxy.example") as client:
        client._transport._open()
        assert client._transport._direct_post is None
    assert not caplog.records


@pytest.mark.parametrize("name", ["data_received", "read", "set_response_params"])
async def test_methods_that_both_ways_call(name: str, posts: Posts, monkeypatch: pytest.MonkeyPatch) -> None:
    """What replaces a method of aiohttp's protocol is called on the direct way too, so there is no need for another."""
    calls = list[str]()
    method = getattr(ResponseHandler, name)

    def counting(*args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        return method(*args, **kwargs)

    monkeypatch.setattr(ResponseHandler, name, counting)
    assert await posts.is_direct()
    assert calls


BEFORE_IMPORT = """
import aiohttp, asyncio
own = aiohttp.ClientSession._request
async def replaced(session, method, url, **more):
    print(method, end=" ")
    raise aiohttp.ClientConnectionError
aiohttp.ClientSession._request = replaced
import thredfi_async
async def main():
    async with thredfi_async.ThredfiClient("token", base_url="http://127.0.0.1:9", retry=once) as client:
        for _ in range(2):
            try:
                await client.customers.archive(ids, ids, fields)
            except thredfi_async.ConnectError:
                print("refused", end=" ")
            aiohttp.ClientSession._request = own
once = thredfi_async.RetryPolicy(max_attempts=1)
ids = "{customer}"
fields = {fields!r}
asyncio.run(main())
"""


def test_a_function_that_was_replaced_before_the_import() -> None:
    """What stood in a place when this package was imported is not taken for aiohttp's own."""
    program = BEFORE_IMPORT.format(customer=CUSTOMER, fields=body())
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=50)
    assert done.stdout.split() == ["POST", "refused", "refused"]
