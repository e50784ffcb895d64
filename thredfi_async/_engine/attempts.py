"""Makes one attempt: a turn, a token, the request, the verdict on its answer, and what is learned from it."""

import math
from typing import Any, TypeVar

import attrs

from thredfi_async._engine.availability import BUDGET_IS_EMPTY, Availability
from thredfi_async._engine.call import Call
from thredfi_async._engine.limiter import Limiter
from thredfi_async._engine.retrying import is_throttling, is_unavailable, retry_after_of
from thredfi_async._http_statuses import REQUEST_TIMEOUT, SERVER_FAULT, THROTTLING, UNAUTHORIZED
from thredfi_async._interfaces import (
    Authenticator,
    Clock,
    Failure,
    Next,
    Request,
    Response,
    Send,
    Success,
    Unchanged,
    Verdict,
)
from thredfi_async._outcomes import is_answer
from thredfi_async.errors import (
    APIError,
    ConnectionLostError,
    Effect,
    RequestTimeoutError,
    ResponseDecodeError,
    ThredfiError,
)
from thredfi_async.retry import RetryPolicy

T = TypeVar("T")


@attrs.frozen(kw_only=True, eq=False)
class Attempts:
    """The parts that an attempt needs, and the order of its steps: limiter( auth( send → judge ) ).

    Args:
        send: Sends one request.
        authenticator: Provides the Authorization header.
        limiter: Gives out turns.
        availability: Decides who is sent while the API answers no one.
        retry: The client's policy, which says how long a cooldown may be.
        clock: The source of time and sleeps.
    """

    send: Send
    authenticator: Authenticator
    limiter: Limiter
    availability: Availability
    retry: RetryPolicy
    clock: Clock

    async def make(self, call: Call, request: Request[T], *, again: bool = False) -> Verdict[T]:
        """Send the request, and once more if its token was refused and another can be fetched."""
        response, header = None, None
        verdict: Verdict[T]
        try:
            if not call.time.holds_slot:
                await self._take_turn(call)
            if call.retries.tries == 0 and self.availability.answers_no_one:
                self.availability.starts(call.retries)
            call.sent = call.has_token = False
            call.retries.tries += 1
            began = self.clock.monotonic()
            try:
                header = self.authenticator.header or await self.authenticator.renew()
                call.attempts += 1
                call.has_token = True
                if call.events is not None:
                    call.headers = call.events.attempt_started(request, call.attempts)
                response = await self.send(request, header, call.time.timeouts, call)
                verdict = request.judge(response)
            except ThredfiError as error:
                verdict = Failure(error)
            except BaseException as error:
                call.cut_off(request, error, began)
                raise
            standing = call.attempted(request, verdict, response)
            self._heed(call, verdict, response)
            if call.events is not None:
                call.tell_attempt(call.events, request, verdict, standing, began, limits=self.limiter.limits)
        finally:
            if call.time.holds_slot:
                call.time.holds_slot = False
                self.limiter.release()
            if self.availability.answers_no_one:
                self.availability.left(call.retries)
        is_refused = (
            response is not None
            and response.status == UNAUTHORIZED
            and not (request.is_sent_once and call.effect is not Effect.NOT_APPLIED)
        )
        if is_refused and not again and header is not None and self.authenticator.refuse(header):
            # In its own turn, since the API may have asked another call to back off in between.
            return await self.make(call, request, again=True)
        return verdict

    async def ask(
        self, call: Call, verdict: Failure, question: Request[T | Unchanged], wait: float
    ) -> Success[T | Unchanged] | Failure:
        """Ask what became of the call; its own verdict if that cannot be asked."""
        if wait:
            await self.clock.sleep(wait)
        if (refusal := await self.availability.admit(call.retries)) is not None:
            verdict.error.is_budget_empty = refusal is BUDGET_IS_EMPTY
            verdict.error.add_note(f"the outcome was not checked: {refusal}")
            return verdict
        answer = await self.make(call, question)
        if isinstance(answer, Failure) and _is_lost(answer.error):
            # The server may have closed an idle connection in the moment in which it was lent.
            if await self.availability.admit(call.retries) is not None:
                return answer
            answer = await self.make(call, question)
        assert not isinstance(answer, Next)  # noqa: S101 - a question has one answer
        return answer

    async def _take_turn(self, call: Call) -> None:
        # A call that has started spends its deadline on a cooldown; one that has not waits in the queue.
        time = call.time
        while time.started is not None and (cooldown := self.limiter.cooldown()):
            if cooldown >= time.remaining():
                raise time.held_back(cooldown)
            await self.clock.sleep(cooldown)
        if not self.limiter.acquire_nowait():
            time.set_deadline(off=True)
            await self._queue(call)
            time.set_deadline()
        time.has_turn(self.limiter.ticket)

    async def _queue(self, call: Call) -> None:
        """Wait for a turn while others are served, and no longer than the whole deadline while all are refused."""
        time = call.time
        while True:
            left, refused = time.queue_left, self.limiter.refuses_all_for()
            refused_left = time.refused_left(refused) if refused else math.inf
            if refused_left <= 0.0:
                raise time.refused_for_too_long()
            is_bounded = refused_left < (math.inf if left is None else left)
            since = self.clock.monotonic()
            try:
                await self.limiter.acquire(
                    refused_left if is_bounded else left, returning=time.started is not None, odd=call.retries.is_odd
                )
            except RequestTimeoutError:
                if not is_bounded:
                    raise
            else:
                return
            finally:
                time.has_waited(since)

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
            served, refused, refusals = self.availability.served, self.availability.refused, self.availability.refusals
            # A bare 503 may as well be an outage.
            goes_by_call = is_answered and refusals.refuses(is_again=call.retries.is_again)
            is_odd = call.retries.was_refused(served, refused, self.limiter.in_use - 1, goes_by_call=goes_by_call)
            self.availability.refused += not is_odd
            hold = asked if not self.retry.no_wait and asked <= self.retry.max_retry_after else 0.0
            too_many = is_throttling(error) and (
                is_answered or self.availability.is_throttling(self.limiter.cooldown())
            )
            counts = counts and not too_many
            if self.availability.answers_no_one:
                # It is down, and not overloaded: that teaches no limit.
                self.limiter.hold_back(hold)
            elif not is_odd:
                known = self.limiter.throttled(call.time.ticket, hold)
                call.retries.known = call.retries.known or known
            elif call.retries.known is not None:
                self.limiter.retract(call.retries.known)
                call.retries.known = None
        elif response is not None and response.status < SERVER_FAULT:
            self.limiter.answered_well(call.time.ticket)
            self.availability.served += 1
            self.availability.refusals.serves(is_again=call.retries.is_again)
        if is_answered:
            self.availability.answered()
        elif counts:
            self.availability.went_unanswered(
                call.retries, self.limiter.cooldown(), is_refusal=error is not None and is_unavailable(error)
            )
        if error is not None:
            is_limited, is_paced = self.limiter.is_limited, self.limiter.refuses_all_for() > 0.0
            call.retries.attempt_failed(error, self.availability.served, is_limited=is_limited, is_paced=is_paced)


def _is_lost(error: ThredfiError) -> bool:
    return isinstance(error, ConnectionLostError) and not error.is_token_error
