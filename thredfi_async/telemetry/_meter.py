"""The metrics of OpenTelemetry."""

from collections.abc import Callable, Iterable

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, MeterProvider, NoOpMeterProvider, Observation

from thredfi_async._version import __version__
from thredfi_async.events import Attempt, Event
from thredfi_async.telemetry._instruments import (
    EVENT_INSTRUMENTS,
    LIMIT_INSTRUMENTS,
    Attributes,
    Clients,
    Instrument,
    Series,
)

NAME = "thredfi_async"
SCHEMA = "https://opentelemetry.io/schemas/1.37.0"


class Meter:
    """Records what events say, and shows the limits of clients.

    Args:
        provider: Makes the metrics; the global one by default.

    Attributes:
        clients: The clients.
        is_silent: Whether nothing is recorded.
    """

    def __init__(self, provider: MeterProvider | None) -> None:
        provider = metrics.get_meter_provider() if provider is None else provider
        # Nothing measures then; a proxy may become another provider later.
        self.is_silent: bool = isinstance(provider, NoOpMeterProvider)
        meter = metrics.get_meter(NAME, __version__, meter_provider=provider, schema_url=SCHEMA)
        self.clients: Clients = Clients()
        record: dict[Instrument, Callable[[float, Attributes], None]] = {}
        for each in EVENT_INSTRUMENTS:
            if each.kind == "counter":
                record[each] = meter.create_counter(each.name, each.unit, each.description).add
            else:
                record[each] = meter.create_histogram(
                    each.name, each.unit, each.description, explicit_bucket_boundaries_advisory=each.bounds
                ).record

        def find(instrument: Instrument, attributes: Attributes) -> Callable[[float], None]:
            return lambda value: record[instrument](value, attributes)

        self._series = Series(find)
        for each in LIMIT_INSTRUMENTS:
            meter.create_observable_gauge(each.name, [self._reader(each)], each.unit, each.description)

    def record(self, event: Event) -> None:
        """Record an event, unless aiohttp's instrumentation does."""
        if isinstance(event, Attempt) and event.request is not None and event.request.is_instrumented:
            return
        self._series.record(event)

    def _reader(self, instrument: Instrument) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def read(_: CallbackOptions) -> Iterable[Observation]:
            value = self.clients.value(instrument)
            return [] if value is None else [Observation(value)]

        return read
