"""Hooks that come with the library."""

from thredfi_async.telemetry.logging import LoggingHook

__all__ = ["LoggingHook"]
