"""A collector for OpenTelemetry on loopback: it takes spans and metrics as OTLP over HTTP, and keeps them."""

import gzip
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass
class Collector:
    """What was received.

    Args:
        url: Its address, for `OTEL_EXPORTER_OTLP_ENDPOINT`.
        spans: Spans with their service's name.
        metrics: Names of metrics.
        raw: Everything as bytes.
    """

    url: str
    spans: list[tuple[str, Span]] = field(default_factory=list[tuple[str, Span]])
    metrics: set[str] = field(default_factory=set[str])
    raw: list[bytes] = field(default_factory=list[bytes])

    def take(self, path: str, body: bytes) -> None:
        """Take one request."""
        self.raw.append(body)
        if path.endswith("/traces"):
            for each in ExportTraceServiceRequest.FromString(body).resource_spans:
                resource = {pair.key: pair.value.string_value for pair in each.resource.attributes}
                self.spans += [(resource["service.name"], span) for scope in each.scope_spans for span in scope.spans]
        else:
            found = ExportMetricsServiceRequest.FromString(body).resource_metrics
            self.metrics |= {metric.name for each in found for scope in each.scope_metrics for metric in scope.metrics}

    def tree(self) -> list[str]:
        """Return the spans as text, in the order in which they began, with their outcomes and links."""
        spans = sorted((span for _, span in self.spans), key=lambda span: span.start_time_unix_nano)
        known = {span.span_id: span for span in spans}
        lines: list[str] = []

        def show(span: Span, depth: int) -> None:
            links = "".join(f", linked to {known[link.span_id].name}" for link in span.links if link.span_id in known)
            lines.append("  " * depth + f"{span.name}{_told(span)}{links}")
            for each in spans:
                if each.parent_span_id == span.span_id:
                    show(each, depth + 1)

        for span in spans:
            if span.parent_span_id not in known:
                show(span, 0)
        return lines


def _told(span: Span) -> str:
    names = ("http.response.status_code", "http.request.resend_count", "thredfi.outcome", "thredfi.effect")
    found: dict[str, Any] = {
        pair.key: pair.value.string_value or pair.value.int_value for pair in span.attributes if pair.key in names
    }
    return "".join(f" {name.rpartition('.')[2]}={found[name]}" for name in names if name in found)


@contextmanager
def collecting() -> Generator[Collector]:
    """Run a collector."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.take(self.path, gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        collector = Collector(f"http://127.0.0.1:{server.server_port}")
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield collector
        finally:
            server.shutdown()
