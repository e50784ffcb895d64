"""The state of one call: its clock, its attempts, its effect. Calls share none of it."""

import asyncio
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import attrs

from thredfi_async._checks.headers import NO_HEADERS
from thredfi_async._codec.response_headers import request_id
from thredfi_async._engine.deadlines import Deadline
from thredfi_async._engine.hooks import Followers, Following, offered_headers, told
from thredfi_async._engine.limits import Limits
from thredfi_async._engine.retrying import RETRY_COST, cost_of, is_throttling, longest_wait, retry_after_of
from thredfi_async._engine.turns import Ticket
from thredfi_async._http_statuses import THROTTLING
from thredfi_async._interfaces import Budget, Clock, Failure, Outcome, Request, Response, Server, Success, Verdict
from thredfi_async._outcomes import Standing, attempt_standing, change_standing
from thredfi_async.errors import APIError, ClientStateError, Effect, RequestTimeoutError, ThredfiError
from thredfi_async.events import (
    Attempt,
    AttemptStarted,
    CallEnded,
    CallObserver,
    CallStarted,
    Event,
    Hook,
    RequestInfo,
    RetryScheduled,
)
from thredfi_async.retry import RetryPolicy
from thredfi_async.settings import Timeouts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

T = TypeVar("T")

_SETTLING: Final = 10.0
_NO_TICKET: Final = Ticket(0, 0, 0, math.inf, 0.0)
_NOWHERE: Final = Server()


class Call:
    """The state of one call, changed in synchronous functions only.

    Args:
        operation: The call's name, for events.
        timeouts: Its bounds.
        settle: Whether to check an unknown outcome with one more request.
        policy: How it is retried.
        budget: The budget that pays for its retries; None if retries are free.
        clock: The source of time.
        hooks: Receive its events.
        asked: When it was called, in monotonic seconds, if it has already waited for its first turn; now by default.
        server: Where its requests go, for events.
    """

    __slots__ = (
        "_about",
        "_asked",
        "_budget",
        "_clock",
        "_counted",
        "_deadline",
        "_failed_at",
        "_following",
        "_has_paid",
        "_hooks",
        "_outage",
        "_patience_ends",
        "_request",
        "_resends",
        "_response",
        "_scope",
        "_sent_last",
        "_served_before",
        "_server",
        "_settle",
        "_spent",
        "_standing",
        "_started",
        "asks",
        "attempts",
        "has_token",
        "headers",
        "holds_slot",
        "interrupted",
        "observers",
        "operation",
        "policy",
        "queued",
        "sent",
        "streak",
        "throttled",
        "ticket",
        "timeouts",
        "tries",
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
        hooks: tuple[Hook, ...],
        asked: float | None = None,
        server: Server = _NOWHERE,
    ) -> None:
        """Start without a turn."""
        self.operation = operation
        self.timeouts = timeouts
        self._settle = settle
        self.policy = policy
        self._budget = budget
        self._clock = clock
        self._hooks: Sequence[Hook | CallObserver] = hooks
        self._following: Following | None = None
        self._server = server
        self.observers: Sequence[CallObserver] = ()
        self._sent_last: Request[Any] | None = None
        self._counted = self._resends = 0
        self._about: RequestInfo | None = None
        self.headers: Mapping[str, str] = NO_HEADERS
        self._asked = clock.monotonic() if asked is None else asked
        self._started: float | None = None
        self._deadline: float | None = None
        self._scope: Deadline | None = None
        self._request: Request[Any] | None = None
        self._response: Response | None = None
        self._spent = 0
        self._failed_at = self._outage = -math.inf
        self._patience_ends = math.inf
        self._served_before = 0
        self._has_paid = False
        self.asks = False
        self.tries = self.throttled = 0
        self.streak = -1
        self.ticket = _NO_TICKET
        self.queued = self._since(self._asked)
        self.holds_slot = False
        self.has_token = False
        self.interrupted = False
        self.attempts = 0
        self._standing = Standing.NOT_APPLIED
        self.sent = False

    @property
    def effect(self) -> Effect:
        """What the call has done, as far as is known."""
        return self._standing.effect

    @property
    def idempotency_key(self) -> str | None:
        """The idempotency key of the current request, once there is one."""
        return self._request.idempotency_key if self._request is not None else None

    def follow(self, followers: Followers) -> None:
        """Let hooks follow this call, which has just begun."""
        self._following = following = followers.follow(CallStarted(operation=self.operation, queued=self.queued))
        self._hooks, self.observers, self.headers = following.receivers, following.observers, following.headers

    # -- turns and time

    @property
    def has_started(self) -> bool:
        """Whether the call has had its first turn."""
        return self._started is not None

    def has_waited(self, since: float) -> None:
        """Count a wait for a turn, whether the turn came or not; the deadline does not count it."""
        waited = self._clock.monotonic() - since
        self.queued += waited
        if self._deadline is not None:
            self._deadline += waited

    def has_turn(self, ticket: Ticket) -> None:
        """Record a turn and the limiter's ticket; the first turn starts the clock."""
        self.ticket = ticket
        self.holds_slot = True
        if self._started is None:
            self._started = self._clock.monotonic()
            if self.timeouts.deadline is not None:
                self._deadline = self._started + self.timeouts.deadline

    @property
    def queue_left(self) -> float | None:
        """Seconds that the call may still wait for turns; None for no bound."""
        bound = self.timeouts.queue
        return None if bound is None else max(0.0, bound - self.queued)

    def remaining(self) -> float:
        """Return the seconds that attempts may still take; while a call can be settled, some are reserved for that."""
        if self._deadline is None or self.timeouts.deadline is None:
            return math.inf
        reserve = min(_SETTLING, self.timeouts.deadline / 4) if self._can_be_settled() else 0.0
        return self._deadline - reserve - self._clock.monotonic()

    def held_back(self, cooldown: float) -> ThredfiError:
        """Return the error for a cooldown that is longer than the call may last."""
        left = max(0.0, self.remaining())
        summary = f"the API asked every call to wait {cooldown:.3g} s, and the deadline ends in {left:.3g} s"
        return RequestTimeoutError(summary, phase="deadline")

    def pay(self, cost: int) -> bool:
        """Pay for a retry or for settling; return whether the budget allowed it."""
        if self._budget is None:
            return True
        allowed = self._budget.spend(cost)
        self._spent += cost if allowed else 0
        return allowed

    # -- an API that answers no one

    def waits_until(self, began: float) -> float:
        """Return when its own backoffs would have ended, if the API has answered no one since `began`.

        It is fixed when the call first asks: an attempt that fails meanwhile does not move it.
        """
        if self.asks or self.tries >= self.policy.max_attempts:
            return max(self._failed_at, began)  # it has no backoff left
        if self._outage != began:
            self._outage = began
            wait = longest_wait(self.policy, self.tries)
            if self.tries:
                self._patience_ends = max(self._failed_at, began) + wait
            else:
                # Not sent yet: it keeps half of its time for being sent.
                now, asked = self._clock.monotonic(), max(self._asked, began)
                self._patience_ends = asked + min(wait, max(0.0, now + self.remaining() - asked) / 2)
        return self._patience_ends

    def pay_at_once(self) -> bool:
        """Pay for being sent without any wait while the API answers no one; return whether the budget allowed it."""
        self._has_paid = self.pay(RETRY_COST)
        return self._has_paid

    def goes_free(self) -> None:
        """Let it pay nothing for its next attempt: a probe is sent for all."""
        self._has_paid = True

    def pay_for_retry(self, error: ThredfiError, served: int) -> bool:
        """Pay for a retry while the API answers others.

        Args:
            error: How the last attempt failed.
            served: How many requests the API has served by now.

        Returns:
            Whether the budget allowed it. If the API has served others since that attempt, the first retry is free,
            and so is each one after throttling; so is
            one for which the API itself said when to come back.
        """
        if self._has_paid:
            self._has_paid = False
            return True
        is_proven = served > self._served_before
        has_waited = retry_after_of(error) > 0 and not self.policy.no_wait
        is_free = (is_proven and self.tries == 1) or (is_throttling(error) and (is_proven or has_waited))
        return is_free or self.pay(cost_of(error))

    # -- the deadline

    def watch(self, deadline: Deadline | None) -> None:
        """Take the scope that cuts off what the call awaits, and set its deadline."""
        self._scope = deadline
        if deadline is not None:
            self.set_deadline()

    def set_deadline(self, *, off: bool = False) -> None:
        """Let the deadline expire when no time remains, or never; after an interruption, let it expire at once."""
        if self._scope is None or self._scope.expired():
            return  # it has expired, and the call is already ending
        remaining = 0.0 if self.interrupted else math.inf if off else self.remaining()
        now = asyncio.get_running_loop().time()
        self._scope.reschedule(None if remaining == math.inf else now + remaining)

    def interrupt(self) -> None:
        """Let the deadline expire now, since the client is closing."""
        self.interrupted = True
        self.set_deadline()

    def deadline_error(self) -> ThredfiError:
        """Return the error for an expired deadline."""
        if self.interrupted:
            return ClientStateError("the client was closed while this call was in flight")
        summary = f"the call did not end within {self.timeouts.deadline} s (Timeouts.deadline)"
        return RequestTimeoutError(summary, phase="deadline")

    # -- requests

    def turns_to(self, request: Request[Any]) -> None:
        """Continue with this request."""
        self._request = request
        self.tries = self.throttled = 0
        if self._scope is not None:
            self.set_deadline()

    def question(self) -> "Request[Any] | None":
        """Return the request that settles the call, if the outcome is open and settling is wanted and possible.

        From here on, the time that was reserved for settling can be spent.
        """
        is_open = self._standing in {Standing.IN_DOUBT, Standing.UNKNOWN}
        if not is_open or self.interrupted or not self._can_be_settled():
            return None
        self._settle = False
        self.asks = True
        return self._request.settle() if self._request is not None and self._request.settle is not None else None

    def _can_be_settled(self) -> bool:
        return self._settle and self._request is not None and self._request.settle is not None

    def was_unchanged(self) -> None:
        """Count a record that does not show the effect: of answered requests, none was applied."""
        if self._standing is Standing.IN_DOUBT:
            self._standing = Standing.NOT_APPLIED

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

    def announce(self, request: Request[Any]) -> None:
        """Tell the observers of an attempt, and take the headers that they offer for it."""
        started = AttemptStarted(operation=self.operation, number=self.attempts, request=self._info(request))
        offered = offered_headers(self.observers, started)
        self.headers = {**self._following.headers, **offered} if self._following is not None else offered

    def tell_attempt(
        self,
        request: Request[Any],
        verdict: Verdict[Any],
        standing: Standing,
        began: float,
        limits: Callable[[], Limits],
    ) -> None:
        """Tell the hooks of an attempt, and of what is known of the limits if one of them refused it."""
        if not self._hooks:
            return
        error, response = verdict.error if isinstance(verdict, Failure) else None, self._response
        is_refused = isinstance(error, APIError) and error.status in THROTTLING
        self._tell(
            attrs.evolve(
                self._attempt(request, error, standing.effect, began),
                status=response.status if response is not None else None,
                request_id=request_id(response) if response is not None else None,
                limit=limits().found if is_refused else None,
            )
        )

    def _attempt(self, request: Request[Any], error: BaseException | None, effect: Effect, began: float) -> Attempt:
        """Return the event of an attempt without an answer."""
        return Attempt(
            operation=self.operation,
            number=self.attempts,
            method=request.method,
            status=None,
            error=type(error).__name__ if error is not None else None,
            effect=effect,
            elapsed=self._since(began),
            request_id=None,
            idempotency_key=request.idempotency_key,
            request=self._info(request) if self.has_token else None,
        )

    def _info(self, request: Request[Any]) -> RequestInfo:
        if self._about is not None and self._counted == self.attempts:
            return self._about
        self._resends = self._resends + 1 if request is self._sent_last else 0
        self._sent_last, self._counted = request, self.attempts
        server, template = self._server, request.template
        self._about = about = RequestInfo(
            method=request.method,
            server_address=server.address,
            server_port=server.port,
            url_template=None if template is None else f"{server.path}{template}",
            resend_count=self._resends,
            is_instrumented=server.is_instrumented(),
        )
        return about

    def attempt_failed(self, error: ThredfiError, served: int) -> None:
        """Note the moment of a failed attempt, and how many requests the API had served by then."""
        # To be throttled while others are served is to wait for a turn, and no attempt.
        self.throttled += is_throttling(error) and served > self._served_before
        self._failed_at, self._served_before = self._clock.monotonic(), served

    def cut_off(self, request: Request[Any], error: BaseException, began: float) -> None:
        """Count an attempt without a verdict, and tell the hooks of it."""
        effect = Effect.NOT_APPLIED
        if request.mutates and self.sent:
            effect = Effect.UNKNOWN
            self._standing = max(self._standing, Standing.UNKNOWN)
        if self._hooks and self.has_token:
            is_overdue = self._scope is not None and self._scope.expired()
            cause = self.deadline_error() if is_overdue else error
            self._tell(self._attempt(request, cause, effect, began))

    def will_retry(self, error: ThredfiError, wait: float) -> None:
        """Tell the hooks of a retry."""
        self._tell(
            RetryScheduled(
                operation=self.operation,
                attempts=self.attempts,
                wait=wait,
                error=type(error).__name__,
                idempotency_key=self.idempotency_key,
            )
        )

    def _since(self, began: float) -> float:
        """Return the seconds since then for an event; a clock that fails must not change what it says."""
        try:
            return max(0.0, self._clock.monotonic() - began)
        except Exception:  # noqa: BLE001 - whatever a clock raises
            return 0.0

    # -- the end

    def outcome(self, value: T) -> Outcome[T]:
        """Return the outcome of a success, and put back what its retries cost."""
        if self._budget is not None:
            self._budget.earn(self._spent or 1)
        assert self._response is not None  # noqa: S101 - a value comes from an answer
        return Outcome(
            value=value,
            response=self._response,
            effect=self.effect,
            attempts=self.attempts,
            elapsed=self._since(self._started or 0.0),
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
        if self._hooks:
            self._tell(
                CallEnded(
                    operation=self.operation,
                    outcome=outcome,
                    effect=self.effect,
                    attempts=self.attempts,
                    elapsed=self._since(self._asked),
                    queued=self.queued,
                    error=type(error).__name__ if error is not None else None,
                    request_id=request_id(self._response) if self._response is not None else None,
                    idempotency_key=self.idempotency_key,
                )
            )
        if self._following is not None:
            self._following.close()

    def _tell(self, event: Event) -> None:
        for hook in self._hooks:
            told(hook, hook.on_event, event)
