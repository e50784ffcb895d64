"""Hooks that come with the library."""

from thredfi_async.telemetry.logging import LoggingHook
from thredfi_async.telemetry.opentelemetry import OpenTelemetryHook
from thredfi_async.telemetry.prometheus import PrometheusHook

__all__ = ["LoggingHook", "OpenTelemetryHook", "PrometheusHook"]
