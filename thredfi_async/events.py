"""The events that hooks receive, and the protocols of what receives them.

`CallStarted` and `CallContext` are not frozen, at half the cost: each call has them, even if a sampler drops it.
"""

from collections.abc import Callable, Mapping
from typing import Literal, Protocol, TypeAlias

import attrs

from thredfi_async._checks.headers import NO_HEADERS
from thredfi_async.errors import Effect

__all__ = [
    "Attempt",
    "AttemptStarted",
    "CallContext",
    "CallEnded",
    "CallObserver",
    "CallStarted",
    "Event",
    "Hook",
    "RequestInfo",
    "RetryScheduled",
    "WorkEnded",
    "WorkObserver",
    "WorkStarted",
]


@attrs.frozen(kw_only=True)
class RequestInfo:
    """What a request is about; no id is in it.

    Args:
        method: The HTTP method.
        server_address: The API's host.
        server_port: The API's port.
        url_template: The path with names in the place of ids, such as
            `/v1/platform/businesses/{business_id}/customers/`; None for a path that the caller wrote.
        resend_count: How often the call had sent this request before.
        is_instrumented: Whether OpenTelemetry's own instrumentation of aiohttp traces and measures it.
    """

    method: str
    server_address: str
    server_port: int
    url_template: str | None
    resend_count: int
    is_instrumented: bool = False


@attrs.frozen(kw_only=True)
class Attempt:
    """An event: one attempt ended, whether it was answered, failed before it was sent, or was cut off.

    Args:
        operation: The call's name, such as `customers.archive`.
        number: 1 for the call's first request.
        method: The HTTP method.
        status: The answer's status, or None without one.
        error: The error's class name, or None; of an attempt that was cut off, `RequestTimeoutError` after the call's
            deadline, `ClientStateError` if the client was closed, and `CancelledError` if the caller was cancelled.
        effect: What this attempt may have done.
        elapsed: Seconds from its turn to its end.
        request_id: The answer's `X-Request-Id`, if any.
        idempotency_key: The key that it carried, if any.
        request: What the request was about; None if there was no token to send it with.
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
    request: RequestInfo | None = None
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


@attrs.define(kw_only=True)
class CallStarted:
    """A call begins: it has its first turn, or has ended without one.

    Args:
        operation: The call's name.
        queued: Seconds that it has waited for its turn.
    """

    operation: str
    queued: float


@attrs.frozen(kw_only=True)
class AttemptStarted:
    """A request is about to be sent.

    Args:
        operation: The call's name.
        number: 1 for the call's first request.
        request: What the request is about.
    """

    operation: str
    number: int
    request: RequestInfo


@attrs.frozen(kw_only=True)
class WorkStarted:
    """Work begins that calls are part of.

    Args:
        kind: `run` for a bulk run, `message` for a message that a worker processes.
        name: What is run, or the subject on which the message came.
        headers: The message's headers.
        delivery: How often the message was delivered, this time included; 1 by default.
    """

    kind: Literal["run", "message"]
    name: str
    headers: Mapping[str, str] = attrs.field(default=NO_HEADERS, repr=False)
    delivery: int = 1


@attrs.frozen(kw_only=True)
class WorkEnded:
    """Work has ended.

    Args:
        outcome: How: the state of a message's customer, or `completed` or `stopped` for a run; `returned` for a message
            that is delivered again.
        error: The class name of the error that ended a run, or the code of a message's; None without one.
        counts: A run's items by state.
    """

    outcome: str
    error: str | None = None
    counts: Mapping[str, int] = attrs.field(factory=dict[str, int])


class Hook(Protocol):
    """Receives events synchronously: it must be quick. What it raises is logged and not propagated.

    A hook may have more methods, which a client looks up once:

    - `on_client(client)` is called with each new client that has this hook.
    - `on_call(started)` is called with a `CallStarted`, in the caller's task. It returns a `CallObserver`, which
      receives this call's events in the hook's place; or a `CallContext` for a call of which it records nothing; or
      None, and then the hook itself receives the events.
    - `on_work(started)` is called with a `WorkStarted`, in the task that does the work. It returns a `WorkObserver`, or
      None.
    """

    def on_event(self, event: Event, /) -> None:
        """Handle one event."""


class CallObserver(Protocol):
    """Follows one call; a hook's `on_call` returns it."""

    def on_event(self, event: Event, /) -> None:
        """Handle one event of the call; `CallEnded` is its last."""

    def on_attempt(self, attempt: AttemptStarted, /) -> Mapping[str, str]:
        """Handle the start of an attempt, which an `Attempt` ends.

        Returns:
            Headers that the request is to have beside its own, such as `traceparent`. Those that the client sets itself
            are refused, and the caller's own win.
        """
        ...


@attrs.define
class CallContext:
    """What a call carries of which a hook records nothing; a hook's `on_call` returns it.

    Args:
        headers: Headers that each request is to have beside its own, as of `CallObserver.on_attempt`.
        close: Called at the end of the call, in the caller's task.
        is_silent: Whether the hook receives none of the call's events either.
    """

    headers: Mapping[str, str]
    close: Callable[[], None]
    is_silent: bool


class WorkObserver(Protocol):
    """Follows work; a hook's `on_work` returns it."""

    def headers(self) -> Mapping[str, str]:
        """Return headers for messages that tell of the work, such as `traceparent`."""
        ...

    def on_end(self, ended: WorkEnded, /) -> None:
        """Handle its end, in the task in which it began."""
