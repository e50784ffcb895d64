"""A worker's metrics for Prometheus; no label holds an id."""

from collections.abc import Callable
from typing import Final, Literal, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from thredfi_async import PrometheusHook, ThredfiClient
from thredfi_async._jobs.metrics import Metrics as Progress
from thredfi_async._jobs.metrics import Snapshot
from thredfi_async.bulk import ArchiveClient, ItemState
from thredfi_async.worker.gate import Gate
from thredfi_async.worker.stream_config import StreamConfig

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)

_TICK: Final = 1.0

DeadLetterKind = Literal["malformed", "rejected", "failed", "unknown"]


class Observed(Protocol):
    """The state of a worker that is read at each scrape of its metrics."""

    @property
    def in_flight(self) -> int:
        """Messages held."""
        ...

    @property
    def is_connected(self) -> bool:
        """Whether NATS is connected."""
        ...

    def troubles_of_work(self) -> list[str]:
        """Return what keeps it from its work."""
        ...

    @property
    def gate(self) -> Gate:
        """The gate, which holds messages while the API is unavailable."""
        ...


class Metrics:
    """One worker's metrics, in their own registry: a process may run several workers.

    Attributes:
        registry: The registry.
        progress: The same counts in the form that bulk runs have.
        of_client: Measures what the worker's client does, in the same registry.
    """

    def __init__(self) -> None:
        self.registry: CollectorRegistry = CollectorRegistry()
        self.progress: Progress = Progress()
        self.of_client: PrometheusHook = PrometheusHook(self.registry)
        self._ticked = -_TICK
        self._outcomes = self._counter("outcomes", "Commands that ended, by state.", "state")
        self._dead = self._counter("dead_letters", "Commands stored as dead letters, by reason.", "why")
        deliveries = self._counter("deliveries", "Messages received, for the first time or again.", "kind")
        self._retries = self._counter("retries", "Retries: by this worker (held), or by another delivery.", "how")
        self._not_stored = self._counter("store_failures", "Messages that a stream did not store, by stream.", "stream")
        self._parts = self._counter("part_failures", "Failures of the worker's background parts.", "part")
        self._seconds = Histogram(
            "thredfi_worker_command_seconds",
            "Seconds from a command's delivery to its acknowledgement, waits included.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        # Metrics start at 0: a graph that starts with the first failure hides it.
        for kind in ("queue", "outcomes", "dead_letters"):
            self._not_stored.labels(kind)
        self._by_state = {state: self._outcomes.labels(state) for state in ItemState}
        for why in ("malformed", "rejected", "failed", "unknown"):
            self._dead.labels(why)
        self._first, self._again = deliveries.labels("first"), deliveries.labels("again")
        for how in ("held", "redelivery"):
            self._retries.labels(how)

    def ended(self, state: ItemState, seconds: float, requests: int) -> None:
        """Count an outcome, the seconds since its message arrived, and the requests of its last delivery."""
        self.progress.count(state, seconds)
        self.progress.sent(requests, 0)
        self._by_state[state].inc()
        self._seconds.observe(seconds)

    def dead_lettered(self, why: DeadLetterKind) -> None:
        """Count a dead letter."""
        self._dead.labels(why).inc()

    def delivered(self, *, again: bool) -> None:
        """Count a received message."""
        (self._again if again else self._first).inc()

    def repeats(self, *, held: bool) -> None:
        """Count a call that will be retried."""
        self._retries.labels("held" if held else "redelivery").inc()

    def not_stored(self, stream_config: StreamConfig, stream: str) -> None:
        """Count an attempt to store a message that failed."""
        kinds = {stream_config.outcomes_stream: "outcomes", stream_config.dead_stream: "dead_letters"}
        self._not_stored.labels(kinds.get(stream, "queue")).inc()

    def part_failed(self, part: str) -> None:
        """Count a failure of a background part."""
        self._parts.labels(part).inc()

    def measuring(self, client: ArchiveClient) -> ArchiveClient:
        """Return the client whose calls are measured; a stand-in for one is returned as it is."""
        return client.with_options(hooks=[self.of_client]) if isinstance(client, ThredfiClient) else client

    def observe(self, worker: Observed) -> None:
        """Add gauges for a worker."""
        self.gauge("ready", "1 while nothing keeps the worker from its work.", lambda: not worker.troubles_of_work())
        self.gauge("in_flight", "Messages held, at work or waiting.", lambda: worker.in_flight)
        self.gauge("waiting", "Held messages that wait for the API.", lambda: worker.gate.waiting)
        self.gauge("api_unavailable", "1 while API or credentials fail.", lambda: not worker.gate.is_open)
        self.gauge("broker_connected", "1 while NATS is connected.", lambda: worker.is_connected)

    def snapshot(self, worker: Observed, concurrency: int, now: float) -> Snapshot:
        """Return how far a worker is; the percentiles are those of the time since the snapshot before.

        Args:
            worker: The worker.
            concurrency: Calls that it may have in flight.
            now: The time in monotonic seconds.
        """
        progress = self.progress
        if now - self._ticked >= _TICK:
            self._ticked = now
            progress.tick(now)
        p50, p90, p99 = progress.percentiles
        return Snapshot(
            done=progress.done,
            by_state=dict(progress.by_state),
            in_flight=worker.in_flight - worker.gate.waiting,
            waiting=worker.gate.waiting,
            concurrency=concurrency,
            paused=not worker.gate.is_open,
            requests=progress.requests,
            rate=progress.rate(now),
            p50_ms=p50,
            p90_ms=p90,
            p99_ms=p99,
        )

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Add a gauge that is read at each scrape.

        Args:
            name: Its name, without the prefix.
            text: Its description.
            read: Returns its value.
        """
        Gauge(f"thredfi_worker_{name}", text, registry=self.registry).set_function(read)

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self.registry)

    def value(self, name: str, **labels: str) -> float:
        """Return one sample, such as `value("outcomes_total", state="archived")`; 0 if there is none."""
        return self.registry.get_sample_value(f"thredfi_worker_{name}", labels) or 0.0

    def _counter(self, name: str, text: str, label: str) -> Counter:
        return Counter(f"thredfi_worker_{name}", text, [label], registry=self.registry)
