"""Commands that send traces and metrics to a collector, by OpenTelemetry's own variables."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from collector import Collector, collecting
from helpers import client_of, until
from natsserver import NatsServer
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from workerpark import TOPOLOGY, queue

from thredfi_async import ConfigurationError, OpenTelemetryHook
from thredfi_async.cli.otel import otel_hooks
from thredfi_async.mock_server import Fault, FaultKind, MockServer
from thredfi_async.worker import ArchiveCommand, NatsSettings, Worker, WorkerOptions

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "THREDFI_"))}
RECORD = "/v1/platform/businesses/{business_id}/customers/{customer_id}/"


def variables(server: MockServer, collector: Collector) -> dict[str, str]:
    """Return the environment of a command."""
    return CLEAN | {
        "THREDFI_BASE_URL": server.url,
        "THREDFI_PARTNER_UUID": str(server.partner_uuid),
        "THREDFI_API_KEY": server.api_key,
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
    }


def test_a_bulk_run_and_its_calls(thredfi_mock_server: MockServer, tmp_path: Path) -> None:
    """A run is a span, its calls are traces of their own that are linked to it, and nothing names a customer."""
    customers = thredfi_mock_server.customers[:3]
    lines = [f"{each.business_id},{each.customer_id}\n" for each in customers]
    (tmp_path / "ids.csv").write_text("business_id,customer_id\n" + "".join(lines), "utf-8")
    argv = [sys.executable, "-m", "thredfi_async", "bulk", "archive", "ids.csv", "--journal", "run.db"]
    with collecting() as collector:
        env = variables(thredfi_mock_server, collector)
        run = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    run_span, *calls = collector.tree()
    assert run_span == "run archive outcome=completed"
    # The three calls are made at the same time, and their traces come in any order.
    assert sorted(calls) == sorted(
        [
            "customers.archive outcome=succeeded effect=APPLIED, linked to run archive",
            f"  GET {RECORD} status_code=200 effect=NOT_APPLIED",
            f"  POST {RECORD}archive/ status_code=200 effect=APPLIED",
        ]
        * 3
    )
    assert {service for service, _ in collector.spans} == {"thredfi"}
    assert {"http.client.request.duration", "thredfi.client.call.duration"} <= collector.metrics
    sent = b"".join(collector.raw)
    assert not [each for each in customers if str(each.customer_id).encode() in sent]
    assert str(customers[0].business_id).encode() not in sent


async def test_a_message_and_its_call(nats_server: NatsServer) -> None:
    """A worker goes on with a message's trace through its calls, and hands it on with the outcome."""
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with collecting() as collector:
        provider = TracerProvider(resource=Resource({"service.name": "worker"}), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{collector.url}/v1/traces")))
        hook = OpenTelemetryHook(tracer_provider=provider)
        async with (
            MockServer(customers=1, businesses=1) as server,
            client_of(server.url, token=server.token, hooks=[hook]) as client,
            queue(nats_server) as broker,
        ):
            (customer,) = server.customers
            server.queue_faults(customer.customer_id, Fault(FaultKind.SERVER_ERROR))
            command = ArchiveCommand(customer.business_id, customer.customer_id, customer.body).to_json()
            await broker.store(
                TOPOLOGY.subject, command, message_id="1", stream=TOPOLOGY.stream, headers={"traceparent": parent}
            )
            worker = Worker(client, nats=NatsSettings(url=nats_server.url), options=WorkerOptions(poll=0.05))
            task = asyncio.create_task(worker.run())
            await until(lambda: worker.metrics.value("outcomes_total", state="archived") == 1, within=10.0)
            worker.stop()
            await task
            outcome = await broker.jetstream.get_msg(TOPOLOGY.outcomes_stream, seq=1)
        await asyncio.to_thread(provider.shutdown)
    assert collector.tree() == [
        f"process {TOPOLOGY.subject} outcome=archived",
        "  customers.archive outcome=succeeded effect=APPLIED",
        f"    POST {RECORD}archive/ status_code=503 effect=UNKNOWN",
        f"    POST {RECORD}archive/ status_code=200 resend_count=1 effect=APPLIED",
    ]
    (message,) = (span for _, span in collector.spans if span.kind == Span.SPAN_KIND_CONSUMER)
    assert f"{message.trace_id.hex()}-{message.parent_span_id.hex()}" in parent
    assert outcome.headers["traceparent"] == f"00-{message.trace_id.hex()}-{message.span_id.hex()}-01"
    assert value_of(worker, "thredfi_client_retries_total", error_type="ServerError") == 1


def value_of(worker: Worker, name: str, **labels: str) -> float | None:
    """Return a metric of a worker's client."""
    return worker.metrics.registry.get_sample_value(name, {"thredfi_operation": "customers.archive", **labels})


def test_who_asks_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an option and a variable there is no hook, and none if the SDK is switched off."""
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SDK_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    assert otel_hooks(asked=False) == ()
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert otel_hooks(asked=True) == ()


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, an option is refused with what to type, and a variable alone changes nothing."""
    monkeypatch.delenv("OTEL_SDK_DISABLED", raising=False)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    assert otel_hooks(asked=False) == ()
    with pytest.raises(ConfigurationError, match=r"^--otel needs OpenTelemetry: pip install 'thredfi-async\[otel\]'$"):
        otel_hooks(asked=True)


def test_a_variable_that_is_not_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that the SDK refuses is an error in a sentence, which quotes no value."""
    monkeypatch.delenv("OTEL_SDK_DISABLED", raising=False)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "test")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "-1")
    with pytest.raises(ConfigurationError, match=r"^OpenTelemetry cannot be set up \(ValueError\): check "):
        otel_hooks(asked=True)
