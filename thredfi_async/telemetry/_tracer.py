"""The spans of OpenTelemetry."""

import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from thredfi_async._checks.headers import NO_HEADERS
from thredfi_async._version import __version__
from thredfi_async.events import (
    Attempt,
    AttemptStarted,
    CallContext,
    CallEnded,
    CallStarted,
    Event,
    RetryScheduled,
    WorkEnded,
    WorkStarted,
)
from thredfi_async.telemetry._instruments import answer_attributes, call_attributes, request_attributes
from thredfi_async.telemetry._meter import NAME, SCHEMA, Meter

if TYPE_CHECKING:
    from contextvars import Token

_NO_WAIT: Final = 1e-4
"""Seconds in the queue that are none: what it takes to get a turn that is free."""
_FLAGS: Final = tuple(f"{flags:02x}" for flags in range(256))
_RUN: Final = context.create_key("thredfi-run")


class Tracer:
    """Makes spans.

    Args:
        provider: Makes the tracer; the global one by default.
        propagator: Writes the trace context into headers; `traceparent` by default.
        meter: Measures the events of traced calls.
    """

    def __init__(
        self,
        provider: TracerProvider | None,
        propagator: TextMapPropagator | None,
        meter: Meter,
    ) -> None:
        self.record = meter.record
        self._is_silent = meter.is_silent
        self._propagator = propagator or TraceContextTextMapPropagator()
        self._is_plain = type(self._propagator) is TraceContextTextMapPropagator
        self._tracer = trace.get_tracer(NAME, __version__, provider, SCHEMA)
        self.start = self._tracer.start_span

    def call(self, started: CallStarted) -> "TracedCall | CallContext":
        """Begin a call's span; a call of a bulk run is a trace of its own, with a link to the run's."""
        around = context.get_current()
        links: tuple[Link, ...] = ()
        run = around.get(_RUN)
        if run is not None and run is trace.get_current_span(around):
            assert isinstance(run, Span)  # noqa: S101 - only `work` sets it
            around, links = Context(), (Link(run.get_span_context()),)
        # The time that it waited is part of it.
        began = time.time_ns() - int(started.queued * 1e9) if started.queued > _NO_WAIT else None
        attributes = {"thredfi.operation": started.operation}
        span = self.start(started.operation, around, SpanKind.INTERNAL, attributes, links, start_time=began)
        inside = trace.set_span_in_context(span, around)
        if span.is_recording():
            return TracedCall(self, span, inside)
        # Whatever happens meanwhile belongs to a trace that is not sampled.
        leave = partial(_leave, context.attach(inside), inside)
        return CallContext(self.headers(span, inside), leave, self._is_silent)

    def work(self, started: WorkStarted) -> "TracedWork":
        """Begin the span of a bulk run, or of a message whose headers may hold a trace context."""
        if started.kind == "run":
            span = self.start(f"run {started.name}", kind=SpanKind.INTERNAL)
            inside = context.set_value(_RUN, span, trace.set_span_in_context(span))
            return TracedWork(self, span, inside)
        # Names of headers are alike in any case, and the propagator looks for lower case.
        around = self._propagator.extract({name.lower(): value for name, value in started.headers.items()})
        attributes: dict[str, str | int] = {
            "messaging.system": "nats",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": started.name,
            "thredfi.delivery": started.delivery,
        }
        span = self.start(f"process {started.name}", around, SpanKind.CONSUMER, attributes)
        return TracedWork(self, span, trace.set_span_in_context(span, around))

    def headers(self, span: Span, inside: Context) -> Mapping[str, str]:
        """Return the headers that carry a trace context."""
        trace_id, span_id, _, flags, state, is_valid = span.get_span_context()  # it is a tuple
        if self._is_plain and not state:
            # As the propagator writes it, at a tenth of the cost.
            ids = trace_id.to_bytes(16).hex(), span_id.to_bytes(8).hex()
            return {"traceparent": f"00-{ids[0]}-{ids[1]}-{_FLAGS[flags]}"} if is_valid else NO_HEADERS
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, inside)  # pyright: ignore[reportArgumentType] - its default is typed too narrowly
        return carrier


class _Scope:
    """A span that is the current one until it ends, so that whatever happens meanwhile is part of it."""

    __slots__ = ("_token", "inside", "span", "tracer")

    def __init__(self, tracer: Tracer, span: Span, inside: Context) -> None:
        self.tracer = tracer
        self.span = span
        self.inside = inside
        self._token: Token[Context] = context.attach(inside)

    def leave(self, *, failed: bool) -> None:
        if failed:
            self.span.set_status(Status(StatusCode.ERROR))
        self.span.end()
        _leave(self._token, self.inside)


def _leave(token: "Token[Context]", inside: Context) -> None:
    # If it ends elsewhere than it began, as a generator may that is thrown away, that place never had this span.
    if context.get_current() is inside:
        context.detach(token)


class TracedCall(_Scope):
    """One call's span, with those of its attempts."""

    __slots__ = ("_attempt",)

    def __init__(self, tracer: Tracer, span: Span, inside: Context) -> None:
        super().__init__(tracer, span, inside)
        self._attempt: Span | None = None

    def on_attempt(self, attempt: AttemptStarted, /) -> Mapping[str, str]:
        """Begin the span of an attempt, unless aiohttp's instrumentation does; return the headers that carry it."""
        info = attempt.request
        if info.is_instrumented:
            return NO_HEADERS  # it writes them too
        name = info.method if info.url_template is None else f"{info.method} {info.url_template}"
        attributes = request_attributes(info)
        if info.resend_count:
            attributes["http.request.resend_count"] = info.resend_count
        self._attempt = self.tracer.start(name, self.inside, SpanKind.CLIENT, attributes)
        return self.tracer.headers(self._attempt, trace.set_span_in_context(self._attempt, self.inside))

    def on_event(self, event: Event, /) -> None:
        """Record an event in the span that it is about."""
        match event:
            case Attempt():
                self._attempt_ended(event)
            case RetryScheduled():
                self.span.add_event("retry", {"error.type": event.error, "thredfi.wait": event.wait})
            case CallEnded():
                self._ended(event)
        self.tracer.record(event)

    def _attempt_ended(self, event: Attempt) -> None:
        span, self._attempt = self._attempt, None
        if span is None:
            return
        span.set_attributes({**answer_attributes(event), "thredfi.effect": event.effect.name})
        if event.request_id is not None:
            span.set_attribute("thredfi.request_id", event.request_id)
        if event.error is not None:
            span.set_status(Status(StatusCode.ERROR))
        span.end()

    def _ended(self, event: CallEnded) -> None:
        own = {"thredfi.attempts": event.attempts, "thredfi.queued": event.queued}
        self.span.set_attributes({**call_attributes(event), **own})
        self.leave(failed=event.outcome == "failed")


class TracedWork(_Scope):
    """The span of a bulk run or of a message."""

    __slots__ = ()

    def headers(self) -> Mapping[str, str]:
        """Return the headers that carry its trace context."""
        return self.tracer.headers(self.span, self.inside)

    def on_end(self, ended: WorkEnded, /) -> None:
        """End the span."""
        self.span.set_attribute("thredfi.outcome", ended.outcome)
        for state, count in ended.counts.items():
            self.span.set_attribute(f"thredfi.items.{state}", count)
        if ended.error is not None:
            self.span.set_attribute("error.type", ended.error)
        self.leave(failed=ended.error is not None)
