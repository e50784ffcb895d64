"""Runs each call through its steps, in the one order that is defined here.

retry( limiter( auth( send → judge ) ) ), under a deadline that also expires when the client closes; and if that
ends with an unknown outcome, one request that asks the server for it.
"""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar, TypeVarTuple

import attrs

from thredfi_async._engine.availability import ANSWERS_NO_ONE, BUDGET_IS_EMPTY, Availability
from thredfi_async._engine.call import Call
from thredfi_async._engine.call_options import CallOptions
from thredfi_async._engine.deadlines import Deadline, Deadlines
from thredfi_async._engine.hooks import Followers
from thredfi_async._engine.lifecycle import Lifecycle
from thredfi_async._engine.limiter import Limiter
from thredfi_async._engine.retrying import is_throttling, retry_after_of, retrying
from thredfi_async._http_statuses import REQUEST_TIMEOUT, SERVER_FAULT, THROTTLING, UNAUTHORIZED
from thredfi_async._interfaces import (
    Authenticator,
    Clock,
    Failure,
    Next,
    Outcome,
    Request,
    Response,
    Send,
    Server,
    Success,
    Unchanged,
    Verdict,
)
from thredfi_async._outcomes import is_answer, raised_at
from thredfi_async.errors import (
    APIError,
    ClientStateError,
    ConnectionLostError,
    Effect,
    InternalError,
    RequestTimeoutError,
    ResponseDecodeError,
    ThredfiError,
)
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
                call.holds_slot, has_slot = True, False
                call.has_turn(self.limiter.ticket)
                self.lifecycle.started(call)
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
                elif has_slot or (call is not None and call.holds_slot):
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
            call.ended("succeeded")
            return outcome
        finally:
            self.lifecycle.leave(call)
        # Raised out here, so that the exception whose words may quote anything is not even its context.
        raise failure

    def _begin(self, operation: str, options: CallOptions, asked: float) -> Call:
        call = Call(
            operation,
            timeouts=options.timeouts or self.timeouts,
            settle=options.settle,
            policy=options.retry or self.retry,
            budget=self._budget(options.retry or self.retry),
            clock=self.clock,
            hooks=self.hooks,
            asked=asked,
            server=self.server,
        )
        if self._followers is not None:
            call.follow(self._followers)
        return call

    async def _within_deadline(
        self, call: Call, work: Coroutine[Any, Any, Success[T] | Failure]
    ) -> Success[T] | Failure:
        deadline: Deadline | None = None
        try:
            deadline = self.deadlines.scope()
            with deadline:
                call.watch(deadline)
                return await work
        except RequestTimeoutError as error:
            # A later turn never came; the caller decides what that means for the call.
            return Failure(error)
        except TimeoutError:
            if deadline is None or not deadline.expired():
                raise  # of a part of ours, or of the caller's
            return Failure(call.deadline_error())
        finally:
            call.watch(None)
            # If the scope could not be entered, the work was not begun.
            work.close()

    async def _reach_verdict(self, call: Call, request: Request[T]) -> Success[T] | Failure:
        while True:
            verdict = await self._attempt(call, request)
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
                    latest = await self._attempt(call, request)
                    failure = latest if isinstance(latest, Failure) else failure
            has_begun = True
            return latest

        def given_up() -> str | None:
            return refusal or (ANSWERS_NO_ONE if self.availability.patience(call) <= 0 else None)

        again = retrying(
            call.policy,
            remaining=call.remaining,
            throttled=lambda: call.throttled,
            cooldown=self.limiter.cooldown,
            given_up=given_up,
            patience=lambda: self.availability.patience(call),
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
        refusal = await self.availability.admit(call)
        if refusal is None and not call.pay_for_retry(error, self.availability.served):
            refusal = BUDGET_IS_EMPTY
        error.is_budget_empty = refusal is BUDGET_IS_EMPTY
        return refusal

    async def _attempt(self, call: Call, request: Request[T], *, again: bool = False) -> Verdict[T]:
        """Send the request, and once more if its token was refused and another can be fetched."""
        response, header = None, None
        verdict: Verdict[T]
        try:
            if not call.holds_slot:
                await self._take_turn(call)
            if call.tries == 0 and self.availability.answers_no_one:
                self.availability.starts(call)
            call.sent = call.has_token = False
            call.tries += 1
            began = self.clock.monotonic()
            try:
                header = self.authenticator.header or await self.authenticator.renew()
                call.attempts += 1
                call.has_token = True
                if call.observers:
                    call.announce(request)
                response = await self.send(request, header, call.timeouts, call)
                verdict = request.judge(response)
            except ThredfiError as error:
                verdict = Failure(error)
            except BaseException as error:
                call.cut_off(request, error, began)
                raise
            standing = call.attempted(request, verdict, response)
            self._heed(call, verdict, response)
            call.tell_attempt(request, verdict, standing, began, self.limiter.limits)
        finally:
            if call.holds_slot:
                self._give_turn_back(call)
            if self.availability.answers_no_one:
                self.availability.left(call)
        is_refused = (
            response is not None
            and response.status == UNAUTHORIZED
            and not (request.is_sent_once and call.effect is not Effect.NOT_APPLIED)
        )
        if is_refused and not again and header is not None and self.authenticator.refuse(header):
            # In its own turn, since the API may have asked another call to back off in between.
            return await self._attempt(call, request, again=True)
        return verdict

    def _heed(self, call: Call, verdict: Verdict[Any], response: Response | None) -> None:
        """Let the limiter learn from an answer, whatever the result of its call."""
        error = verdict.error if isinstance(verdict, Failure) else None
        if response is not None and (isinstance(error, ResponseDecodeError) or response.status == REQUEST_TIMEOUT):
            # What came may not have been the answer to this request: the next request must not get the next one.
            response.retire()
        is_answered = response is not None and is_answer(response.status)
        counts = not is_answered
        if isinstance(error, APIError) and error.status in THROTTLING:
            asked = retry_after_of(error)
            hold = asked if not self.retry.no_wait and asked <= self.retry.max_retry_after else 0.0
            too_many = is_throttling(error) and (
                is_answered or self.availability.is_throttling(self.limiter.cooldown())
            )
            counts = counts and not too_many
            if self.availability.answers_no_one:
                # It is down, and not overloaded: that teaches no limit.
                self.limiter.hold_back(hold)
            else:
                self.limiter.throttled(call.ticket, hold)
        elif response is not None and response.status < SERVER_FAULT:
            self.limiter.answered_well(call.ticket)
            self.availability.served += 1
        if is_answered:
            self.availability.answered()
        elif counts:
            self.availability.went_unanswered(call, self.limiter.cooldown())
        if error is not None:
            call.attempt_failed(error, self.availability.served)

    async def _settle(self, call: Call, verdict: Failure, question: Request[T | Unchanged]) -> Success[T] | Failure:
        error, policy = verdict.error, call.policy
        asked, left = retry_after_of(error), call.remaining()
        wait = max(asked, self.limiter.cooldown()) if not policy.no_wait else 0.0
        if asked > policy.max_retry_after or wait >= left:
            too_long = f"the server asked to wait {max(asked, wait):g} s, longer than the call may wait"
            error.add_note(f"the outcome was not checked: {too_long if asked or wait else 'no time is left'}")
            return verdict
        answer = await self._within_deadline(call, self._ask(call, verdict, question, wait))
        if answer is verdict:
            return verdict
        if isinstance(answer, Success):
            if not isinstance(answer.value, Unchanged):
                return Success(answer.value)
            call.was_unchanged()
            error.add_note(_UNCHANGED[call.effect])
        elif isinstance(answer.error, ClientStateError):
            return answer
        else:
            error.add_note(f"checking the outcome failed with {type(answer.error).__name__}")
        return verdict

    async def _ask(
        self, call: Call, verdict: Failure, question: Request[T | Unchanged], wait: float
    ) -> Success[T | Unchanged] | Failure:
        """Ask what became of the call; its own verdict if that cannot be asked."""
        if wait:
            await self.clock.sleep(wait)
        if (refusal := await self.availability.admit(call)) is not None:
            verdict.error.is_budget_empty = refusal is BUDGET_IS_EMPTY
            verdict.error.add_note(f"the outcome was not checked: {refusal}")
            return verdict
        answer = await self._attempt(call, question)
        if isinstance(answer, Failure) and _is_lost(answer.error):
            # The server may have closed an idle connection in the moment in which it was lent.
            if await self.availability.admit(call) is not None:
                return answer
            answer = await self._attempt(call, question)
        assert not isinstance(answer, Next)  # noqa: S101 - a question has one answer
        return answer

    async def _take_turn(self, call: Call) -> None:
        # A call that has started spends its deadline on a cooldown; one that has not waits in the queue.
        while call.has_started and (cooldown := self.limiter.cooldown()):
            if cooldown >= call.remaining():
                raise call.held_back(cooldown)
            await self.clock.sleep(cooldown)
        if self.limiter.acquire_nowait():
            call.has_turn(self.limiter.ticket)
        else:
            await self._wait_for_turn(call)

    async def _wait_for_turn(self, call: Call) -> None:
        call.set_deadline(off=True)
        since = self.clock.monotonic()
        try:
            await self.limiter.acquire(call.queue_left, returning=call.has_started)
        finally:
            call.has_waited(since)
        call.set_deadline()
        call.has_turn(self.limiter.ticket)

    def _budget(self, policy: RetryPolicy) -> RetryBudget | None:
        if isinstance(policy.budget, RetryBudget):
            return policy.budget
        return self.budget if policy.budget else None

    def _give_turn_back(self, call: Call) -> None:
        call.holds_slot = False
        self.limiter.release()


def _is_lost(error: ThredfiError) -> bool:
    return isinstance(error, ConnectionLostError) and not error.is_token_error


def _unexpected(error: Exception) -> InternalError:
    """Return the error for an exception that no part should have raised."""
    return InternalError(f"a part of the client, or one that it was given, raised {raised_at(error)}")


_UNCHANGED: Final = {
    Effect.NOT_APPLIED: "the outcome was checked: the server shows no change, and nothing was applied",
    Effect.UNKNOWN: "the outcome was checked: the server shows no change; a request may still be in flight",
}
"""What is noted when the record does not show the effect."""
