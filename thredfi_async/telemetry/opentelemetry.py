"""A hook that traces and measures with OpenTelemetry."""

from typing import TYPE_CHECKING

from thredfi_async._extras import how_to_install
from thredfi_async.errors import ConfigurationError
from thredfi_async.events import CallContext, CallObserver, CallStarted, Event, WorkObserver, WorkStarted

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.propagators.textmap import TextMapPropagator
    from opentelemetry.trace import TracerProvider

    from thredfi_async.telemetry._instruments import HasLimits

__all__ = ["OpenTelemetryHook"]


class OpenTelemetryHook:
    """Traces calls and their attempts, and measures them, by the semantic conventions of HTTP clients (extra `otel`).

    Each call is a span, and each of its attempts a child, which the request carries to the API as `traceparent`. Where
    OpenTelemetry's own instrumentation of aiohttp is active, that makes the attempts' spans. Nothing that is recorded
    holds an id of a customer or a business, or personal data. One hook serves any number of clients.

    Args:
        tracer_provider: Makes the spans; the global one by default.
        meter_provider: Makes the metrics; the global one by default.
        propagator: Writes the trace context into headers; `traceparent` and `tracestate` by default. The global one
            (`opentelemetry.propagate.get_global_textmap()`) would also send your baggage to the API.

    Raises:
        ConfigurationError: opentelemetry-api is not installed.
    """

    def __init__(
        self,
        *,
        tracer_provider: "TracerProvider | None" = None,
        meter_provider: "MeterProvider | None" = None,
        propagator: "TextMapPropagator | None" = None,
    ) -> None:
        """Make the tracer and the metrics."""
        try:
            # Loaded when it is used.
            from thredfi_async.telemetry._meter import Meter  # noqa: PLC0415
            from thredfi_async.telemetry._tracer import Tracer  # noqa: PLC0415
        except ModuleNotFoundError:
            problem = f"opentelemetry-api is not installed: {how_to_install('otel')}"
            raise ConfigurationError(problem) from None
        self._meter = Meter(meter_provider)
        self._tracer = Tracer(tracer_provider, propagator, self._meter)

    def on_client(self, client: "HasLimits", /) -> None:
        """Measure the limits of a client, for as long as it exists."""
        self._meter.clients.add(client)

    def on_event(self, event: Event, /) -> None:
        """Measure an event of a call that is not sampled; the others have observers."""
        self._meter.record(event)

    def on_call(self, started: CallStarted, /) -> CallObserver | CallContext:
        """Begin the span of a call; if it is not sampled, only its context goes with the call."""
        return self._tracer.call(started)

    def on_work(self, started: WorkStarted, /) -> WorkObserver:
        """Begin the span of a bulk run or of a message.

        The calls of a message are its children. Those of a run are traces of their own, with a link to the run.
        """
        return self._tracer.work(started)
