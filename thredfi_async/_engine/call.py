"""The state of one call: its requests, its attempts, its effect. Calls share none of it."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

from thredfi_async._checks.headers import NO_HEADERS
from thredfi_async._engine.call_events import CallEvents
from thredfi_async._engine.call_time import CallTime
from thredfi_async._engine.hooks import Followers, Following
from thredfi_async._engine.limits import Limits
from thredfi_async._engine.retry_state import RetryState
from thredfi_async._http_statuses import THROTTLING
from thredfi_async._interfaces import Budget, Clock, Failure, Outcome, Request, Response, Server, Success, Verdict
from thredfi_async._outcomes import Standing, attempt_standing, change_standing
from thredfi_async.errors import APIError, Effect, ThredfiError
from thredfi_async.retry import RetryPolicy
from thredfi_async.settings import Timeouts

T = TypeVar("T")


class Call:
    """The state of one call, changed in synchronous functions only.

    Args:
        operation: The call's name, for events.
        timeouts: Its bounds.
        settle: Whether to check an unknown outcome with one more request.
        policy: How it is retried.
        budget: The budget that pays for its retries; None if retries are free.
        clock: The source of time.
        asked: When it was called, in monotonic seconds, if it has already waited for its first turn; now by default.

    Attributes:
        time: Its turns and its deadline.
        retries: What its retries cost.
        events: Tells those who follow it; None if no one does.
        headers: What its next request carries beside its own headers.
        attempts: Requests sent.
        has_token: Whether the last attempt had a token to be sent with.
        sent: Whether anything of the last attempt may have left.
    """

    __slots__ = (
        "_following",
        "_request",
        "_response",
        "_settle",
        "_standing",
        "attempts",
        "events",
        "has_token",
        "headers",
        "operation",
        "retries",
        "sent",
        "time",
    )

    def __init__(  # noqa: PLR0913 - the call's settings, by name
        self,
        operation: str,
        *,
        timeouts: Timeouts,
        settle: bool,
        policy: RetryPolicy,
        budget: Budget | None,
        clock: Clock,
        asked: float | None = None,
    ) -> None:
        """Start without a turn."""
        self.operation = operation
        self.time = CallTime(timeouts, clock, asked)
        self.retries = RetryState(policy, budget, self.time)
        self.events: CallEvents | None = None
        self.headers: Mapping[str, str] = NO_HEADERS
        self.attempts = 0
        self.has_token = False
        self.sent = False
        self._settle = settle
        self._following: Following | None = None
        self._request: Request[Any] | None = None
        self._response: Response | None = None
        self._standing = Standing.NOT_APPLIED

    @property
    def effect(self) -> Effect:
        """What the call has done, as far as is known."""
        return self._standing.effect

    @property
    def idempotency_key(self) -> str | None:
        """The idempotency key of the current request, once there is one."""
        return self._request.idempotency_key if self._request is not None else None

    def follow(self, followers: Followers, server: Server) -> None:
        """Let hooks follow this call, which has just begun and sends its requests to this server."""
        self._following = following = followers.follow(self.operation, self.time.queued)
        self.headers = following.headers
        if following.receivers:
            self.events = CallEvents(self.operation, following, server)

    # -- requests

    def turns_to(self, request: Request[Any]) -> None:
        """Continue with this request."""
        self._request = request
        self.retries.tries = self.retries.throttled = 0
        self.time.reserve(for_settling=self._settle and request.settle is not None)

    def question(self) -> "Request[Any] | None":
        """Return the request that settles the call, if the outcome is open and settling is wanted and possible.

        From here on, the time that was reserved for settling can be spent.
        """
        is_open = self._standing in {Standing.IN_DOUBT, Standing.UNKNOWN}
        settle = self._request.settle if self._request is not None and self._settle else None
        if not is_open or self.time.interrupted or settle is None:
            return None
        self._settle = False
        self.retries.is_question = True
        self.time.reserve(for_settling=False)
        return settle()

    def was_unchanged(self) -> str:
        """Count a record that does not show the effect, and return what that says: no answered request was applied."""
        if self._standing is Standing.IN_DOUBT:
            self._standing = Standing.NOT_APPLIED
        is_over = self.effect is Effect.NOT_APPLIED
        ending = ", and nothing was applied" if is_over else "; a request may still be in flight"
        return f"the outcome was checked: the server shows no change{ending}"

    # -- attempts

    def attempted(self, request: Request[Any], verdict: Verdict[Any], response: Response | None) -> Standing:
        """Count an attempt with a verdict; `sent` tells whether the request may have left."""
        standing = Standing.NOT_APPLIED
        if request.mutates and (self.sent or response is not None):
            match verdict:
                case Success():
                    standing = Standing.APPLIED
                case Failure():
                    standing_of = change_standing if request.is_sent_once else attempt_standing
                    standing = standing_of(verdict.error)
                case _:
                    standing = Standing.UNKNOWN
            self._standing = max(self._standing, standing)
        self._response = response
        return standing

    def tell_attempt(  # noqa: PLR0913 - what is known of an attempt
        self,
        events: CallEvents,
        request: Request[Any],
        verdict: Verdict[Any],
        standing: Standing,
        began: float,
        *,
        limits: Callable[[], Limits],
    ) -> None:
        """Tell the hooks of an attempt, and of what is known of the limits if one of them refused it."""
        error = verdict.error if isinstance(verdict, Failure) else None
        is_refused = isinstance(error, APIError) and error.status in THROTTLING
        events.attempt_ended(
            request,
            self.attempts,
            was_sent=self.has_token,
            error=error,
            effect=standing.effect,
            elapsed=self.time.since(began),
            response=self._response,
            limit=limits().found if is_refused else None,
        )

    def cut_off(self, request: Request[Any], error: BaseException, began: float) -> None:
        """Count an attempt without a verdict, and tell the hooks of it."""
        effect = Effect.NOT_APPLIED
        if request.mutates and self.sent:
            effect = Effect.UNKNOWN
            self._standing = max(self._standing, Standing.UNKNOWN)
        if self.events is not None and self.has_token:
            cause = self.time.deadline_error() if self.time.is_over else error
            elapsed = self.time.since(began)
            self.events.attempt_ended(
                request, self.attempts, was_sent=True, error=cause, effect=effect, elapsed=elapsed
            )

    def will_retry(self, error: ThredfiError, wait: float) -> None:
        """Tell the hooks of a retry."""
        if self.events is not None:
            self.events.retry_scheduled(error, wait, self.attempts, self.idempotency_key)

    # -- the end

    def outcome(self, value: T) -> Outcome[T]:
        """Return the outcome of a success, and put back what its retries cost."""
        if (budget := self.retries.budget) is not None:
            budget.earn(self.retries.spent or 1)
        assert self._response is not None  # noqa: S101 - a value comes from an answer
        return Outcome(
            value=value,
            response=self._response,
            effect=self.effect,
            attempts=self.attempts,
            elapsed=self.time.since(self.time.started or 0.0),
            idempotency_key=self.idempotency_key,
        )

    def stamp(self, error: ThredfiError) -> None:
        """Set the effect, attempts and key of the whole call on the error."""
        # The call's values win: an error of the caller's own token provider may carry those of another call.
        error.effect = self.effect
        error.attempts = self.attempts
        error.idempotency_key = self.idempotency_key

    def annotate(self, error: BaseException) -> None:
        """Add the same as a note to a cancellation, or to any other exception that is not ours."""
        ending = "was cancelled" if isinstance(error, asyncio.CancelledError) else "failed"
        error.add_note(
            f"thredfi-async: {self.operation} {ending} with effect {self.effect.name}, "
            f"attempts {self.attempts}, idempotency key {self.idempotency_key}"
        )

    def failed(self, error: BaseException) -> None:
        """Record the call's state on its exception, and tell the hooks."""
        match error:
            case ThredfiError():
                self.stamp(error)
                self.ended("failed", error)
            case asyncio.CancelledError():
                self.annotate(error)
                self.ended("cancelled")
            case _:
                # Raised by a part that is not ours, such as the caller's own mapping; the call's state is recorded too.
                self.annotate(error)
                self.ended("failed", error)

    def ended(self, outcome: Literal["succeeded", "failed", "cancelled"], error: BaseException | None = None) -> None:
        """Tell the hooks how the call ended."""
        if self.events is not None:
            self.events.call_ended(
                outcome,
                effect=self.effect,
                attempts=self.attempts,
                elapsed=self.time.since(self.time.asked),
                queued=self.time.queued,
                error=error,
                response=self._response,
                key=self.idempotency_key,
            )
        if self._following is not None:
            self._following.close()
