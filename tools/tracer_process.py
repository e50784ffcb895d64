"""One process of `tools/tracers.py`: a tracer, recorder or mock starts at one moment, and says what it saw.

Every package is imported by name, since the other sessions do not have them. A bare aiohttp session of the same age as
the client's does the same as the client, so that a watcher's own limits show.
"""

import asyncio
import contextlib
import importlib
import json
import logging
import os
import sys
import tempfile
from collections import Counter
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

MOMENTS = ("before the import", "before the first call", "after the first call", "after it, a new client")


class Nothing:
    """No watcher: then POSTs are to go directly. The others start, and count by method what they saw."""

    package: str = "aiohttp"
    header: str = ""
    mocks: bool = False

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given

    async def start(self) -> None:
        """Do nothing."""

    def seen(self) -> Counter[str]:
        return Counter()

    async def stop(self) -> None:
        """Do nothing."""


class OpenTelemetry(Nothing):
    package = "opentelemetry.instrumentation.aiohttp_client"
    header = "traceparent"

    async def start(self) -> None:
        sdk = importlib.import_module("opentelemetry.sdk.trace")
        exporters = importlib.import_module("opentelemetry.sdk.trace.export")
        memory = importlib.import_module("opentelemetry.sdk.trace.export.in_memory_span_exporter")
        provider, self.spans = sdk.TracerProvider(), memory.InMemorySpanExporter()
        provider.add_span_processor(exporters.SimpleSpanProcessor(self.spans))
        importlib.import_module(self.package).AioHttpClientInstrumentor().instrument(tracer_provider=provider)

    def seen(self) -> Counter[str]:
        return Counter(span.name.split()[0] for span in self.spans.get_finished_spans())


class Sentry(Nothing):
    package = "sentry_sdk"
    header = "sentry-trace"

    async def start(self) -> None:
        sentry = importlib.import_module("sentry_sdk")
        transport = importlib.import_module("sentry_sdk.transport").Transport
        nowhere = type("Nowhere", (transport,), {"capture_envelope": mock.Mock()})
        options: dict[str, Any] = {"auto_session_tracking": False, "transport": nowhere}
        sentry.init(dsn="http://key@127.0.0.1:9/1", traces_sample_rate=1.0, **options)
        self.transaction: Any = sentry.start_transaction(name="test", op="test")
        self.transaction.__enter__()

    def seen(self) -> Counter[str]:
        spans = [span for span in self.transaction._span_recorder.spans if span.op == "http.client"]
        return Counter(span.description.split()[0] for span in spans)


class Datadog(Nothing):
    package = "ddtrace"
    header = "x-datadog-trace-id"

    async def start(self) -> None:
        ddtrace = importlib.import_module("ddtrace")
        tracing = importlib.import_module("ddtrace.trace")
        self.methods: Counter[str] = Counter()
        keep = type("Keep", (tracing.TraceFilter,), {"process_trace": staticmethod(self._keep)})
        tracing.tracer.configure(trace_processors=[keep()])
        ddtrace.patch(aiohttp=True)

    def _keep(self, trace: Any) -> None:
        self.methods.update(span.get_tag("http.method") for span in trace if span.name == "aiohttp.request")

    def seen(self) -> Counter[str]:
        return Counter(self.methods)


class Aioresponses(Nothing):
    """With the few lines that its version 0.7.9 needs on aiohttp 3.14 (pnuckowski/aioresponses#289)."""

    package = "aioresponses"
    mocks = True

    async def start(self) -> None:
        core: Any = importlib.import_module("aioresponses.core")
        core.ClientResponse = partial(core.ClientResponse, stream_writer=mock.Mock())
        self.mocked = core.aioresponses()
        self.mocked.start()
        for method in ("post", "get"):
            getattr(self.mocked, method)(self.given[method], payload=self.given["customer"], repeat=True)

    def seen(self) -> Counter[str]:
        return Counter({method: len(calls) for (method, _), calls in self.mocked.requests.items()})

    async def stop(self) -> None:
        self.mocked.stop()


class VcrRecording(Nothing):
    package = "vcr"

    async def start(self) -> None:
        self.context = importlib.import_module("vcr").VCR().use_cassette(self.path(), **self.mode())
        self.cassette = self.context.__enter__()

    def path(self) -> str:
        return str(Path(tempfile.mkdtemp(), "cassette.json"))

    def mode(self) -> dict[str, Any]:
        return {"record_mode": "all", "serializer": "json"}

    def seen(self) -> Counter[str]:
        return Counter(request.method for request in self.cassette.requests)

    async def stop(self) -> None:
        self.context.__exit__(None, None, None)


class VcrReplaying(VcrRecording):
    mocks = True

    def path(self) -> str:
        path = Path(super().path())
        answer = {
            "status": {"code": 200, "message": "OK"},
            "headers": {"Content-Type": ["application/json"]},
            "body": {"string": json.dumps(self.given["customer"])},
        }
        requests: list[dict[str, Any]] = [
            {"method": method, "uri": self.given[method.lower()], "body": None, "headers": {}}
            for method in ("POST", "GET")
        ]
        interactions = [{"request": request, "response": answer} for request in requests]
        path.write_text(json.dumps({"version": 1, "interactions": interactions}))
        return str(path)

    def mode(self) -> dict[str, Any]:
        return {"record_mode": "none", "serializer": "json", "allow_playback_repeats": True}

    def seen(self) -> Counter[str]:
        counts = self.cassette.play_counts
        return Counter({request.method: counts[at] for at, request in enumerate(self.cassette.requests)})


class Aiointercept(Nothing):
    package = "aiointercept"
    mocks = True

    async def start(self) -> None:
        self.mocked = importlib.import_module("aiointercept").aiointercept(mock_external_urls=True)
        await self.mocked.__aenter__()
        self.answers: dict[str, Any] = {}
        for method in ("post", "get"):
            add = getattr(self.mocked, method)
            self.answers[method.upper()] = add(self.given[method], payload=self.given["customer"], repeat=True)

    def seen(self) -> Counter[str]:
        return Counter({method: answer.call_count for method, answer in self.answers.items()})

    async def stop(self) -> None:
        await self.mocked.__aexit__(None, None, None)


WATCHERS: dict[str, type[Nothing]] = {
    "nothing": Nothing,
    "OpenTelemetry": OpenTelemetry,
    "Sentry": Sentry,
    "Datadog": Datadog,
    "vcrpy, recording": VcrRecording,
    "vcrpy, replaying": VcrReplaying,
    "aioresponses": Aioresponses,
    "aiointercept": Aiointercept,
}


class Ends:
    """A hook that keeps how calls ended."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def on_event(self, event: Any, /) -> None:
        if type(event).__name__ == "CallEnded":
            self.found.append(f"{event.outcome} {event.effect.name}")


async def ours(client: Any, given: dict[str, Any]) -> None:
    """Archive a customer, and get it."""
    customer = await client.customers.archive(*given["ids"], given["fields"])
    found = await client.customers.get(*given["ids"])
    assert customer.is_archived, "the POST's answer is not the server's"
    assert found.is_archived, "the GET's answer is not the server's"


async def bare(session: Any, given: dict[str, Any]) -> None:
    """Post and get the same with a session of aiohttp, with a mark on the requests."""
    for method in ("post", "get"):
        async with getattr(session, method)(given[method], headers={"X-Bare": "1"}) as response:
            await response.read()


async def main(name: str, moment: str, given: dict[str, Any]) -> dict[str, Any]:
    """Start the watcher at this moment, and return what it saw of the client and of the bare session."""
    watcher = WATCHERS[name](given)
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("thredfi_async")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    if moment == MOMENTS[0]:
        await watcher.start()
    thredfi_async, aiohttp = importlib.import_module("thredfi_async"), importlib.import_module("aiohttp")
    ends = Ends()

    def new_client() -> Any:
        return thredfi_async.ThredfiClient("secret-token", base_url=given["url"], hooks=[ends])

    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(new_client())
        if moment == MOMENTS[1]:
            await watcher.start()
        session = await stack.enter_async_context(aiohttp.ClientSession())
        if moment in MOMENTS[2:]:
            await ours(client, given)
            await bare(session, given)
            await watcher.start()
        if moment == MOMENTS[3]:
            client = await stack.enter_async_context(new_client())
            session = await stack.enter_async_context(aiohttp.ClientSession())
        counts = [watcher.seen()]
        await ours(client, given)
        counts.append(watcher.seen())
        await bare(session, given)
        counts.append(watcher.seen())
        await watcher.stop()
    seen = [dict(after - before) for before, after in pairwise(counts)]
    return {"seen": seen, "ends": ends.found, "lines": lines}


if __name__ == "__main__":
    os.environ.update(DD_INSTRUMENTATION_TELEMETRY_ENABLED="false", DD_REMOTE_CONFIGURATION_ENABLED="false")
    found = asyncio.run(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))
    sys.stdout.write(f"\n{json.dumps(found)}\n")
    sys.stdout.flush()
