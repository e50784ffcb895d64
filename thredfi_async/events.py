"""What a hook is told, and the protocol of a hook."""

from typing import Literal, Protocol, TypeAlias

import attrs

from thredfi_async.errors import Effect

__all__ = ["Attempt", "CallEnded", "Event", "Hook", "RetryScheduled"]


@attrs.frozen(kw_only=True)
class Attempt:
    """An event: one request was sent, or could not be, and this is how it ended; one that is cut off gives none.

    Args:
        operation: The call's name, such as `customers.archive`.
        number: 1 for the call's first request.
        method: The HTTP method.
        status: The answer's status, or None without one.
        error: The error's class name, or None.
        effect: What this attempt may have done.
        elapsed: Seconds from having its turn to its end.
        request_id: The answer's `X-Request-Id`, if any.
        idempotency_key: The key that it carried, if any.
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


@attrs.frozen(kw_only=True)
class RetryScheduled:
    """An event: the call will be tried again.

    Args:
        operation: The call's name.
        attempts: Requests sent so far.
        wait: Seconds until the next.
        error: The class name of the error that it is tried again for.
        idempotency_key: The key that it carries, if any.
    """

    operation: str
    attempts: int
    wait: float
    error: str
    idempotency_key: str | None


@attrs.frozen(kw_only=True)
class CallEnded:
    """An event: a call has ended; every call that asked for a turn gives one.

    Args:
        operation: The call's name.
        outcome: How it ended for the caller.
        effect: What the call did.
        attempts: Requests that it sent.
        elapsed: Seconds from the call to its end, queueing included.
        queued: Seconds of these that it waited for a turn.
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
"""What a hook is told: an attempt, a retry to come, or a call's end."""


class Hook(Protocol):
    """Is told what happens, synchronously: it must be quick, and what it raises is logged and goes no further."""

    def on_event(self, event: Event, /) -> None:
        """Take one event."""
