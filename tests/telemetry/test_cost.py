"""What a hook costs a call, as a ratio of functions called in one run: the same on every machine.

Time is measured by hand: a call whose span the sampler drops takes about an eighth more CPU than one without a hook,
and the SDK's own `start_span` is half of that.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from faultserver import bodies
from function_counts import calls_made
from helpers import BUSINESS, CUSTOMER, body
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from thredfi_async import CustomerRequest, Hook, OpenTelemetryHook, ThredfiClient

pytestmark = pytest.mark.unmeasured

THEIRS = str(Path("site-packages", "opentelemetry"))
ANSWER = bodies.dump(bodies.customer(CUSTOMER))
REPEATS = 10
MOST = 1.1


class Prepared(asyncio.Protocol):
    """Answers every request with the archived customer."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"}"):
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            self.transport.write(head % len(ANSWER) + ANSWER)


async def measured(*hooks: Hook) -> int:
    """Return the functions that one archive call calls with these hooks."""
    loop = asyncio.get_running_loop()
    loop.set_debug(False)
    server = await loop.create_server(Prepared, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    request = CustomerRequest(**body())
    async with ThredfiClient("secret-token", base_url=f"http://{host}:{port}", hooks=hooks) as client:
        calls = await calls_made(
            lambda: client.customers.archive(BUSINESS, CUSTOMER, request), runs=REPEATS, without=THEIRS
        )
    server.close()
    return calls


async def test_a_call_that_is_not_sampled() -> None:
    """With a sampler that drops, a call calls at most a tenth more functions besides OpenTelemetry's own."""
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    hook = OpenTelemetryHook(tracer_provider=provider, meter_provider=NoOpMeterProvider())
    without, dropped = await measured(), await measured(hook)
    assert without < dropped <= MOST * without
