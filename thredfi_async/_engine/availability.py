"""Knows whether the API answers, and lets one call after another find out while it answers no one."""

import asyncio
import math
from typing import Final, Protocol

from thredfi_async._engine.limiter import Limiter, Turn
from thredfi_async._engine.retrying import longest_wait
from thredfi_async._interfaces import Clock
from thredfi_async.retry import RetryPolicy

MANY: Final = 10
"""Attempts in a row without an answer after which the API counts as answering no one."""
_LONGEST_PAUSE: Final = 2.0
"""Seconds between two probes at most: calls that were not sent yet wait for one."""
_MOST_DOUBLINGS: Final = 64

ANSWERS_NO_ONE: Final = "the API answers no one"
BUDGET_IS_EMPTY: Final = "the retry budget is empty"


class Caller(Protocol):
    """A call that asks whether it may be sent."""

    @property
    def policy(self) -> RetryPolicy:
        """How it is retried."""
        ...

    def waits_until(self, began: float) -> float:
        """Return when its own backoffs would have ended, if the API has answered no one since `began`."""
        ...

    def remaining(self) -> float:
        """Return the seconds left before its deadline."""
        ...

    def pay_for_probe(self) -> bool:
        """Pay for being sent while the API answers no one; return whether the budget allowed it."""
        ...


class Availability:
    """Decides who is sent while the API answers no one.

    When many calls fail together, that says nothing of their own requests. So one of them is sent again as a probe, and
    the others wait for what becomes of it, no longer than their own backoffs would have taken. If it is answered, all
    are sent. If not, the next probe is sent after a backoff. Calls that were not sent yet wait in the limiter's queue,
    no longer either. So a blip costs no call, and an API that is down gets little more than one request for each call.

    State changes in synchronous functions only, and there is no task.

    Args:
        clock: The source of time and sleeps.
        limiter: Holds back the calls that were not sent yet.

    Attributes:
        answers_no_one: Whether the last attempts, many in a row, got no answer, or a failure of a server.
        served: Requests that were answered so far, other than by throttling.
        retrying: Calls that failed for now; they are probes before any that was not sent yet.
    """

    def __init__(self, clock: Clock, limiter: Limiter) -> None:
        """Start with an API that answers."""
        self._clock = clock
        self._limiter = limiter
        self._unanswered = 0
        self._began = 0.0
        self._probe: Caller | None = None
        self._probe_at = self._probed_at = -math.inf
        self._failed_probes = 0
        self._news: asyncio.Future[None] | None = None
        self.answers_no_one: bool = False
        self.served: int = 0
        self.retrying: int = 0

    def answered(self) -> None:
        """Record an answer: evidence for every call."""
        if not self._unanswered:
            return
        self._unanswered, self._failed_probes = 0, 0
        self._probe, self._probe_at, self._probed_at = None, -math.inf, -math.inf
        if self.answers_no_one:
            self.answers_no_one = False
            self._limiter.hold_arrivals(None)
            self._tell()

    def went_unanswered(self, call: Caller, cooldown: float) -> None:
        """Record an attempt without an answer.

        Args:
            call: Whose attempt it was.
            cooldown: Seconds for which the API asked every call to wait.
        """
        self._unanswered += 1
        if self._unanswered == MANY:
            self.answers_no_one, self._began = True, self._clock.monotonic()
            self._limiter.hold_arrivals(self)
        if self._probe is call:
            self._probed_at = self._clock.monotonic()
            self._pause(call.policy, self._probed_at, cooldown)
            self._failed_probes += 1

    def starts(self, call: Caller) -> None:
        """Note that a call is sent for the first time while the API answers no one."""
        call.waits_until(self._began)  # fixed here, so that it does not wait once more after it failed
        self._probe = self._probe or call

    def left(self, call: Caller) -> None:
        """Let another call be the probe, if this one was."""
        if self._probe is call:
            self._probe = None
            self._limiter.serve()
            self._tell()

    def has_given_up(self, call: Caller) -> bool:
        """Return whether the API answers no one, and the call has waited for as long as it may."""
        if not self.answers_no_one or call.policy.no_wait:
            return False
        return self._clock.monotonic() >= call.waits_until(self._began)

    async def admit(self, call: Caller) -> str | None:
        """Wait until the API answers someone, or until a call that has failed may be the probe.

        Args:
            call: A call that has failed, or ended in an open question.

        Returns:
            None if it may be sent; otherwise the reason why its own time ended first.
        """
        while self.answers_no_one:
            if call.policy.no_wait:
                return None if call.pay_for_probe() else BUDGET_IS_EMPTY
            now, ends, reason = self._clock.monotonic(), call.waits_until(self._began), ANSWERS_NO_ONE
            left = min(ends - now, call.remaining())
            if self._probe is not None:
                # How it ends may be the evidence that this call waits for, even if its own time is over.
                left = call.remaining()
            elif now < self._probe_at and (left > 0 or self._probed_at >= ends):
                left = min(left, self._probe_at - now)
            elif call.pay_for_probe():
                self._probe = call
                return None
            else:
                reason = BUDGET_IS_EMPTY
            if left <= 0:
                return reason
            await self._until_news(left)
        return None

    def waits(self, turn: Turn, now: float) -> float:
        """Return for how many seconds a call that was not sent yet waits at most; it may be sent if not over 0."""
        patience = longest_wait(turn.policy, 0)
        if turn.timeout is not None:
            # Sent rather than told that no turn came.
            patience = min(patience, turn.timeout / 2)
        until = max(turn.asked, self._began) + patience
        if self._probe is None and not self.retrying:
            until = min(until, self._probe_at)
        return until - now

    def lets_go(self, turn: Turn, now: float) -> None:
        """Note that a call got its turn that was not sent yet: the next is no probe for a while."""
        self._pause(turn.policy, now, 0.0)

    def _pause(self, policy: RetryPolicy, now: float, cooldown: float) -> None:
        bound = policy.backoff_initial * 2.0 ** min(self._failed_probes, _MOST_DOUBLINGS)
        self._probe_at = now + max(policy.jitter() * min(bound, policy.backoff_max, _LONGEST_PAUSE), cooldown)

    async def _until_news(self, seconds: float) -> None:
        """Wait for the end of a probe or of the outage, at most so long."""
        news = self._news = self._news or asyncio.get_running_loop().create_future()
        nap = asyncio.ensure_future(self._clock.sleep(seconds)) if seconds < math.inf else news
        try:
            await asyncio.wait((nap, news), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if nap is not news:
                nap.cancel()
                await asyncio.wait((nap,))
        if nap.done() and not nap.cancelled():
            nap.result()

    def _tell(self) -> None:
        news, self._news = self._news, None
        if news is not None and not news.done():
            news.set_result(None)
