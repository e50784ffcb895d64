"""A hook that measures for Prometheus."""

from typing import TYPE_CHECKING

from thredfi_async._extras import how_to_install
from thredfi_async.errors import ConfigurationError
from thredfi_async.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client import CollectorRegistry, Counter, Histogram, Metric

    from thredfi_async.telemetry._instruments import Attributes, HasLimits, Instrument

__all__ = ["PrometheusHook"]


class PrometheusHook:
    """Measures calls, requests, retries and the client's limits with prometheus-client (extra `metrics`).

    One hook serves any number of clients. No label holds an id.

    Args:
        registry: Where the metrics are registered; prometheus-client's own registry by default.

    Raises:
        ConfigurationError: prometheus-client is not installed, or the registry has these metrics already.
    """

    def __init__(self, registry: "CollectorRegistry | None" = None) -> None:
        """Register the metrics."""
        try:
            import prometheus_client  # noqa: PLC0415 - an extra, loaded when it is used
            from prometheus_client import metrics_core  # noqa: PLC0415 - as above

            from thredfi_async.telemetry import _instruments  # noqa: PLC0415 - as above
        except ModuleNotFoundError:
            problem = f"prometheus-client is not installed: {how_to_install('metrics')}"
            raise ConfigurationError(problem) from None
        registry = prometheus_client.REGISTRY if registry is None else registry
        self._table = _instruments
        self._clients = _instruments.Clients()
        self._gauge = metrics_core.GaugeMetricFamily
        self._series = _instruments.Series(self._find)
        self._counters: dict[Instrument, Counter] = {}
        self._histograms: dict[Instrument, Histogram] = {}
        try:
            for each in _instruments.EVENT_INSTRUMENTS:
                labels = [_instruments.prometheus_label(attribute) for attribute in each.attributes]
                name, text = each.prometheus_name, each.description
                if each.kind == "counter":
                    self._counters[each] = prometheus_client.Counter(name, text, labels, registry=registry)
                else:
                    self._histograms[each] = prometheus_client.Histogram(
                        name, text, labels, registry=registry, buckets=each.bounds
                    )
            registry.register(self)
        except ValueError:
            raise ConfigurationError(
                "the registry has the metrics of a PrometheusHook already: give the first one to all clients"
            ) from None

    def on_client(self, client: "HasLimits", /) -> None:
        """Show the limits of a client, for as long as it exists."""
        self._clients.add(client)

    def on_event(self, event: Event, /) -> None:
        """Measure one event."""
        self._series.record(event)

    def collect(self) -> "Iterable[Metric]":
        """Return the gauges of the clients' limits; the registry calls this."""
        for each in self._table.LIMIT_INSTRUMENTS:
            value = self._clients.value(each)
            if value is not None:
                yield self._gauge(each.prometheus_name, each.description, value)

    def describe(self) -> "Iterable[Metric]":
        """Return the gauges' names; the registry calls this."""
        for each in self._table.LIMIT_INSTRUMENTS:
            yield self._gauge(each.prometheus_name, each.description)

    def _find(self, instrument: "Instrument", attributes: "Attributes") -> "Callable[[float], None]":
        labels = [attributes.get(each, "") for each in instrument.attributes]
        if instrument.kind == "counter":
            return self._counters[instrument].labels(*labels).inc
        return self._histograms[instrument].labels(*labels).observe
