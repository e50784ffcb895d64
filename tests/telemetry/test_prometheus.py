"""The hook for Prometheus: what it counts, what its gauges show, and which registry it takes."""

import gc
import re
from collections.abc import Mapping
from types import SimpleNamespace

import pytest
from faultserver import FaultServer, Healthy, Step, faults
from helpers import BUSINESS, CUSTOMER, POST, body, client_of
from prometheus_client import CollectorRegistry, generate_latest

from thredfi_async import ConfigurationError, PrometheusHook, ThredfiClient
from thredfi_async.telemetry._instruments import EVENT_INSTRUMENTS, LIMIT_INSTRUMENTS, prometheus_label

TEMPLATE = "/v1/platform/businesses/{business_id}/customers/{customer_id}/archive/"


def value(registry: CollectorRegistry, name: str, labels: Mapping[str, str]) -> float | None:
    """Return one sample."""
    return registry.get_sample_value(name, dict(labels))


async def test_what_is_counted() -> None:
    """Requests, calls, waits and retries are counted by how they ended, and gauges show the limits."""
    registry = CollectorRegistry()
    hook = PrometheusHook(registry)
    routes: dict[tuple[str, str], list[Step]] = {POST: [faults.problem(503), Healthy()]}
    async with FaultServer(routes=routes) as server, client_of(server.url, hooks=[hook], max_connections=7) as client:
        assert value(registry, "thredfi_client_max_in_flight", {}) == 7
        await client.customers.archive(BUSINESS, CUSTOMER, body())
        where = {"server_address": "127.0.0.1", "server_port": str(server.port), "url_template": TEMPLATE}
        assert value(registry, "thredfi_client_in_use", {}) == 0
        assert value(registry, "thredfi_client_rate_per_second", {}) is None
    sent = {"http_request_method": "POST", **where}
    lost = {**sent, "http_response_status_code": "503", "error_type": "503"}
    good = {**sent, "http_response_status_code": "200", "error_type": ""}
    operation = {"thredfi_operation": "customers.archive"}
    ended = {**operation, "thredfi_outcome": "succeeded", "thredfi_effect": "APPLIED", "error_type": ""}
    assert value(registry, "http_client_request_duration_seconds_count", lost) == 1
    assert value(registry, "http_client_request_duration_seconds_count", good) == 1
    assert value(registry, "thredfi_client_call_duration_seconds_count", ended) == 1
    assert value(registry, "thredfi_client_queue_duration_seconds_count", operation) == 1
    assert value(registry, "thredfi_client_retries_total", {**operation, "error_type": "ServerError"}) == 1
    shown = generate_latest(registry).decode()
    assert CUSTOMER not in shown
    assert BUSINESS not in shown


def test_a_client_that_is_gone() -> None:
    """The hook keeps no client alive."""
    registry = CollectorRegistry()
    hook = PrometheusHook(registry)
    client = ThredfiClient("secret-token", hooks=[hook])
    assert value(registry, "thredfi_client_waiting", {}) == 0
    del client
    gc.collect()
    assert value(registry, "thredfi_client_waiting", {}) is None


def test_several_clients() -> None:
    """The gauges of several clients are their sum, but the longest cooldown."""
    registry = CollectorRegistry()
    hook = PrometheusHook(registry)

    class Client:
        def __init__(self, cooldown: float) -> None:
            self.limits = SimpleNamespace(cooldown=cooldown, in_use=2, rate=None)

    clients = [Client(3.0), Client(5.0)]
    for client in clients:
        hook.on_client(client)
    names = ("cooldown_seconds", "in_use", "rate_per_second", "waiting")
    assert [value(registry, f"thredfi_client_{name}", {}) for name in names] == [5, 4, None, None]


def test_one_hook_for_each_registry() -> None:
    """A second hook on one registry is refused in a sentence."""
    registry = CollectorRegistry()
    PrometheusHook(registry)
    with pytest.raises(ConfigurationError, match=r"^the registry has the metrics of a PrometheusHook already: give"):
        PrometheusHook(registry)


def test_names_are_those_of_a_collector() -> None:
    """Names and labels are what OpenTelemetry's collector makes of the same metrics."""
    names = [each.prometheus_name for each in (*EVENT_INSTRUMENTS, *LIMIT_INSTRUMENTS)]
    assert len(set(names)) == len(names)
    assert {"http_client_request_duration_seconds", "thredfi_client_cooldown_seconds"} <= set(names)
    labels = [prometheus_label(attribute) for each in EVENT_INSTRUMENTS for attribute in each.attributes]
    assert all(re.fullmatch(r"[a-z_]+", name) for name in [*names, *labels])
