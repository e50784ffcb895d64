"""Liveness, readiness and metrics over HTTP, and what a stranger can do to them."""

import asyncio
import contextlib
import socket

import aiohttp
import pytest
from clocks import FakeClock
from helpers import client_of, leaving_nothing, until

from thredfi_async import AuthenticationError, ConfigurationError
from thredfi_async.bulk import ItemState
from thredfi_async.worker import RetryLater, Worker, WorkerOptions
from thredfi_async.worker import health as health_module
from thredfi_async.worker.gate import Gate, Permit
from thredfi_async.worker.health import serving_health
from thredfi_async.worker.stream_config import StreamConfig


async def get(port: int, path: str) -> tuple[int, str]:
    """Return an answer's status and text."""
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.status, await answer.text()


async def test_before_it_is_connected(clock: FakeClock) -> None:
    """A worker that is starting is alive, and not ready."""
    async with leaving_nothing(), client_of("http://127.0.0.1:9") as client:
        worker = Worker(client, clock=clock)
        clock.now += 7
        async with serving_health(worker, port=0) as port:
            assert await get(port, "/livez") == (200, "ok\n")
            assert await get(port, "/readyz") == (503, "it is starting (for 7 s)\n")
            assert (await get(port, "/"))[0] == 404


async def test_snapshot() -> None:
    """A worker's progress has the form of a bulk run's."""
    clock = FakeClock()
    async with client_of("http://127.0.0.1:9") as client:
        worker = Worker(client, options=WorkerOptions(concurrency=7), clock=clock)
        assert worker.snapshot().done == 0
        worker.metrics.ended(ItemState.ARCHIVED, 0.2, 2)
        worker.metrics.ended(ItemState.REJECTED, 0.4, 1)
        clock.now += 2.0
        found = worker.snapshot()
    assert (found.done, found.requests, found.rate, found.p50_ms, found.concurrency) == (2, 3, 1.0, 200, 7)
    assert found.by_state == {ItemState.ARCHIVED: 1, ItemState.REJECTED: 1}
    assert (found.in_flight, found.waiting, found.paused) == (0, 0, False)


async def test_metrics() -> None:
    """Counters exist from the start, with the limiter's window, and no label is an id."""
    async with client_of("http://127.0.0.1:9", max_connections=7) as client:
        worker = Worker(client)
        worker.metrics.ended(ItemState.ARCHIVED, 0.2, 2)
        worker.metrics.dead_lettered("rejected")
        worker.metrics.delivered(again=True)
        worker.metrics.repeats(held=True)
        worker.metrics.not_stored(StreamConfig(), "THREDFI_OUTCOMES")
        async with serving_health(worker, port=0) as port:
            status, text = await get(port, "/metrics")
    lines = set(text.splitlines())
    assert status == 200
    assert {
        'thredfi_worker_outcomes_total{state="archived"} 1.0',
        'thredfi_worker_outcomes_total{state="unknown"} 0.0',
        'thredfi_worker_dead_letters_total{why="rejected"} 1.0',
        'thredfi_worker_deliveries_total{kind="again"} 1.0',
        'thredfi_worker_retries_total{how="held"} 1.0',
        'thredfi_worker_store_failures_total{stream="outcomes"} 1.0',
        'thredfi_worker_store_failures_total{stream="dead_letters"} 0.0',
        "thredfi_worker_in_flight 0.0",
        "thredfi_worker_api_unavailable 0.0",
        "thredfi_worker_broker_connected 0.0",
        "thredfi_client_max_in_flight 7.0",
        'thredfi_worker_command_seconds_bucket{le="0.25"} 1.0',
    } <= lines


async def test_refused_credentials_are_told(clock: FakeClock) -> None:
    """`/readyz` reports refused credentials, and for how long they have been."""
    async with client_of("http://127.0.0.1:9") as client:
        worker = Worker(client, gate=Gate(clock=clock), clock=clock)
        error = AuthenticationError("401", status=401)
        later = RetryLater(backoff=1.0, code="invalid_token", reason="401", cause="settings", error=error)

        async def refused(probe: bool) -> RetryLater:
            return later

        await worker.gate.through(Permit(), refused)
        clock.now += 90
        async with serving_health(worker, port=0) as port:
            _, text = await get(port, "/readyz")
    assert "the API refuses the credentials, or the address is wrong: invalid_token (for 90 s)\n" in text


async def test_a_worker_that_hangs(clock: FakeClock) -> None:
    """A part that does not go on for a minute is named, as a reason to restart."""
    async with client_of("http://127.0.0.1:9") as client:
        worker = Worker(client, clock=clock)

        async def hang(_: object) -> None:
            await asyncio.Event().wait()

        part = asyncio.create_task(worker._supervisor.run("fetcher", hang))
        await asyncio.sleep(0)
        clock.now += 61
        async with serving_health(worker, port=0) as port:
            assert await get(port, "/livez") == (503, "the part 'fetcher' has not gone on for 61 s\n")
        part.cancel()


async def test_a_port_that_is_taken() -> None:
    """A port in use is an error that says what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with client_of("http://127.0.0.1:9") as client:
            with pytest.raises(
                ConfigurationError, match=rf"cannot listen on 127\.0\.0\.1, port {port}: .*; give another"
            ):
                async with serving_health(Worker(client), port=port):
                    pytest.fail("it cannot be")


def is_cut(connection: socket.socket) -> bool:
    """Return whether the server has closed a connection."""
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


async def test_half_open_connections_use_up_nothing() -> None:
    """300 connections with half a request leave 32, and a probe that asks now is answered."""
    half: list[socket.socket] = []
    async with client_of("http://127.0.0.1:9") as client, serving_health(Worker(client), port=0) as port:
        with contextlib.ExitStack() as stack:
            for _ in range(300):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                connection.sendall(b"GET /livez HTTP/1.1\r\nX-Slow: ")
                connection.setblocking(False)
                half.append(connection)
                await asyncio.sleep(0)
            assert await get(port, "/livez") == (200, "ok\n")
            # The probe's own connection has taken one place.
            await until(lambda: sum(map(is_cut, half)) >= 268)
            assert sum(map(is_cut, half)) <= 269


def drip(port: int) -> None:
    """Send a request byte by byte until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=0.01) as connection:
        for _ in range(1000):
            try:
                connection.sendall(b"G")
                if connection.recv(1) == b"":
                    return
            except TimeoutError:
                continue
            except ConnectionError:
                return
    pytest.fail("the server never closed it")


async def test_half_a_request_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that does not send a whole request is closed after its time, though it keeps sending."""
    monkeypatch.setattr(health_module, "_SECONDS", 0.1)
    async with client_of("http://127.0.0.1:9") as client, serving_health(Worker(client), port=0) as port:
        await asyncio.to_thread(drip, port)


async def test_one_request_a_connection() -> None:
    """An answer ends its connection, so that no one keeps one open."""
    async with client_of("http://127.0.0.1:9") as client, serving_health(Worker(client), port=0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
        answers = await reader.read()
        writer.transport.abort()
    assert answers.count(b"HTTP/1.1 200") == 1
