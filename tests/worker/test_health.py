"""Liveness, readiness and metrics over HTTP."""

import socket

import aiohttp
import pytest
from clocks import FakeClock
from helpers import client_of, leaving_nothing

from thredfi_async import AuthenticationError, ConfigurationError
from thredfi_async.bulk import ItemState
from thredfi_async.worker import RetryLater, Worker, WorkerOptions
from thredfi_async.worker.gate import Gate, Permit
from thredfi_async.worker.health import serving_health


async def get(port: int, path: str) -> tuple[int, str]:
    """Return an answer's status and text."""
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.status, await answer.text()


async def test_before_it_is_connected() -> None:
    """A worker without a connection is alive, and not ready."""
    async with leaving_nothing(), client_of("http://127.0.0.1:9") as client:
        worker = Worker(client)
        async with serving_health(worker, port=0) as port:
            assert await get(port, "/livez") == (200, "ok\n")
            assert await get(port, "/readyz") == (503, "NATS is not connected\n")
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
        worker.metrics.died("rejected")
        worker.metrics.delivered(again=True)
        worker.metrics.repeats(held=True)
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
        "thredfi_worker_in_flight 0.0",
        "thredfi_worker_api_unavailable 0.0",
        "thredfi_worker_broker_connected 0.0",
        "thredfi_worker_client_max_in_flight 7.0",
        'thredfi_worker_command_seconds_bucket{le="0.25"} 1.0',
    } <= lines


async def test_refused_credentials_are_told() -> None:
    """`/readyz` reports refused credentials."""
    async with client_of("http://127.0.0.1:9") as client:
        worker = Worker(client, gate=Gate())
        error = AuthenticationError("401", status=401)
        later = RetryLater(backoff=1.0, code="invalid_token", reason="401", cause="settings", error=error)

        async def refused(probe: bool) -> RetryLater:
            return later

        await worker.gate.through(Permit(), refused)
        async with serving_health(worker, port=0) as port:
            _, text = await get(port, "/readyz")
    assert "the API refuses the credentials, or the address is wrong: invalid_token\n" in text


async def test_a_worker_that_hangs(clock: FakeClock) -> None:
    """A worker without progress for a minute reports that it should be restarted."""
    async with client_of("http://127.0.0.1:9") as client:
        worker = Worker(client, clock=clock)
        clock.now += 61
        async with serving_health(worker, port=0) as port:
            assert await get(port, "/livez") == (503, "nothing has moved for 61 s\n")


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
