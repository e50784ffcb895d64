"""Knows whether the API answers, and lets one call after another find out while it answers no one."""

import asyncio
import math
from typing import Final

from thredfi_async._engine.limiter import Limiter
from thredfi_async._engine.refused_again import RefusedAgain
from thredfi_async._engine.retry_state import RetryState
from thredfi_async._engine.retrying import longest_wait
from thredfi_async._engine.turns import Turn
from thredfi_async._interfaces import Clock

MANY: Final = 5
"""Calls in a row without an answer after which the API counts as answering no one."""
_REFUSES_FOR: Final = 5.0
"""Seconds in which a known limit explains that all get 503."""
_SHORTEST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0
"""Seconds between two probes at most in a short outage; and for which a probe that hangs keeps the next one back."""
_PART_OF_OUTAGE: Final = 0.25
"""The part of a long outage that lies between two probes at most."""
_MOST_DOUBLINGS: Final = 64
_NO_TIME: Final = 1e-6
"""Seconds that are too few to wait for: a clock may not move on by them."""

ANSWERS_NO_ONE: Final = "the API answers no one"
BUDGET_IS_EMPTY: Final = "the retry budget is empty"


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
        answers_no_one: Whether the last calls, many in a row, got no answer, or a failure of a server.
        served: Requests that were answered so far, other than by throttling.
        refused: Requests that were throttled so far.
        refusals: Whether that goes by the call.
    """

    def __init__(self, clock: Clock, limiter: Limiter) -> None:
        """Start with an API that answers."""
        self._clock = clock
        self._limiter = limiter
        self._streak = 0
        self._unanswered = 0
        self._began = self._fails_since = 0.0
        self._probes: set[RetryState] = set()
        self._probe_at = self._probed_at = self._question_at = -math.inf
        self._failed_probes = 0
        self._retrying = 0
        self._served_before = -1
        self._news: asyncio.Future[None] | None = None
        self.answers_no_one: bool = False
        self.served: int = 0
        self.refused: int = 0
        self.refusals: RefusedAgain = RefusedAgain()

    # -- what comes of attempts

    def answered(self) -> None:
        """Record an answer: evidence for every call."""
        if not self._unanswered:
            return
        self._unanswered, self._failed_probes = 0, 0
        self._streak += 1
        self._probes.clear()
        self._probe_at = self._probed_at = self._question_at = -math.inf
        if self.answers_no_one:
            self.answers_no_one = False
            self._limiter.hold_arrivals(None)
            self._tell()

    def is_throttling(self, cooldown: float) -> bool:
        """Return whether a 503 that says when to come back is about the number of requests, and not about an outage.

        Args:
            cooldown: Seconds for which the API had asked every call to wait already.
        """
        if self.answers_no_one:
            return False
        if cooldown:
            return self._served_before != self.served or not self._unanswered
        # If it has served no one since it last said so, it is down, whatever it says.
        serves, self._served_before = self._served_before != self.served, self.served
        return serves

    def went_unanswered(self, call: RetryState, cooldown: float, *, is_refusal: bool = False) -> None:
        """Record an attempt without an answer.

        Args:
            call: Whose attempt it was; each counts once.
            cooldown: Seconds for which the API asked every call to wait.
            is_refusal: Whether it may have been refused because of a limit.
        """
        now = self._clock.monotonic()
        if call.streak != self._streak:
            call.streak = self._streak
            self._fails_since = self._fails_since if self._unanswered else now
            self._unanswered += 1
        is_limit = is_refusal and self.served > 0 and self._limiter.is_limited
        is_down = not is_limit or now - self._fails_since >= _REFUSES_FOR
        if self._unanswered >= MANY and not self.answers_no_one and is_down:
            self.answers_no_one, self._began = True, now
            self._limiter.hold_arrivals(self)
        if call in self._probes:
            policy = call.policy
            longest = max(_LONGEST_PAUSE, (now - self._began) * _PART_OF_OUTAGE)
            bound = policy.backoff_initial * 2.0 ** min(self._failed_probes, _MOST_DOUBLINGS)
            pause = max(policy.jitter() * min(bound, policy.backoff_max, longest), _SHORTEST_PAUSE)
            if call.is_question:
                self._question_at = now + max(pause, cooldown)
            else:
                self._probed_at, self._probe_at = now, now + max(pause, cooldown)
            self._failed_probes += 1
            self._no_longer_probes(call)

    def left(self, call: RetryState) -> None:
        """Let another call be the probe at once, if this one was and nothing came of it."""
        if call in self._probes:
            self._probe_at = self._clock.monotonic()
            self._no_longer_probes(call)

    def _no_longer_probes(self, call: RetryState) -> None:
        self._probes.discard(call)
        self._limiter.serve()
        self._tell()

    # -- calls that have failed

    def retries(self) -> None:
        """Note a call that has failed for now: it is a probe before any that was not sent yet."""
        self._retrying += 1

    def retries_no_more(self) -> None:
        """Note its end."""
        self._retrying -= 1
        if not self._retrying and self.answers_no_one:
            self._limiter.serve()

    def patience(self, call: RetryState) -> float:
        """Return for how many seconds the call may still wait while the API answers no one."""
        if not self.answers_no_one or call.policy.no_wait:
            return math.inf
        return call.waits_until(self._began) - self._clock.monotonic()

    async def admit(self, call: RetryState) -> str | None:
        """Wait until the API answers someone, or until a call that has failed may be a probe.

        Args:
            call: A call that has failed, or ended in an open question.

        Returns:
            None if it may be sent; otherwise the reason why its own time ended first.
        """
        while self.answers_no_one:
            if call.policy.no_wait:
                return None if call.pay_at_once() else BUDGET_IS_EMPTY
            now, ends = self._clock.monotonic(), call.waits_until(self._began)
            if self._may_probe(call, now, ends):
                self._probes.add(call)
                self._probe_at = now + _LONGEST_PAUSE
                call.goes_free()
                return None
            left = ends - now
            if left > _NO_TIME:
                left = min(left, self._probe_at - now) if _has_one_to_spare(call) else left
            elif self._probes:
                # How one ends may be the evidence that this call waits for, though its own time is over.
                left = math.inf
            left = min(left, call.time.remaining())
            if left <= _NO_TIME:
                return ANSWERS_NO_ONE
            await self._until_news(left)
        return None

    def _may_probe(self, call: RetryState, now: float, ends: float) -> bool:
        if call.is_question:
            # An API that fails on every archive may answer questions, and then all are asked.
            return not self._probes and now + _NO_TIME >= self._question_at
        if now + _NO_TIME < ends:
            return now + _NO_TIME >= self._probe_at and _has_one_to_spare(call)
        # Its own time is over: once more, unless what others have just found out says enough.
        return not self._probes and self._probed_at + _SHORTEST_PAUSE < ends

    # -- calls that were not sent yet

    def starts(self, call: RetryState) -> None:
        """Note that a call is sent for the first time while the API answers no one."""
        call.waits_until(self._began)  # fixed here, so that it does not wait once more after it failed
        if not self._probes:
            self._probes.add(call)

    def expires(self, turn: Turn) -> float:
        """Return when a call that was not sent yet has waited for as long as it may; then it is sent."""
        patience = longest_wait(turn.policy, 0)
        if turn.timeout is not None:
            # Sent rather than told that no turn came.
            patience = min(patience, turn.timeout / 2)
        return max(turn.asked, self._began) + patience

    def next_probe(self) -> float:
        """Return when a call that was not sent yet may be the probe, since there is none that has failed."""
        return math.inf if self._retrying else self._probe_at

    def lets_go(self, now: float) -> None:
        """Note that one of them was let go as a probe."""
        self._probe_at = now + _LONGEST_PAUSE

    async def _until_news(self, seconds: float) -> None:
        """Wait for the end of a probe or of the outage, at most so long."""
        news = self._news = self._news or asyncio.get_running_loop().create_future()
        nap = asyncio.ensure_future(self._clock.sleep(min(seconds, _LONGEST_PAUSE)))
        try:
            await asyncio.wait((nap, news), return_when=asyncio.FIRST_COMPLETED)
        finally:
            nap.cancel()
            await asyncio.wait((nap,))
        if not nap.cancelled():
            nap.result()  # a clock may raise

    def _tell(self) -> None:
        news, self._news = self._news, None
        if news is not None and not news.done():
            news.set_result(None)


def _has_one_to_spare(call: RetryState) -> bool:
    """Return whether it has an attempt for a probe: it keeps its last for when there is evidence, or no time left."""
    return call.tries - call.spared + 1 < call.policy.max_attempts
