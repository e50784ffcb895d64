"""The cost of one good call, in counts that are the same on every machine: a guard against gradual growth.

`nox -s bench` measures time. Here Python counts the functions that are called, and memory is what tracemalloc saw.
"""

import asyncio
import contextlib
import gc
import json
import tracemalloc
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any, cast

import aiohttp
import pytest
from faultserver import bodies
from function_counts import calls_made
from helpers import BUSINESS, CUSTOMER, body
from loops import loop_name

from thredfi_async import CustomerRequest, ThredfiClient
from thredfi_async._transport.session import AiohttpTransport

pytestmark = pytest.mark.unmeasured

CALLS_TO_A_POST = {"asyncio": 1.714, "uvloop": 1.926}
"""Functions that an archive calls, to those that a bare post calls, by event loop; alike on every version of Python."""
MARGIN = 0.02
"""What another version of Python or of a dependency may add; an extra timeout adds more than `MARGIN + SLACK`."""
SLACK = 0.03
"""A reduction by so much justifies a new number."""
REPEATS = 20
WARM_UP = 100
"""Calls after which the client allows itself all connections at once."""
WAITING = 2_000
BYTES_WAITING = 1_024

Sending = Callable[..., Coroutine[Any, Any, Any]]


class Prepared(asyncio.Protocol):
    """Answers every request, which must arrive in one piece, with the archived customer."""

    ANSWER = bodies.dump(bodies.customer(CUSTOMER))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        if self.received.endswith(b"}") or b"Content-Length: 0\r\n" in self.received:
            self.received = b""
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            self.transport.write(head % len(self.ANSWER) + self.ANSWER)


@contextlib.asynccontextmanager
async def serving() -> AsyncGenerator[str]:
    """Yield the server's URL; the loop runs without debug mode, whose own calls would be counted."""
    loop = asyncio.get_running_loop()
    loop.set_debug(False)
    server = await loop.create_server(Prepared, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    yield f"http://{host}:{port}"
    server.close()


async def counted(work: Callable[[], Awaitable[object]]) -> int:
    """Return how many functions one run calls, after a warm-up."""
    for _ in range(WARM_UP):
        await work()
    return await calls_made(work, runs=REPEATS)


@contextlib.asynccontextmanager
async def posting(headers: dict[str, str]) -> AsyncGenerator[tuple[ThredfiClient, aiohttp.ClientSession, str]]:
    """Yield a client and a bare session for the same server, and the URL to post to."""
    async with (
        serving() as url,
        ThredfiClient("secret-token", base_url=url) as client,
        aiohttp.ClientSession(headers=headers) as session,
    ):
        yield client, session, f"{url}/v1/platform/businesses/{BUSINESS}/customers/{CUSTOMER}/archive/"


async def post(session: aiohttp.ClientSession, url: str, content: bytes | None) -> None:
    """Post as a user would write it by hand; without content, aiohttp makes a task on no version of Python."""
    async with session.post(url, data=content) as response:
        json.loads(await response.read())


async def calls_to_a_post() -> float:
    """Return the functions that an archive calls, to those that a bare aiohttp post calls that sends nothing."""
    fields = body()
    async with posting({"Authorization": "Bearer secret-token"}) as (client, session, url):
        bare = await counted(lambda: post(session, url, None))
        archive = client.customers.archive
        return await counted(lambda: archive(BUSINESS, CUSTOMER, CustomerRequest(**fields))) / bare


async def test_functions_that_one_call_calls() -> None:
    """One archive call calls no more functions than the recorded multiple of what a bare post calls."""
    ratio = await calls_to_a_post()
    known = CALLS_TO_A_POST[loop_name()]
    assert ratio <= known + MARGIN, "a call has become more expensive: check what was added, or record the new number"
    assert ratio >= known - SLACK, "a call has become cheaper: state the new number, so that it stays so"


async def test_a_timeout_more_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One extra timeout in every call exceeds the margin, however much of the slack was used."""
    send: Sending = AiohttpTransport.send

    async def with_a_timeout(*args: Any) -> Any:
        async with asyncio.timeout(10.0):
            return await send(*args)

    before = await calls_to_a_post()
    monkeypatch.setattr(AiohttpTransport, "send", with_a_timeout)
    assert await calls_to_a_post() > before + MARGIN + SLACK


async def test_a_call_makes_no_task() -> None:
    """A good call runs only in its caller's task; before Python 3.12, aiohttp itself makes one to write a body."""
    fields = body()
    content, headers = json.dumps(fields).encode(), {"Authorization": "Bearer secret-token"}
    async with posting(headers) as (client, session, path):
        bare = await tasks_made(lambda: post(session, path, content))
        assert await tasks_made(lambda: client.customers.archive(BUSINESS, CUSTOMER, fields)) == 0 <= bare <= 1


async def test_a_task_more_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One extra task in every call, such as one that only sends, is counted."""
    send: Sending = AiohttpTransport.send

    async def with_a_task(*args: Any) -> Any:
        return await asyncio.create_task(send(*args))

    monkeypatch.setattr(AiohttpTransport, "send", with_a_task)
    async with posting({}) as (client, _, _):
        assert await tasks_made(lambda: client.customers.archive(BUSINESS, CUSTOMER, body())) == 1


async def tasks_made(work: Callable[[], Awaitable[object]]) -> int:
    """Return the tasks that calls make when connections are already open."""
    made: list[asyncio.Task[Any]] = []

    def factory(loop: asyncio.AbstractEventLoop, coro: Any, **settings: Any) -> asyncio.Task[Any]:
        made.append(asyncio.Task(coro, loop=loop, **settings))
        return made[-1]

    await work()
    asyncio.get_running_loop().set_task_factory(factory)
    try:
        await work()
    finally:
        asyncio.get_running_loop().set_task_factory(None)
    return len(made)


async def memory_of_each(start: Callable[[], Coroutine[Any, Any, object]]) -> float:
    """Return the bytes that tracemalloc sees per waiting task, over very many tasks."""
    gc.collect()
    tracemalloc.start()
    try:
        tasks = [asyncio.create_task(start()) for _ in range(WAITING)]
        await asyncio.sleep(0)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return size / WAITING


async def test_memory_of_a_waiting_call() -> None:
    """A call that waits for its turn takes little more memory than a bare waiting task."""
    asyncio.get_running_loop().set_debug(False)
    event, request = asyncio.Event(), CustomerRequest(**body())
    async with serving() as url, ThredfiClient("secret-token", base_url=url, max_connections=1) as client:
        assert client._limiter.acquire_nowait()
        waiting = await memory_of_each(lambda: client.customers.archive(BUSINESS, CUSTOMER, request))
        client._limiter.release()
    assert 0 < waiting - await memory_of_each(event.wait) <= BYTES_WAITING
