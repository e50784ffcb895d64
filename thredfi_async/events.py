"""The events that hooks receive, and the protocol of a hook."""

from typing import Literal, Protocol, TypeAlias

import attrs

from thredfi_async.errors import Effect

__all__ = ["Attempt", "CallEnded", "Event", "Hook", "RetryScheduled"]


@attrs.frozen(kw_only=True)
class Attempt:
    """An event: one attempt ended, sent or not; an attempt that was cut off emits none.

    Args:
        operation: The call's name, such as `customers.archive`.
        number: 1 for the call's first request.
        method: The HTTP method.
        status: The answer's status, or None without one.
        error: The error's class name, or None.
        effect: What this attempt may have done.
        elapsed: Seconds from its turn to its end.
        request_id: The answer's `X-Request-Id`, if any.
        idempotency_key: The key that it carried, if any.
        limit: Of one that the API refused for a limit: what the client has found out about that, in words, if anything.
    """

    operation: str
    number: int
    method: str
    status: int | None
    error: str | None
    effect: Effect
    elapsed: float
    request_id: str | None
    idempotency_key: str | None
    limit: str | None = None


@attrs.frozen(kw_only=True)
class RetryScheduled:
    """An event: the call will be retried.

    Args:
        operation: The call's name.
        attempts: Requests sent so far.
        wait: Seconds until the next request.
        error: The class name of the error that caused the retry.
        idempotency_key: The key that it carries, if any.
    """

    operation: str
    attempts: int
    wait: float
    error: str
    idempotency_key: str | None


@attrs.frozen(kw_only=True)
class CallEnded:
    """An event: a call ended; every call that asked for a turn emits one.

    Args:
        operation: The call's name.
        outcome: How it ended for the caller.
        effect: What the call did.
        attempts: Requests that it sent.
        elapsed: Seconds from the call to its end, queueing included.
        queued: Seconds of these that it waited for turns.
        error: The error's class name, or None.
        request_id: The last answer's `X-Request-Id`, if any.
        idempotency_key: The key that it carried, if any.
    """

    operation: str
    outcome: Literal["succeeded", "failed", "cancelled"]
    effect: Effect
    attempts: int
    elapsed: float
    queued: float
    error: str | None
    request_id: str | None
    idempotency_key: str | None


Event: TypeAlias = Attempt | RetryScheduled | CallEnded
"""What a hook receives: an attempt, a scheduled retry, or the end of a call."""


class Hook(Protocol):
    """Receives events synchronously: it must be quick. What it raises is logged and not propagated."""

    def on_event(self, event: Event, /) -> None:
        """Handle one event."""
