"""Traces and metrics of OpenTelemetry, with its own SDK and its own instrumentation of aiohttp."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import aiohttp
import pytest
from clocks import FakeClock
from faultserver import FaultServer, Healthy, Step, faults
from helpers import BUSINESS, CUSTOMER, GET, HANGS, POST, body, client_of, failure, ring, until
from opentelemetry import baggage, context, metrics, propagate, trace
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor, create_trace_config
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from thredfi_async import (
    CallContext,
    CallEnded,
    CallStarted,
    ConfigurationError,
    Effect,
    NotFoundError,
    OpenTelemetryHook,
    PrometheusHook,
    RetryScheduled,
    ServerError,
    ThredfiClient,
    WorkEnded,
    WorkStarted,
)

RECORD = "/v1/platform/businesses/{business_id}/customers/{customer_id}/"


class Telemetry:
    """An SDK of its own, which keeps everything in memory."""

    def __init__(self, **options: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False, **options)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.hook = OpenTelemetryHook(tracer_provider=self.provider, meter_provider=self.meters)

    @property
    def spans(self) -> list[ReadableSpan]:
        """The spans, in the order in which they began."""
        return sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    def tree(self) -> list[str]:
        """Return the spans' names, indented below their parents."""
        depths: dict[int, int] = {}
        lines = list[str]()
        for span in self.spans:
            depth = 0 if span.parent is None else depths.get(span.parent.span_id, -1) + 1
            depths[context_of(span).span_id] = depth
            lines.append("  " * depth + span.name)
        return lines

    def points(self, name: str) -> list[tuple[Mapping[str, Any], Any]]:
        """Return a metric's points: attributes, and value or count."""
        data = self.reader.get_metrics_data()
        if data is None:
            return []
        found = [metric for one in data.resource_metrics for scope in one.scope_metrics for metric in scope.metrics]
        points: list[Any] = [point for metric in found if metric.name == name for point in metric.data.data_points]
        return [(point.attributes, getattr(point, "value", getattr(point, "count", None))) for point in points]


def context_of(span: ReadableSpan) -> trace.SpanContext:
    """Return a span's context, which every span has."""
    found = span.get_span_context()
    assert found is not None
    return found


def attributes(span: ReadableSpan) -> dict[str, Any]:
    """Return a span's attributes."""
    return dict(span.attributes or {})


def traceparent_of(span: ReadableSpan) -> str:
    """Return the header that names a span."""
    found = context_of(span)
    return f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    """Yield an SDK with a hook, and check that no span is left the current one."""
    yield Telemetry()
    assert trace.get_current_span() is trace.INVALID_SPAN


@pytest.fixture
def instrumented(telemetry: Telemetry) -> Iterator[Telemetry]:
    """Yield the same while OpenTelemetry's own instrumentation of aiohttp is active."""
    instrumentor = AioHttpClientInstrumentor()
    instrumentor.instrument(tracer_provider=telemetry.provider, meter_provider=telemetry.meters)
    yield telemetry
    instrumentor.uninstrument()


async def test_a_call_and_its_attempts(telemetry: Telemetry) -> None:
    """A call is a span, each attempt a child whose context is sent, with the attributes of the conventions."""
    routes: dict[tuple[str, str], list[Step]] = {
        POST: [faults.problem(503, headers={"X-Request-Id": "req-1"}), Healthy()],
        GET: [Healthy()],
    }
    async with FaultServer(routes=routes) as server, client_of(server.url, hooks=[telemetry.hook]) as client:
        await client.customers.archive(BUSINESS, CUSTOMER)
        port, sent = server.port, [request.header("traceparent") for request in server.requests]
    assert telemetry.tree() == [
        "customers.archive",
        f"  GET {RECORD}",
        f"  POST {RECORD}archive/",
        f"  POST {RECORD}archive/",
    ]
    call, *attempts = telemetry.spans
    assert sent == [traceparent_of(span) for span in attempts]
    assert [span.kind for span in telemetry.spans] == [SpanKind.INTERNAL, *[SpanKind.CLIENT] * 3]
    where = {"server.address": "127.0.0.1", "server.port": port, "url.template": f"{RECORD}archive/"}
    assert attributes(attempts[1]) == {
        **where,
        "http.request.method": "POST",
        "http.response.status_code": 503,
        "error.type": "503",
        "thredfi.effect": "UNKNOWN",
        "thredfi.request_id": "req-1",
    }
    assert attributes(attempts[2]) == {
        **where,
        "http.request.method": "POST",
        "http.request.resend_count": 1,
        "http.response.status_code": 200,
        "thredfi.effect": "APPLIED",
    }
    assert attributes(call) == {
        "thredfi.operation": "customers.archive",
        "thredfi.outcome": "succeeded",
        "thredfi.effect": "APPLIED",
        "thredfi.attempts": 3,
        "thredfi.queued": 0.0,
    }
    assert [(event.name, dict(event.attributes or {})) for event in call.events] == [
        ("retry", {"error.type": "ServerError", "thredfi.wait": 0.5})
    ]
    assert [span.status.status_code for span in telemetry.spans] == [
        StatusCode.UNSET,
        StatusCode.UNSET,
        StatusCode.ERROR,
        StatusCode.UNSET,
    ]


async def test_a_failure_holds_nothing_of_a_customer(telemetry: Telemetry) -> None:
    """A failed call is an error with its class; no span holds an id, a key, a body or the answer's text."""
    async with FaultServer([faults.problem(500)]) as server, client_of(server.url, hooks=[telemetry.hook]) as client:
        other = client.with_options(max_retries=0)
        await failure(other.customers.archive(BUSINESS, CUSTOMER, body(), settle=False), ServerError)
    call, _ = telemetry.spans
    assert (call.status.status_code, call.status.description) == (StatusCode.ERROR, None)
    assert attributes(call)["error.type"] == "ServerError"
    everything = "".join(span.to_json() for span in telemetry.spans)
    for secret in (BUSINESS, CUSTOMER, "secret-token", "ada@example.com", "It went wrong"):
        assert secret not in everything


async def test_a_call_is_part_of_what_surrounds_it(telemetry: Telemetry) -> None:
    """A call's span is a child of the caller's, and the current one meanwhile, so that logs name it."""
    seen: list[int] = []

    async def provider() -> str:
        seen.append(trace.get_current_span().get_span_context().span_id)
        return "secret-token"

    tracer = telemetry.provider.get_tracer("test")
    async with (
        FaultServer([Healthy()]) as server,
        client_of(server.url, token_provider=provider, hooks=[telemetry.hook]) as client,
    ):
        with tracer.start_as_current_span("mine"):
            await client.customers.archive(BUSINESS, CUSTOMER, body())
            assert trace.get_current_span().is_recording()
    assert telemetry.tree() == ["mine", "  customers.archive", f"    POST {RECORD}archive/"]
    assert seen == [context_of(telemetry.spans[1]).span_id]


@pytest.mark.parametrize("how", ["cancelled", "overdue"])
async def test_a_call_that_is_cut_off(how: str, telemetry: Telemetry) -> None:
    """The spans of a call that is cut off end, and say why."""
    async with FaultServer([HANGS]) as server, client_of(server.url, hooks=[telemetry.hook]) as client:
        call = asyncio.create_task(client.customers.archive(BUSINESS, CUSTOMER, body(), settle=False))
        await server.until(lambda: server.applied == 1)
        call.cancel() if how == "cancelled" else ring(client)
        await asyncio.wait([call])
    whole, attempt = telemetry.spans
    error = "CancelledError" if how == "cancelled" else "RequestTimeoutError"
    assert (attributes(attempt)["error.type"], attributes(attempt)["thredfi.effect"]) == (error, "UNKNOWN")
    assert attributes(whole)["thredfi.outcome"] == ("cancelled" if how == "cancelled" else "failed")
    assert attempt.status.status_code is StatusCode.ERROR
    assert whole.status.status_code is (StatusCode.UNSET if how == "cancelled" else StatusCode.ERROR)


async def test_the_time_in_the_queue_is_part_of_a_call(telemetry: Telemetry) -> None:
    """A call's span begins when the call was made, and not at its turn."""
    clock = FakeClock()
    async with (
        FaultServer([Healthy()]) as server,
        client_of(server.url, hooks=[telemetry.hook], max_connections=1, clock=clock) as client,
    ):
        assert client._limiter.acquire_nowait()
        call = asyncio.create_task(client.customers.archive(BUSINESS, CUSTOMER, body()))
        await until(lambda: client._limiter.waiting == 1)
        clock.now += 3600
        client._limiter.release()
        await call
    whole, attempt = telemetry.spans
    assert attributes(whole)["thredfi.queued"] == 3600
    assert (attempt.start_time or 0) - (whole.start_time or 0) >= 3600e9


async def test_no_span_twice(instrumented: Telemetry) -> None:
    """Where aiohttp's instrumentation is active, it makes the attempts' spans, headers and metric, once."""
    routes: dict[tuple[str, str], list[Step]] = {POST: [faults.problem(503), Healthy()]}
    async with FaultServer(routes=routes) as server, client_of(server.url, hooks=[instrumented.hook]) as client:
        await client.customers.archive(BUSINESS, CUSTOMER, body())
        sent = [request.header("traceparent") for request in server.requests]
    assert instrumented.tree() == ["customers.archive", "  POST", "  POST"]
    assert sent == [traceparent_of(span) for span in instrumented.spans[1:]]
    assert instrumented.points("http.client.request.duration") == []
    assert len(instrumented.points("thredfi.client.call.duration")) == 1


async def test_a_session_of_ones_own(telemetry: Telemetry) -> None:
    """A trace config of OpenTelemetry on the caller's own session is found too, and another's is none."""
    async with FaultServer([Healthy(), Healthy()]) as server:
        for config, spans in ((create_trace_config(tracer_provider=telemetry.provider), 2), (aiohttp.TraceConfig(), 4)):
            async with (
                aiohttp.ClientSession(trace_configs=[config]) as session,
                client_of(server.url, session=session, hooks=[telemetry.hook]) as client,
            ):
                await client.customers.archive(BUSINESS, CUSTOMER, body())
            assert len(telemetry.spans) == spans


async def test_what_is_not_sampled_is_not_recorded() -> None:
    """With a sampler that drops, no span is made, and every attempt says that the trace is not sampled."""
    telemetry = Telemetry(sampler=ALWAYS_OFF)
    routes: dict[tuple[str, str], list[Step]] = {POST: [faults.problem(503), Healthy()]}
    async with FaultServer(routes=routes) as server, client_of(server.url, hooks=[telemetry.hook]) as client:
        await client.customers.archive(BUSINESS, CUSTOMER, body())
        sent = [request.header("traceparent") or "" for request in server.requests]
    assert telemetry.spans == []
    assert len(set(sent)) == 1
    assert int(sent[0].rpartition("-")[2], 16) & 1 == 0
    assert len(telemetry.points("http.client.request.duration")) == 2


async def test_what_happens_in_a_call_that_is_not_sampled() -> None:
    """What a call awaits is part of its trace, so that no tracer begins another; after the call, it is over."""
    telemetry = Telemetry(sampler=ALWAYS_OFF)
    within = list[str]()

    async def provide() -> str:
        within.append(f"{trace.get_current_span().get_span_context().trace_id:032x}")
        return "token"

    async with (
        FaultServer([Healthy()]) as server,
        client_of(server.url, token_provider=provide, hooks=[telemetry.hook]) as client,
    ):
        await client.customers.get(BUSINESS, CUSTOMER)
        (request,) = server.requests
    assert (request.header("traceparent") or "").split("-")[1] == within[0]
    assert not trace.get_current_span().get_span_context().is_valid


async def test_baggage_stays_here_unless_it_is_asked_for(telemetry: Telemetry) -> None:
    """Baggage, which may hold anything, goes to the API only with a propagator that writes it."""
    wide = OpenTelemetryHook(tracer_provider=telemetry.provider, propagator=propagate.get_global_textmap())
    async with FaultServer([Healthy(), Healthy()]) as server:
        token = context.attach(baggage.set_baggage("user", "ada"))
        for hook in (telemetry.hook, wide):
            async with client_of(server.url, hooks=[hook]) as client:
                await client.customers.archive(BUSINESS, CUSTOMER, body())
        context.detach(token)
        assert [request.header("baggage") for request in server.requests] == [None, "user=ada"]
        assert all(request.header("traceparent") for request in server.requests)


async def test_without_an_sdk_nothing_happens() -> None:
    """With OpenTelemetry's API alone nothing is recorded or sent, and the call succeeds."""
    hook = OpenTelemetryHook(tracer_provider=trace.NoOpTracerProvider(), meter_provider=metrics.NoOpMeterProvider())
    async with FaultServer([Healthy()]) as server, client_of(server.url, hooks=[hook]) as client:
        assert (await client.customers.archive(BUSINESS, CUSTOMER, body())).is_archived
        assert server.requests[0].header("traceparent") is None


async def test_metrics(telemetry: Telemetry) -> None:
    """Requests, calls, waits and retries are counted by how they ended; gauges show the limits of living clients."""
    routes: dict[tuple[str, str], list[Step]] = {POST: [faults.problem(503), Healthy()]}
    async with (
        FaultServer(routes=routes) as server,
        client_of(server.url, hooks=[telemetry.hook], max_connections=7) as client,
        client_of(server.url, hooks=[telemetry.hook], max_connections=5),
    ):
        in_flight = telemetry.points("thredfi.client.max_in_flight")
        await client.customers.archive(BUSINESS, CUSTOMER, body())
        where = {"server.address": "127.0.0.1", "server.port": server.port, "url.template": f"{RECORD}archive/"}
        client._limiter.hold_back(30.0)
        (cooldown,) = telemetry.points("thredfi.client.cooldown")
        assert telemetry.points("thredfi.client.in_use") == [({}, 0)]
        rates = telemetry.points("thredfi.client.granted_rate"), telemetry.points("thredfi.client.rate")
    sent = {"http.request.method": "POST", **where}
    assert telemetry.points("http.client.request.duration") == [
        ({**sent, "http.response.status_code": 503, "error.type": "503"}, 1),
        ({**sent, "http.response.status_code": 200}, 1),
    ]
    operation = {"thredfi.operation": "customers.archive"}
    ended = {**operation, "thredfi.outcome": "succeeded", "thredfi.effect": "APPLIED"}
    assert telemetry.points("thredfi.client.call.duration") == [(ended, 1)]
    assert telemetry.points("thredfi.client.queue.duration") == [(operation, 1)]
    assert telemetry.points("thredfi.client.retries") == [({**operation, "error.type": "ServerError"}, 1)]
    assert (in_flight, rates) == ([({}, 12)], ([], []))
    assert 0 < cooldown[1] <= 30.0


def test_a_client_that_is_gone(telemetry: Telemetry) -> None:
    """A hook keeps no client alive, and shows no limit of one that is gone."""
    telemetry.hook.on_client(ThredfiClient("secret-token"))
    assert telemetry.points("thredfi.client.max_in_flight") == []


def test_work_that_hooks_follow(telemetry: Telemetry) -> None:
    """A message continues the trace of its headers, and hands it on; its end has outcome and error."""
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    work = telemetry.hook.on_work(
        WorkStarted(kind="message", name="thredfi.archive", headers={"Traceparent": parent}, delivery=2)
    )
    assert trace.get_current_span().is_recording()
    handed_on = work.headers()
    work.on_end(WorkEnded(outcome="failed", error="ServerError"))
    (span,) = telemetry.spans
    assert span.parent is not None
    assert f"{context_of(span).trace_id:032x}-{span.parent.span_id:016x}" in parent
    assert handed_on == {"traceparent": traceparent_of(span)}
    assert (span.name, span.kind) == ("process thredfi.archive", SpanKind.CONSUMER)
    assert attributes(span) == {
        "messaging.system": "nats",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "thredfi.archive",
        "thredfi.delivery": 2,
        "thredfi.outcome": "failed",
        "error.type": "ServerError",
    }
    assert span.status.status_code is StatusCode.ERROR


async def test_the_calls_of_a_run_are_linked_to_it(telemetry: Telemetry) -> None:
    """Each call of a bulk run is a trace of its own with a link to the run; a span in between is a usual parent."""
    tracer = telemetry.provider.get_tracer("test")
    async with FaultServer([Healthy()] * 2) as server, client_of(server.url, hooks=[telemetry.hook]) as client:
        run = telemetry.hook.on_work(WorkStarted(kind="run", name="bulk"))
        await asyncio.create_task(client.customers.archive(BUSINESS, CUSTOMER, body()))
        with tracer.start_as_current_span("mine"):
            await client.customers.archive(BUSINESS, CUSTOMER, body())
        run.on_end(WorkEnded(outcome="completed", counts={"archived": 2}))
    assert telemetry.tree() == [
        "run bulk",
        "customers.archive",
        f"  POST {RECORD}archive/",
        "  mine",
        "    customers.archive",
        f"      POST {RECORD}archive/",
    ]
    whole, call, *_ = telemetry.spans
    assert [link.context for link in call.links] == [whole.get_span_context()]
    assert attributes(whole) == {"thredfi.outcome": "completed", "thredfi.items.archived": 2}
    assert call.parent is None


def test_a_span_that_ends_elsewhere(telemetry: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    """A span that ends in another context than it began in leaves that one as it is."""
    work = telemetry.hook.on_work(WorkStarted(kind="run", name="bulk"))
    around = context.attach(context.Context({"place": "elsewhere"}))
    work.on_end(WorkEnded(outcome="stopped"))
    assert context.get_current() == {"place": "elsewhere"}
    context.detach(around)
    context.attach(context.Context())
    assert (len(telemetry.spans), caplog.records) == (1, [])


def test_an_event_without_a_call(telemetry: Telemetry) -> None:
    """An event that is handed to the hook itself is measured."""
    telemetry.hook.on_event(
        RetryScheduled(operation="customers.get", attempts=1, wait=0.5, error="ServerError", idempotency_key=None)
    )
    assert len(telemetry.points("thredfi.client.retries")) == 1


async def test_what_has_no_template_and_what_is_new(telemetry: Telemetry) -> None:
    """A request by a path of the caller's is named by its method alone; an event of a later version is ignored."""
    later: Any = object()
    async with FaultServer([faults.problem(404)]) as server, client_of(server.url, hooks=[telemetry.hook]) as client:
        call = telemetry.hook.on_call(CallStarted(operation="request", queued=0.0))
        assert not isinstance(call, CallContext)
        call.on_event(later)
        await failure(client.request("GET", f"/v1/customers/{CUSTOMER}/"), NotFoundError)
        call.on_event(
            CallEnded(
                operation="request",
                outcome="succeeded",
                effect=Effect.NOT_APPLIED,
                attempts=0,
                elapsed=0.0,
                queued=0.0,
                error=None,
                request_id=None,
                idempotency_key=None,
            )
        )
    assert telemetry.tree() == ["request", "  request", "    GET"]
    assert CUSTOMER not in "".join(span.to_json() for span in telemetry.spans)


HIDDEN = """
import sys
import thredfi_async
assert not [name for name in sys.modules if name.split(".")[0] in ("opentelemetry", "prometheus_client")]
sys.modules["opentelemetry"] = sys.modules["prometheus_client"] = None
for kind in (thredfi_async.OpenTelemetryHook, thredfi_async.PrometheusHook):
    try:
        kind()
    except thredfi_async.ConfigurationError as error:
        print(error)
"""


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its packages, each hook says in a sentence what to install; until then, none is looked for."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.setitem(sys.modules, "thredfi_async.telemetry._meter", None)
    for kind in (OpenTelemetryHook, PrometheusHook):
        with pytest.raises(ConfigurationError, match="is not installed: pip install"):
            kind()
    run = subprocess.run([sys.executable, "-c", HIDDEN], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == [
        "opentelemetry-api is not installed: pip install 'thredfi-async[otel]'",
        "prometheus-client is not installed: pip install 'thredfi-async[metrics]'",
    ]
