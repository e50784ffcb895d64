"""What is measured: one table of names, and what each event adds to it, for every system of metrics.

Names, units and attributes follow OpenTelemetry's semantic conventions where these have one. No attribute holds an id.
"""

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, Protocol, TypeAlias

import attrs

from thredfi_async.events import Attempt, CallEnded, Event, RequestInfo, RetryScheduled

Attributes: TypeAlias = Mapping[str, str | int]
Values: TypeAlias = tuple[str | int | None, ...]
"""Those of an instrument's attributes, in its order; None for one that is absent."""

_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""The semantic conventions' own for durations."""
_LONG_BOUNDS: Final = (*_BOUNDS, 30.0, 60.0, 120.0, 300.0)
_ERROR_STATUS: Final = 400
_SUFFIXES: Final = {"s": "_seconds", "{request}/s": "_per_second"}


@attrs.frozen(kw_only=True, eq=False)
class Instrument:
    """One metric.

    Args:
        name: Its name in OpenTelemetry.
        kind: A histogram, a counter, or a gauge that is read when metrics are collected.
        unit: Its unit, in UCUM.
        description: What it measures.
        attributes: The names of its attributes.
        bounds: The upper bounds of a histogram's buckets.
        field: The field of a client's limits that a gauge shows.
    """

    name: str
    kind: Literal["histogram", "counter", "gauge"]
    unit: str
    description: str
    attributes: Sequence[str] = ()
    bounds: Sequence[float] = ()
    field: str = ""

    @property
    def prometheus_name(self) -> str:
        """Its name in Prometheus, as a collector would translate it; a counter's has no `_total` yet."""
        return self.name.replace(".", "_") + _SUFFIXES.get(self.unit, "")


def prometheus_label(attribute: str) -> str:
    """Return the name of an attribute as a label in Prometheus."""
    return attribute.replace(".", "_")


REQUEST_DURATION: Final = Instrument(
    name="http.client.request.duration",
    kind="histogram",
    unit="s",
    description="Duration of HTTP client requests.",
    attributes=(
        "http.request.method",
        "http.response.status_code",
        "error.type",
        "server.address",
        "server.port",
        "url.template",
    ),
    bounds=_BOUNDS,
)
CALL_DURATION: Final = Instrument(
    name="thredfi.client.call.duration",
    kind="histogram",
    unit="s",
    description="Duration of calls by how they ended, waits and retries included.",
    attributes=("thredfi.operation", "thredfi.outcome", "thredfi.effect", "error.type"),
    bounds=_LONG_BOUNDS,
)
QUEUE_DURATION: Final = Instrument(
    name="thredfi.client.queue.duration",
    kind="histogram",
    unit="s",
    description="Time that calls waited for their turns.",
    attributes=("thredfi.operation",),
    bounds=_LONG_BOUNDS,
)
RETRIES: Final = Instrument(
    name="thredfi.client.retries",
    kind="counter",
    unit="{retry}",
    description="Retries, by the error that caused them.",
    attributes=("thredfi.operation", "error.type"),
)
EVENT_INSTRUMENTS: Final = (REQUEST_DURATION, CALL_DURATION, QUEUE_DURATION, RETRIES)


def _gauge(name: str, unit: str, description: str, field: str = "") -> Instrument:
    field = field or name
    return Instrument(name=f"thredfi.client.{name}", kind="gauge", unit=unit, description=description, field=field)


LIMIT_INSTRUMENTS: Final = (
    _gauge("in_use", "{request}", "Requests in flight."),
    _gauge("waiting", "{call}", "Calls that wait for their turn."),
    _gauge("max_in_flight", "{request}", "Requests that may be in flight at present."),
    _gauge("rate", "{request}/s", "Requests a second that the client allows itself; absent without a limit."),
    _gauge("granted_rate", "{request}/s", "Requests a second that the API seems to grant; absent if any number."),
    _gauge("granted_at_once", "{request}", "Requests at once that the API seems to grant; absent if any number."),
    _gauge("cooldown", "s", "Time for which the API has asked every call to wait."),
)


def request_attributes(info: RequestInfo) -> dict[str, str | int]:
    """Return what is known of a request before its answer."""
    attributes: dict[str, str | int] = {
        "http.request.method": info.method,
        "server.address": info.server_address,
        "server.port": info.server_port,
    }
    if info.url_template is not None:
        attributes["url.template"] = info.url_template
    return attributes


def answer_attributes(event: Attempt) -> dict[str, str | int]:
    """Return what an attempt's end adds to that."""
    found = {"http.response.status_code": event.status, "error.type": _error_type(event)}
    return {name: value for name, value in found.items() if value is not None}


def _error_type(event: Attempt) -> str | None:
    # After an answer the conventions' value: what the error is called here, the call's own error.type says.
    is_answer = event.status is not None and event.status >= _ERROR_STATUS
    return str(event.status) if is_answer else event.error


def call_attributes(event: CallEnded) -> dict[str, str | int]:
    """Return how a call ended."""
    return _named(CALL_DURATION, _call_values(event))


def _call_values(event: CallEnded) -> Values:
    return event.operation, event.outcome, event.effect.name, event.error


def _named(instrument: Instrument, values: Values) -> dict[str, str | int]:
    pairs = zip(instrument.attributes, values, strict=True)
    return {name: value for name, value in pairs if value is not None}


def measured(event: Event) -> Iterator[tuple[Instrument, float, Values]]:
    """Return what an event adds to which metrics, with the values of their attributes."""
    match event:
        case Attempt(request=RequestInfo() as info):
            where = info.server_address, info.server_port, info.url_template
            yield REQUEST_DURATION, event.elapsed, (info.method, event.status, _error_type(event), *where)
        case RetryScheduled():
            yield RETRIES, 1, (event.operation, event.error)
        case CallEnded():
            yield CALL_DURATION, event.elapsed, _call_values(event)
            yield QUEUE_DURATION, event.queued, (event.operation,)
        case _:
            return  # without a request, or of a later version


class Series:
    """The series of all metrics: where the values of each combination of attributes go is looked up once.

    Args:
        find: Returns what adds a value to a metric with these attributes.
    """

    def __init__(self, find: Callable[[Instrument, Attributes], Callable[[float], None]]) -> None:
        self._find = find
        self._found: dict[tuple[Instrument, Values], Callable[[float], None]] = {}

    def record(self, event: Event) -> None:
        """Add what an event measures."""
        for instrument, value, values in measured(event):
            add = self._found.get((instrument, values))
            if add is None:
                add = self._found[instrument, values] = self._find(instrument, _named(instrument, values))
            add(value)


class HasLimits(Protocol):
    """A client, as far as gauges read it."""

    @property
    def limits(self) -> Any:  # noqa: ANN401 - read by the fields' names
        """Its limits at this moment."""
        ...


class Clients:
    """The clients whose limits gauges show; they are not kept alive."""

    def __init__(self) -> None:
        # Replaced and never changed: metrics are collected in other threads.
        self._clients: tuple[weakref.ref[HasLimits], ...] = ()

    def add(self, client: HasLimits) -> None:
        """Add a client."""
        alive = (each for each in self._clients if each() is not None)
        self._clients = (*alive, weakref.ref(client))

    def value(self, instrument: Instrument) -> float | None:
        """Return the sum of a gauge over all clients, but the longest cooldown; None if no client has a value."""
        clients = (each() for each in self._clients)
        # A field that this version's limits do not have has no value.
        found = [getattr(client.limits, instrument.field, None) for client in clients if client is not None]
        values = [float(value) for value in found if value is not None]
        if not values:
            return None
        return max(values) if instrument.field == "cooldown" else sum(values)
