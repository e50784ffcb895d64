"""Whether, when and how often a call is tried again: a policy's few numbers, compiled into tenacity's strategies."""

import random
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import tenacity

from thredfi_async._ports import Verdict
from thredfi_async.errors import APIError, ConfigurationError, RateLimitedError, ThredfiError
from thredfi_async.settings import check_seconds


def _check_attempts(instance: object, attribute: "attrs.Attribute[int]", value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        setting = f"{type(instance).__name__}.{attribute.name}"
        msg = f"{setting} must be a whole number of at least 1, not {value!r}"
        raise ConfigurationError(msg)


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How a call is tried again after transport errors and after 408, 429, 500, 502, 503 and 504.

    Args:
        max_attempts: Attempts of each request; 4 by default, 1 for no retry. A call without a body has two requests.
        backoff_initial: The first wait's upper bound in seconds, doubled for each further one; 0.5 by default.
        backoff_max: The upper bound of any such wait in seconds; 20 by default.
        throttle_initial: In the place of `backoff_initial` after a 429, in seconds; 1 by default.
        max_retry_after: The longest Retry-After in seconds that is waited for; 120 by default.
            A longer one ends the call at once.
        jitter: Draws the part of a wait's upper bound that is waited, from 0 to 1; `random.random` by default.

    Raises:
        ConfigurationError: A number is out of range.
    """

    max_attempts: int = attrs.field(default=4, validator=_check_attempts)
    backoff_initial: float = attrs.field(default=0.5, validator=check_seconds)
    backoff_max: float = attrs.field(default=20.0, validator=check_seconds)
    throttle_initial: float = attrs.field(default=1.0, validator=check_seconds)
    max_retry_after: float = attrs.field(default=120.0, validator=check_seconds)
    jitter: Callable[[], float] = attrs.field(default=random.random, repr=False)


def retry_after_of(error: ThredfiError) -> float:
    """Return how long the server asked to wait, in seconds; 0 where it did not ask."""
    return (error.retry_after or 0.0) if isinstance(error, APIError) else 0.0


def retrying(
    policy: RetryPolicy,
    *,
    remaining: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
    before_sleep: Callable[[ThredfiError, float], None],
) -> tenacity.AsyncRetrying:
    """Compile a policy for one call; tenacity keeps its state in the object, so that it cannot be shared.

    Args:
        policy: The numbers.
        remaining: Gives the seconds that are left before the deadline.
        sleep: Waits.
        before_sleep: Is told of each wait: what for, and its seconds.

    Returns:
        What calls a function that gives a `Verdict` until one is final, and returns that.
    """

    def announce(state: tenacity.RetryCallState) -> None:
        before_sleep(_error(state), state.upcoming_sleep)

    return tenacity.AsyncRetrying(
        # Only our own outcomes are looked at: a predicate on exceptions would come to retry a cancellation.
        retry=tenacity.retry_if_result(_is_transient),
        wait=_FullJitter(policy),
        stop=_GiveUp(policy, remaining),
        sleep=sleep,
        before_sleep=announce,
        retry_error_callback=_last_verdict,
    )


def _is_transient(verdict: Verdict[Any]) -> bool:
    return verdict.error is not None and verdict.error.transient


def _last_verdict(state: tenacity.RetryCallState) -> Verdict[Any]:
    assert state.outcome is not None  # noqa: S101 - tenacity sets it before it asks any strategy
    verdict: Verdict[Any] = state.outcome.result()
    return verdict


def _error(state: tenacity.RetryCallState) -> ThredfiError:
    error = _last_verdict(state).error
    assert error is not None  # noqa: S101 - only a transient error is waited for
    return error


class _FullJitter(tenacity.wait.wait_base):
    """Full jitter under a doubling bound, and never less than what the server asked for.

    tenacity's own `wait_random_exponential` draws from the module's generator, which no test can hold still.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        error, policy = _error(retry_state), self._policy
        throttled = isinstance(error, RateLimitedError)
        initial = policy.throttle_initial if throttled else policy.backoff_initial
        bound = min(policy.backoff_max, initial * 2.0 ** min(retry_state.attempt_number - 1, 64))
        return max(policy.jitter() * bound, retry_after_of(error))


class _GiveUp(tenacity.stop.stop_base):
    """The end of trying; where it is not plain from the number of attempts, the error is told why."""

    def __init__(self, policy: RetryPolicy, remaining: Callable[[], float]) -> None:
        self._policy = policy
        self._remaining = remaining

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        if retry_state.attempt_number >= self._policy.max_attempts:
            return True
        reason = self._reason(_error(retry_state), retry_state.upcoming_sleep)
        if reason is not None:
            _error(retry_state).add_note(f"not tried again: {reason}")
        return reason is not None

    def _reason(self, error: ThredfiError, wait: float) -> str | None:
        longest, left = self._policy.max_retry_after, self._remaining()
        if (asked := retry_after_of(error)) > longest:
            return f"the server asked to wait {asked:g} s, and max_retry_after is {longest:g} s"
        if wait >= left:
            return f"the next wait of {wait:.3g} s would pass the deadline, with {max(left, 0.0):.3g} s left"
        return None
