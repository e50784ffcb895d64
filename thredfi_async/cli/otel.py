"""Traces and metrics of a command, sent to a collector that OpenTelemetry's own variables name."""

import os
from collections.abc import Sequence
from typing import Final

from thredfi_async import ConfigurationError, Hook, OpenTelemetryHook
from thredfi_async._extras import how_to_install

_ENDPOINTS: Final = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)


def otel_hooks(*, asked: bool) -> Sequence[Hook]:
    """Return the hook that traces and measures, if an option or the environment asks for it.

    What is left is sent when the process ends.

    Args:
        asked: Whether an option asks for it; then it must be possible.

    Returns:
        The hook, or nothing.

    Raises:
        ConfigurationError: The extra `otel` is not installed, or a variable is not valid.
    """
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ()
    if not asked and not any(os.environ.get(name) for name in _ENDPOINTS):
        return ()
    try:
        from opentelemetry import trace  # noqa: PLC0415 - loaded when it is used
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - as above

        # `opentelemetry-instrument` has set it up already, or the command's first client.
        if not isinstance(trace.get_tracer_provider(), TracerProvider):
            _set_up()
    except ModuleNotFoundError:
        if asked:
            raise ConfigurationError(f"--otel needs OpenTelemetry: {how_to_install('otel')}") from None
        # The variables may be there for every program of a machine.
        return ()
    return (OpenTelemetryHook(),)


def _set_up() -> None:
    """Set up the SDK: sampler, resource, endpoint and headers are those of its variables."""
    from opentelemetry import metrics, trace  # noqa: PLC0415 - as above
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415 - as above
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - as above
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415 - as above
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415 - as above
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - as above
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - as above

    os.environ.setdefault("OTEL_SERVICE_NAME", "thredfi")
    try:
        tracers = TracerProvider()
        tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        meters = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())])
    except ValueError as error:
        # Its text may quote a header with a secret.
        raise ConfigurationError(
            f"OpenTelemetry cannot be set up ({type(error).__name__}): check the variables that begin with OTEL_"
        ) from None
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(meters)
