"""How one call is retried: what its retries cost, and how long it waits while the API answers no one."""

import math
from typing import TYPE_CHECKING, Final

from thredfi_async._engine.call_time import CallTime
from thredfi_async._engine.retrying import (
    RETRY_COST,
    cost_of,
    is_throttling,
    is_unavailable,
    longest_wait,
)
from thredfi_async._interfaces import Budget
from thredfi_async.errors import ThredfiError
from thredfi_async.retry import RetryPolicy

if TYPE_CHECKING:
    from thredfi_async._engine.bound import Known

_ODD: Final = 2.0
"""A call whose refusals are less probable than e to the power of minus this is refused for itself, as of a tenant that
is shut out."""


class RetryState:
    """The retries of one call.

    Args:
        policy: How it is retried.
        budget: The budget that pays for its retries; None if retries are free.
        time: Its time.

    Attributes:
        spent: What its retries have cost.
        is_question: Whether it has come to the question at its end.
        tries: How often its request was sent.
        throttled: How many of these do not count, since the API only throttled them.
        streak: The number of the streak of failures that it was last counted in.
        known: What the limiter knew before it learned from this call's first refusal, if it did.
    """

    __slots__ = (
        "_failed_at",
        "_has_paid",
        "_is_throttled",
        "_oddity",
        "_outage",
        "_patience_ends",
        "_refused_then",
        "_served_before",
        "_served_then",
        "budget",
        "is_question",
        "known",
        "policy",
        "spent",
        "streak",
        "throttled",
        "time",
        "tries",
    )

    def __init__(self, policy: RetryPolicy, budget: Budget | None, time: CallTime) -> None:
        """Start without an attempt."""
        self.policy: RetryPolicy = policy
        self.time: CallTime = time
        self.budget: Budget | None = budget
        self.spent: int = 0
        self._failed_at = self._outage = -math.inf
        self._patience_ends = math.inf
        self._served_before = self._refused_then = 0
        self._served_then = -1
        # Minus the logarithm of how probable its refusals are, if it were like other calls.
        self._oddity = 0.0
        self._has_paid = self._is_throttled = False
        self.is_question: bool = False
        self.tries: int = 0
        self.throttled: int = 0
        self.streak: int = -1
        self.known: Known | None = None

    @property
    def spared(self) -> int:
        """How many attempts its policy allows beyond its own number, since they do not count."""
        # A single attempt stays one, and without waits a throttled call would be sent for ever.
        return 0 if self.policy.max_attempts == 1 or self.policy.no_wait else self.throttled

    @property
    def is_odd(self) -> bool:
        """Whether it has been refused so often while others were served that it concerns only this call."""
        return self._oddity >= _ODD

    @property
    def is_again(self) -> bool:
        """Whether it was refused before because of the API's load."""
        return self._served_then >= 0

    def was_refused(self, served: int, refused: int, in_flight: int, *, goes_by_call: bool) -> bool:
        """Note that it was refused because of the API's load; return whether that says nothing of others.

        Args:
            served: How many requests the API has served by now.
            refused: How many it has refused, other than for such calls.
            in_flight: How many it has not answered: if it serves them, that says nothing of what is sent later.
            goes_by_call: Whether that is so of all refusals at present.
        """
        others = max(0, served - self._served_then)
        if self._served_then >= 0:
            self._oddity -= math.log1p(-others / (others + refused - self._refused_then + 1))
        is_only_it = goes_by_call or (self.is_odd and others > 0)
        self._served_then, self._refused_then = served + in_flight, refused + (not is_only_it)
        return is_only_it

    def attempt_failed(self, error: ThredfiError, served: int, *, is_limited: bool, is_paced: bool) -> None:
        """Note the moment of a failed attempt.

        Args:
            error: How it failed.
            served: How many requests the API had served by then.
            is_limited: Whether a limit of the API is known.
            is_paced: Whether it refuses all, so that one request is sent at a time.
        """
        # A 503 that says no more may be the limit's: a few, since it may be what this request gets whenever it is sent.
        is_few = self.throttled < self.policy.max_attempts - 1
        self._is_throttled = is_throttling(error) or (is_limited and is_few and is_unavailable(error))
        # To be throttled by an API that has served others, or refuses many, is to wait for a turn, and no attempt.
        self.throttled += self._is_throttled and (served > 0 or is_paced)
        self._failed_at, self._served_before = self.time.clock.monotonic(), served

    # -- what retries cost

    def pay(self, cost: int) -> bool:
        """Pay for a retry or for settling; return whether the budget allowed it."""
        if self.budget is None:
            return True
        allowed = self.budget.spend(cost)
        self.spent += cost if allowed else 0
        return allowed

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
            Whether the budget allowed it. If the API has served others since that attempt, the first retry is free.
            So is each one after throttling: while all is refused, the limiter sends one at a time, and the budget has
            nothing to guard.
        """
        if self._has_paid:
            self._has_paid = False
            return True
        is_proven = served > self._served_before
        is_paced = is_proven or not self.policy.no_wait
        is_free = is_paced if self._is_throttled else is_proven and self.tries == 1
        return is_free or self.pay(cost_of(error))

    # -- an API that answers no one

    def waits_until(self, began: float) -> float:
        """Return when its own backoffs would have ended, if the API has answered no one since `began`.

        It is fixed when the call first asks: an attempt that fails meanwhile does not move it.
        """
        if self.is_question or self.tries - self.spared >= self.policy.max_attempts:
            return max(self._failed_at, began)  # it has no backoff left
        if self._outage != began:
            self._outage = began
            wait = longest_wait(self.policy, self.tries - self.spared)
            if self.tries:
                self._patience_ends = max(self._failed_at, began) + wait
            else:
                # Not sent yet: it keeps half of its time for being sent.
                now, asked = self.time.clock.monotonic(), max(self.time.asked, began)
                self._patience_ends = asked + min(wait, max(0.0, now + self.time.remaining() - asked) / 2)
        return self._patience_ends
