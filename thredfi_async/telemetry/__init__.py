"""Hooks that come with the library: they turn events into something to look at."""

from thredfi_async.telemetry.logging import LoggingHook

__all__ = ["LoggingHook"]
