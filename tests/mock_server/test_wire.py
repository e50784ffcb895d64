import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable

import aiohttp
import pytest
from aiohttp import web
from mock_server_caller import calling

from thredfi_async.mock_server import Fault, FaultKind, MockServer
from thredfi_async.mock_server.wire import LoopbackServer, Waits


async def until(true: Callable[[], bool]) -> None:
    """Let the loop run until a condition holds that has no event."""
    while not true():  # noqa: ASYNC110 - the server has no event for it
        await asyncio.sleep(0)


@pytest.mark.parametrize("turns", range(5))
async def test_a_connection_that_comes_while_the_server_closes(turns: int) -> None:
    """A connection is closed with the server, however far its acceptance has come."""
    server = await MockServer().start()
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        client.setblocking(False)
        for _ in range(turns):
            await asyncio.sleep(0)
        await server.aclose()
        async with asyncio.timeout(2.0):
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.get_running_loop().sock_recv(client, 1) == b""


async def test_closing_is_quick_while_requests_hang() -> None:
    """Hanging and slow requests end at once with the server, and no task is left."""
    server = MockServer(customers=20)
    for number, customer in enumerate(server.customers):
        slow = Fault(FaultKind.LATENCY, seconds=60)
        server.queue_faults(customer.customer_id, slow if number % 2 else Fault(FaultKind.HANG))
    before = asyncio.all_tasks()
    loop = asyncio.get_running_loop()
    async with calling(server) as caller:
        tasks = [asyncio.create_task(caller.archive(customer)) for customer in server.customers]
        while server.faults_thrown.total() < 20:
            await caller.token()
        begin = loop.time()
        await server.aclose()
        assert loop.time() - begin < 1
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, aiohttp.ClientConnectionError) for result in results)
    assert sum(server.is_archived(customer.customer_id) for customer in server.customers) == 10
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_closing_is_quick_with_latency_for_all() -> None:
    """Requests that wait for the server's latency end with it, not applied."""
    async with calling(MockServer(customers=1, latency=60)) as caller:
        task = asyncio.create_task(caller.archive(caller.server.customers[0]))
        await until(lambda: bool(caller.server._service.waits._futures))
        await caller.server.aclose()
        with pytest.raises(aiohttp.ClientConnectionError):
            await task
        assert not caller.server.is_archived(caller.server.customers[0].customer_id)


async def test_closing_waits_for_no_half_request() -> None:
    """A client that sent half a request does not delay the end."""
    loop = asyncio.get_running_loop()
    server = await MockServer(customers=1).start()
    _, _, port = server.url.rpartition(":")
    reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
    writer.write(b"POST /v1/platform/oauth2/token/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
    await until(lambda: bool(server.requests.totals))
    begin = loop.time()
    await server.aclose()
    assert loop.time() - begin < 2
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_waits_that_begin_after_the_end_are_none() -> None:
    """Once ended, every wait is over at once, until they are opened again."""
    waits = Waits()
    waits.end()
    assert await waits.sleep(60) is False
    waits.open()
    assert await waits.sleep(0) is True


async def test_a_broken_handler_is_a_500_that_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A bug in the server shows in the envelope and in the log, so that no contract violation is hidden."""

    async def broken(request: web.BaseRequest) -> web.StreamResponse:
        raise LookupError("a mistake")

    runner = web.ServerRunner(LoopbackServer(broken))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    try:
        with caplog.at_level(logging.ERROR):
            async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/") as answer:
                assert (answer.status, (await answer.json())["error_code"]) == (500, "error")
        assert "a mistake" in caplog.text
    finally:
        await runner.cleanup()
