"""Runs each call through its steps, in the one order that is defined here.

retry( limiter( auth( send → judge ) ) ), under a deadline that also expires when the client closes; and if that
ends with an unknown outcome, one request that asks the server for it.
"""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar, TypeVarTuple

import attrs

from thredfi_async._engine.attempts import Attempts
from thredfi_async._engine.availability import ANSWERS_NO_ONE, BUDGET_IS_EMPTY, Availability
from thredfi_async._engine.call import Call
from thredfi_async._engine.call_options import CallOptions
from thredfi_async._engine.deadlines import Deadline, Deadlines
from thredfi_async._engine.hooks import Followers
from thredfi_async._engine.lifecycle import Lifecycle
from thredfi_async._engine.limiter import Limiter
from thredfi_async._engine.retrying import retry_after_of, retrying
from thredfi_async._interfaces import (
    Authenticator,
    Clock,
    Failure,
    Next,
    Outcome,
    Request,
    Send,
    Server,
    Success,
    Unchanged,
    Verdict,
)
from thredfi_async._outcomes import raised_at
from thredfi_async.errors import ClientStateError, InternalError, RequestTimeoutError, ThredfiError
from thredfi_async.events import Hook
from thredfi_async.retry import RetryBudget, RetryPolicy
from thredfi_async.settings import Timeouts

if TYPE_CHECKING:
    from thredfi_async._engine.turns import Turn

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_NOWHERE: Final = Server()


def _looked_up(pipeline: "Pipeline") -> Followers | None:
    return Followers.of(pipeline.hooks)


def _attempts_of(pipeline: "Pipeline") -> Attempts:
    return Attempts(
        send=pipeline.send,
        authenticator=pipeline.authenticator,
        limiter=pipeline.limiter,
        availability=pipeline.availability,
        retry=pipeline.retry,
        clock=pipeline.clock,
    )


@attrs.frozen(kw_only=True, eq=False)
class Pipeline:
    """The parts that all calls of a client share, and the order of a call's steps.

    Args:
        send: Sends one request.
        authenticator: Provides the Authorization header.
        limiter: Gives out turns.
        availability: Decides who is sent while the API answers no one.
        lifecycle: Knows whether calls are allowed, and which are in flight.
        deadlines: Cuts calls off at their deadlines.
        timeouts: For calls without their own.
        retry: For calls without their own.
        budget: Pays for retries, unless the policy has its own budget.
        clock: The source of time and sleeps.
        hooks: Receive events.
        server: Where requests go, for events.
    """

    send: Send
    authenticator: Authenticator
    limiter: Limiter
    availability: Availability
    lifecycle: Lifecycle
    timeouts: Timeouts
    retry: RetryPolicy
    budget: RetryBudget
    clock: Clock
    hooks: tuple[Hook, ...] = ()
    server: Server = _NOWHERE
    deadlines: Deadlines = attrs.field(factory=Deadlines)
    _followers: Followers | None = attrs.field(init=False, default=attrs.Factory(_looked_up, takes_self=True))
    _attempts: Attempts = attrs.field(init=False, default=attrs.Factory(_attempts_of, takes_self=True))

    async def run(
        self, operation: str, prepare: Callable[[*Ts], Request[T]], options: CallOptions, *arguments: *Ts
    ) -> Outcome[T]:
        """Run one call to its end.

        Args:
            operation: The call's name, for events.
            prepare: Builds the first request; called when the call has its turn, so that a waiting call is cheap.
            options: The call's own settings.
            *arguments: Arguments for `prepare`.

        Returns:
            How it succeeded.

        Raises:
            ThredfiError: How it failed, with the effect of all its attempts.
            asyncio.CancelledError: The caller was cancelled; a note on it has the effect and the key.
        """
        self.lifecycle.enter()
        # Until it has its turn, a call is its arguments and no more: very many may wait at once.
        call: Call | None = None
        turn: Turn | None = None
        has_slot = False
        asked = 0.0
        try:
            try:
                asked = self.clock.monotonic()
                has_slot = self.limiter.acquire_nowait()
                if not has_slot:
                    bound = (options.timeouts or self.timeouts).queue
                    turn = self.limiter.queue(bound, asked, options.retry or self.retry)
                    await turn
                    has_slot, turn = True, None
                call = self._begin(operation, options, asked)
                call.time.has_turn(self.limiter.ticket)
                has_slot = False
                self.lifecycle.started(call.time)
                request = prepare(*arguments)
                call.turns_to(request)
                verdict = await self._within_deadline(call, self._reach_verdict(call, request))
                if isinstance(verdict, Failure) and (question := call.question()) is not None:
                    verdict = await self._settle(call, verdict, question)
                if isinstance(verdict, Failure):
                    raise verdict.error
                outcome = call.outcome(verdict.value)
            finally:
                if turn is not None:
                    self.limiter.leave(turn)
                elif has_slot or (call is not None and call.time.holds_slot):
                    self.limiter.release()
        except BaseException as error:
            call = call or self._begin(operation, options, asked)
            failure = (
                error if isinstance(error, ThredfiError) or not isinstance(error, Exception) else _unexpected(error)
            )
            call.failed(failure)
            if failure is error:
                raise
        else:
            assert call is not None  # noqa: S101 - it has an outcome
            if self._followers is not None:
                call.ended("succeeded")
            return outcome
        finally:
            self.lifecycle.leave(call.time if call is not None else None)
        # Raised out here, so that the exception whose words may quote anything is not even its context.
        raise failure

    def _begin(self, operation: str, options: CallOptions, asked: float) -> Call:
        policy = options.retry or self.retry
        of_policy = policy.budget
        call = Call(
            operation,
            timeouts=options.timeouts or self.timeouts,
            settle=options.settle,
            policy=policy,
            budget=of_policy if isinstance(of_policy, RetryBudget) else self.budget if of_policy else None,
            clock=self.clock,
            asked=asked,
        )
        if self._followers is not None:
            call.follow(self._followers, self.server)
        return call

    async def _within_deadline(
        self, call: Call, work: Coroutine[Any, Any, Success[T] | Failure]
    ) -> Success[T] | Failure:
        deadline: Deadline | None = None
        try:
            deadline = self.deadlines.scope()
            with deadline:
                call.time.watch(deadline)
                return await work
        except RequestTimeoutError as error:
            # A later turn never came; the caller decides what that means for the call.
            return Failure(error)
        except TimeoutError:
            if deadline is None or not deadline.expired():
                raise  # of a part of ours, or of the caller's
            return Failure(call.time.deadline_error())
        finally:
            call.time.watch(None)
            # If the scope could not be entered, the work was not begun.
            work.close()

    async def _reach_verdict(self, call: Call, request: Request[T]) -> Success[T] | Failure:
        while True:
            verdict = await self._attempts.make(call, request)
            if isinstance(verdict, Failure) and verdict.error.transient and not request.is_sent_once:
                verdict = await self._try_again(call, request, verdict)
            if not isinstance(verdict, Next):
                return verdict
            request = verdict.request
            call.turns_to(request)

    async def _try_again(self, call: Call, request: Request[T], failure: Failure) -> Verdict[T]:
        # tenacity is used only now that it is needed, and gets the first verdict.
        latest: Verdict[T] = failure
        refusal: str | None = None
        has_begun = False

        async def attempt() -> Verdict[T]:
            nonlocal failure, latest, refusal, has_begun
            if has_begun:
                refusal = await self._refusal(call, failure.error)
                if refusal is None:
                    latest = await self._attempts.make(call, request)
                    failure = latest if isinstance(latest, Failure) else failure
            has_begun = True
            return latest

        def given_up() -> str | None:
            return refusal or (ANSWERS_NO_ONE if self.availability.patience(call.retries) <= 0 else None)

        again = retrying(
            call.retries.policy,
            remaining=call.time.remaining,
            spared=lambda: call.retries.spared,
            cooldown=self.limiter.cooldown,
            given_up=given_up,
            patience=lambda: self.availability.patience(call.retries),
            sleep=self.clock.sleep,
            before_sleep=call.will_retry,
        )
        self.availability.retries()
        try:
            return await again(attempt)
        finally:
            self.availability.retries_no_more()

    async def _refusal(self, call: Call, error: ThredfiError) -> str | None:
        """Wait until the call may be sent again; return why it may not, if so."""
        refusal = await self.availability.admit(call.retries)
        if refusal is None and not call.retries.pay_for_retry(error, self.availability.served):
            refusal = BUDGET_IS_EMPTY
        error.is_budget_empty = refusal is BUDGET_IS_EMPTY
        return refusal

    async def _settle(self, call: Call, verdict: Failure, question: Request[T | Unchanged]) -> Success[T] | Failure:
        error, policy = verdict.error, call.retries.policy
        asked, left = retry_after_of(error), call.time.remaining()
        wait = max(asked, self.limiter.cooldown()) if not policy.no_wait else 0.0
        if asked > policy.max_retry_after or wait >= left:
            too_long = f"the server asked to wait {max(asked, wait):g} s, longer than the call may wait"
            error.add_note(f"the outcome was not checked: {too_long if asked or wait else 'no time is left'}")
            return verdict
        answer = await self._within_deadline(call, self._attempts.ask(call, verdict, question, wait))
        if answer is verdict:
            return verdict
        if isinstance(answer, Success):
            if not isinstance(answer.value, Unchanged):
                return Success(answer.value)
            error.add_note(call.was_unchanged())
        elif isinstance(answer.error, ClientStateError):
            return answer
        else:
            error.add_note(f"checking the outcome failed with {type(answer.error).__name__}")
        return verdict


def _unexpected(error: Exception) -> InternalError:
    """Return the error for an exception that no part should have raised."""
    return InternalError(f"a part of the client, or one that it was given, raised {raised_at(error)}")
