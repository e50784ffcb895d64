"""Settings for whether, when and how often a call is retried."""

import random
from collections.abc import Callable

import attrs

from thredfi_async._checks.numbers import must_be, positive_seconds, whole_number
from thredfi_async.errors import ConfigurationError

__all__ = ["RetryBudget", "RetryPolicy"]


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How a call is retried after transport errors and after 408, 429, 500, 502, 503 and 504.

    Args:
        max_attempts: Attempts of each request; 4 by default, 1 for no retry. A call without a body has two requests.
        backoff_initial: Upper bound of the first wait in seconds, doubled for each later wait; 0.5 by default.
        backoff_max: Upper bound of every such wait in seconds; 20 by default.
        throttle_initial: Replaces `backoff_initial` after a 429, in seconds; 1 by default.
        max_retry_after: The longest Retry-After, in seconds, that the call waits for; 120 by default.
            A longer one ends the call at once.
        budget: Whether a budget that all calls of the client share limits the retries that no evidence supports; true
            by default. Clients can share a `RetryBudget` of your own.
        no_wait: True skips every wait, including Retry-After and cooldowns: for tests, with a low `max_attempts`.
        jitter: Returns the fraction of the upper bound to wait, from 0 to 1; `random.random` by default.

    Raises:
        ConfigurationError: A number is out of range.
    """

    max_attempts: int = attrs.field(default=4, validator=must_be(whole_number))
    backoff_initial: float = attrs.field(default=0.5, validator=must_be(positive_seconds))
    backoff_max: float = attrs.field(default=20.0, validator=must_be(positive_seconds))
    throttle_initial: float = attrs.field(default=1.0, validator=must_be(positive_seconds))
    max_retry_after: float = attrs.field(default=120.0, validator=must_be(positive_seconds))
    budget: "bool | RetryBudget" = True
    no_wait: bool = False
    jitter: Callable[[], float] = attrs.field(default=random.random, repr=False)


class RetryBudget:
    """Tokens that retries cost and successes return, as in botocore's standard mode.

    While the API serves others, the first retry of a request is free, and so is each retry after throttling: after a
    429, after a 503 that says when to come back, and, where a limit was found, after the first few other 503s. One
    after a 429, or that waits as long as a 503 asks for, is free in any case. Any other retry costs 14 tokens; with
    `no_wait`, one after a 429 costs 5. A probe, sent while the API answers no one, is free. A call that succeeds
    returns what its own retries cost, or 1.

    Args:
        capacity: Tokens at the start, and at most; 500 by default.

    Raises:
        ConfigurationError: The capacity is not a whole number of at least 1.
    """

    def __init__(self, capacity: int = 500) -> None:
        """Start full."""
        if (problem := whole_number(capacity)) is not None:
            raise ConfigurationError(f"RetryBudget.capacity {problem}")
        self._capacity = capacity
        self._tokens = capacity

    @property
    def tokens(self) -> int:
        """Tokens that are left."""
        return self._tokens

    def spend(self, cost: int) -> bool:
        """Take tokens if enough are left; return whether they were."""
        if cost > self._tokens:
            return False
        self._tokens -= cost
        return True

    def earn(self, tokens: int) -> None:
        """Put tokens back, up to the capacity."""
        self._tokens = min(self._capacity, self._tokens + tokens)
