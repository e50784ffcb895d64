"""Decides whether and when a call is retried: turns a policy into tenacity's strategies."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import tenacity

from thredfi_async._http_statuses import UNAVAILABLE
from thredfi_async._interfaces import Failure, Verdict
from thredfi_async.errors import APIError, RateLimitedError, ThredfiError
from thredfi_async.retry import RetryPolicy

RETRY_COST: Final = 14
"""Budget tokens that a retry costs, and that the request that settles a call costs while the API answers no one."""
_THROTTLED_COST: Final = 5
_MOST_DOUBLINGS: Final = 64
_VERY_MANY: Final = 10**9
"""Attempts; more need not be told apart."""


def cost_of(error: ThredfiError) -> int:
    """Return what a retry after this error costs."""
    return _THROTTLED_COST if isinstance(error, RateLimitedError) else RETRY_COST


def is_throttling(error: ThredfiError) -> bool:
    """Return whether the API refused because of its load: a 429, or a 503 that says when to come back."""
    if isinstance(error, RateLimitedError):
        return True
    return isinstance(error, APIError) and error.status == UNAVAILABLE and error.retry_after is not None


def is_unavailable(error: ThredfiError) -> bool:
    """Return whether the API answered 503, which says nothing of the request."""
    return isinstance(error, APIError) and error.status == UNAVAILABLE


def longest_wait(policy: RetryPolicy, tries: int) -> float:
    """Return the upper bound of all backoffs that are left, in seconds.

    Args:
        policy: The policy.
        tries: Attempts of the request so far.
    """
    if policy.no_wait:
        return 0.0
    first, behind = max(1, tries), min(policy.max_attempts, _VERY_MANY)
    growing = range(first, min(behind, _MOST_DOUBLINGS + 1))
    longest = _bound(policy, policy.backoff_initial, _MOST_DOUBLINGS + 1)
    total = sum(_bound(policy, policy.backoff_initial, number) for number in growing)
    return total + max(0, behind - max(first, _MOST_DOUBLINGS + 1)) * longest


def _bound(policy: RetryPolicy, initial: float, number: int) -> float:
    """Return the upper bound of the backoff after this attempt of a request."""
    return min(policy.backoff_max, initial * 2.0 ** min(number - 1, _MOST_DOUBLINGS))


def retry_after_of(error: ThredfiError) -> float:
    """Return how long the server asked to wait, in seconds; 0 if it did not ask."""
    return (error.retry_after or 0.0) if isinstance(error, APIError) else 0.0


def retrying(  # noqa: PLR0913 - the parts of one call, by name
    policy: RetryPolicy,
    *,
    remaining: Callable[[], float],
    spared: Callable[[], int],
    cooldown: Callable[[], float],
    given_up: Callable[[], str | None],
    patience: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
    before_sleep: Callable[[ThredfiError, float], None],
) -> tenacity.AsyncRetrying:
    """Compile a policy for one call; tenacity keeps state in the object, so that calls cannot share it.

    Args:
        policy: The policy.
        remaining: Returns the seconds left before the deadline.
        spared: Returns how many attempts do not count, since the API only throttled them.
        cooldown: Returns the seconds that the API asks every call to wait.
        given_up: Returns why the call cannot be sent again, whatever its policy says; None if it can.
        patience: Returns the seconds that a backoff may take at most.
        sleep: Waits.
        before_sleep: Is called before each wait with its cause and its seconds.

    Returns:
        An object that calls a function until its `Verdict` is final, and returns that verdict.
    """

    def announce(state: tenacity.RetryCallState) -> None:
        before_sleep(_error(state), state.upcoming_sleep)

    return tenacity.AsyncRetrying(
        # Only verdicts are checked: a predicate on exceptions could retry a cancellation.
        retry=tenacity.retry_if_result(_is_transient),
        wait=tenacity.wait_none() if policy.no_wait else _FullJitter(policy, cooldown, patience),
        stop=_GiveUp(policy, remaining, spared, given_up),
        sleep=sleep,
        before_sleep=announce,
        retry_error_callback=_last_verdict,
    )


def _is_transient(verdict: Verdict[Any]) -> bool:
    return isinstance(verdict, Failure) and verdict.error.transient


def _last_verdict(state: tenacity.RetryCallState) -> Verdict[Any]:
    assert state.outcome is not None  # noqa: S101 - tenacity sets it before it asks any strategy
    verdict: Verdict[Any] = state.outcome.result()
    return verdict


def _error(state: tenacity.RetryCallState) -> ThredfiError:
    verdict = _last_verdict(state)
    assert isinstance(verdict, Failure)  # noqa: S101 - only a transient error is waited for
    return verdict.error


class _FullJitter(tenacity.wait.wait_base):
    """Full jitter under a doubling bound, and never less than the server asked this or another call to wait.

    tenacity's own `wait_random_exponential` uses the module's random generator, which tests cannot control.
    """

    def __init__(self, policy: RetryPolicy, cooldown: Callable[[], float], patience: Callable[[], float]) -> None:
        self._policy = policy
        self._cooldown = cooldown
        self._patience = patience

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        error, policy = _error(retry_state), self._policy
        throttled = isinstance(error, RateLimitedError)
        initial = policy.throttle_initial if throttled else policy.backoff_initial
        bound = _bound(policy, initial, retry_state.attempt_number)
        backoff = max(0.0, min(policy.jitter() * bound, self._patience()))
        return max(backoff, retry_after_of(error), self._cooldown())


class _GiveUp(tenacity.stop.stop_base):
    """Decides when to stop; adds the reason to the error unless it is the number of attempts."""

    def __init__(
        self,
        policy: RetryPolicy,
        remaining: Callable[[], float],
        spared: Callable[[], int],
        given_up: Callable[[], str | None],
    ) -> None:
        self._policy = policy
        self._remaining = remaining
        self._spared = spared
        self._given_up = given_up

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        error, most = _error(retry_state), self._policy.max_attempts
        is_last = retry_state.attempt_number - self._spared() >= most
        reason = self._given_up() or (None if is_last else self._reason(error, retry_state.upcoming_sleep))
        if reason is not None:
            error.add_note(f"not tried again: {reason}")
        return is_last or reason is not None

    def _reason(self, error: ThredfiError, wait: float) -> str | None:
        longest, left = self._policy.max_retry_after, self._remaining()
        if (asked := retry_after_of(error)) > longest:
            return f"the server asked to wait {asked:g} s, and max_retry_after is {longest:g} s"
        if wait >= left:
            return f"the next wait of {wait:.3g} s would pass the deadline, with {max(left, 0.0):.3g} s left"
        return None
