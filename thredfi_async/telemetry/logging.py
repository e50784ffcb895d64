"""A hook that writes events to the log."""

import logging
from typing import Final

from thredfi_async.events import Attempt, CallEnded, Event, RetryScheduled

__all__ = ["LoggingHook"]

_LEVELS: Final = {"succeeded": logging.DEBUG, "cancelled": logging.INFO, "failed": logging.WARNING}


class LoggingHook:
    """Writes events to a logger: attempts at DEBUG, retries at INFO, failed calls at WARNING.

    A record has the operation, numbers, effects and keys; never personal data, a body, a header or a token. The event
    itself is on the record as `thredfi_event`, for structured handlers.

    Args:
        logger: The logger; `thredfi_async` by default.
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        """Store the logger."""
        self._logger = logger or logging.getLogger("thredfi_async")

    def on_event(self, event: Event, /) -> None:
        """Log one event."""
        extra = {"thredfi_event": event}
        match event:
            case Attempt():
                ended = event.status or event.error
                limit = f"; {event.limit}" if event.limit else ""
                message = "%s attempt %d: %s in %.3f s%s"
                self._logger.debug(message, event.operation, event.number, ended, event.elapsed, limit, extra=extra)
            case RetryScheduled():
                message = "%s: retrying in %.3f s after %s"
                self._logger.info(message, event.operation, event.wait, event.error, extra=extra)
            case CallEnded():
                message = "%s %s: effect %s, %d attempts, %.3f s, error %s, key %s"
                self._logger.log(
                    _LEVELS[event.outcome],
                    message,
                    event.operation,
                    event.outcome,
                    event.effect.name,
                    event.attempts,
                    event.elapsed,
                    event.error,
                    event.idempotency_key,
                    extra=extra,
                )
