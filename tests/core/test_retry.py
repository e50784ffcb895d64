"""Retries: after which errors, when, how often, and the note on an error that is not retried."""

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import pytest
import tenacity
from hypothesis import given, settings
from hypothesis import strategies as st

from thredfi_async import (
    APIError,
    BadRequestError,
    ConfigurationError,
    ConnectError,
    ConnectionLostError,
    RateLimitedError,
    RequestTimeoutError,
    ResponseDecodeError,
    RetryPolicy,
    ServerError,
    ThredfiError,
)
from thredfi_async._codec.error_envelope import error_class
from thredfi_async._engine.retrying import retry_after_of, retrying
from thredfi_async._interfaces import Failure, Success, Verdict

quick = settings(derandomize=True, deadline=None, max_examples=100)


def refusal(status: int, retry_after: float | None = None) -> APIError:
    """Return an error with this status."""
    return error_class(status)(str(status), status=status, retry_after=retry_after)


class Run:
    """One call that ends in these errors, one after the other, and then in success."""

    def __init__(
        self,
        policy: RetryPolicy,
        errors: Sequence[BaseException],
        left: float = math.inf,
        *,
        given_up: str | None = None,
    ) -> None:
        self.left = left
        self.attempts = 0
        self.waits: list[float] = []
        self.announced: list[tuple[ThredfiError, float]] = []
        self._errors = iter(errors)
        self._again = retrying(
            policy,
            remaining=lambda: self.left,
            spared=lambda: 0,
            cooldown=lambda: 0.0,
            given_up=lambda: given_up,
            patience=lambda: math.inf,
            sleep=self._sleep,
            before_sleep=lambda error, wait: self.announced.append((error, wait)),
        )

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.left -= seconds

    async def _attempt(self) -> Verdict[str]:
        self.attempts += 1
        error = next(self._errors, None)
        match error:
            case None:
                return Success("done")
            case ThredfiError():
                return Failure(error)
            case _:
                raise error

    async def end(self) -> Verdict[str]:
        return await self._again(self._attempt)

    async def value(self) -> str:
        """Return what the call succeeds with."""
        verdict = await self.end()
        assert isinstance(verdict, Success)
        return verdict.value

    async def error(self) -> ThredfiError:
        """Return what the call fails with."""
        verdict = await self.end()
        assert isinstance(verdict, Failure)
        return verdict.error


# -- which errors


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_statuses_that_are_tried_again(status: int) -> None:
    """After these statuses the call is retried, and its success is the result."""
    run = Run(RetryPolicy(), [refusal(status)])
    assert await run.value() == "done"
    assert run.attempts == 2


@pytest.mark.parametrize(
    "error",
    [ConnectError("x"), ConnectionLostError("x"), RequestTimeoutError("x", phase="read")],
    ids=lambda error: type(error).__name__,
)
async def test_transport_errors_are_tried_again(error: ThredfiError) -> None:
    """Transport errors are retried."""
    run = Run(RetryPolicy(), [error, error])
    assert await run.value() == "done"
    assert run.attempts == 3


@pytest.mark.parametrize(
    "error",
    [
        *(refusal(status) for status in (301, 400, 401, 403, 404, 409, 422, 418, 501, 505)),
        ConnectError("a bad certificate", transient=False),
        ResponseDecodeError("odd"),
        ConfigurationError("odd"),
    ],
    ids=str,
)
async def test_what_is_not_tried_again(error: ThredfiError) -> None:
    """Permanent errors end the call at once, with the same error object."""
    run = Run(RetryPolicy(), [error])
    assert await run.error() is error
    assert (run.attempts, run.waits, run.announced) == (1, [], [])
    assert not hasattr(error, "__notes__")


@pytest.mark.parametrize(
    "error",
    [asyncio.CancelledError("mine"), KeyboardInterrupt(), ZeroDivisionError(), TimeoutError()],
    ids=lambda error: type(error).__name__,
)
async def test_exceptions_are_never_swallowed(error: BaseException) -> None:
    """A cancellation, or any exception that is not a verdict, propagates unchanged."""
    run = Run(RetryPolicy(), [refusal(503), error])
    try:
        await run.end()
    except BaseException as raised:  # noqa: BLE001 - a KeyboardInterrupt would end the event loop
        caught: BaseException | None = raised
    else:
        caught = None
    assert caught is error
    assert run.attempts == 2


async def test_a_cancelled_sleep_ends_the_call() -> None:
    """A call that is cancelled while it waits makes no more attempts."""

    async def sleep(_: float) -> None:
        raise asyncio.CancelledError

    attempts = 0

    async def attempt() -> Verdict[str]:
        nonlocal attempts
        attempts += 1
        return Failure(refusal(503))

    again = retrying(
        RetryPolicy(),
        remaining=lambda: math.inf,
        spared=lambda: 0,
        cooldown=lambda: 0.0,
        given_up=lambda: None,
        patience=lambda: math.inf,
        sleep=sleep,
        before_sleep=lambda _error, _wait: None,
    )
    with pytest.raises(asyncio.CancelledError):
        await again(attempt)
    assert attempts == 1


# -- how often


@pytest.mark.parametrize("most", [1, 2, 4, 10])
async def test_attempts_are_counted(most: int) -> None:
    """After the last attempt its own error is the result, without a note."""
    errors = [refusal(503) for _ in range(most + 1)]
    run = Run(RetryPolicy(max_attempts=most), errors)
    assert await run.error() is errors[most - 1]
    assert (run.attempts, len(run.waits)) == (most, most - 1)
    assert not any(hasattr(error, "__notes__") for error in errors)


async def test_every_retry_is_announced() -> None:
    """Before each wait, the hook gets the error and the seconds."""
    errors = [refusal(503), ConnectionLostError("x")]
    run = Run(RetryPolicy(jitter=lambda: 0.5), errors)
    await run.end()
    assert run.announced == [(errors[0], 0.25), (errors[1], 0.5)]
    assert run.waits == [0.25, 0.5]


async def test_calls_do_not_share_state() -> None:
    """Two interleaved calls under one policy count their own attempts."""
    policy = RetryPolicy(max_attempts=3)
    runs = [Run(policy, [refusal(503)] * count) for count in (0, 1, 2, 3)]
    verdicts = await asyncio.gather(*(run.end() for run in runs))
    assert [type(verdict) for verdict in verdicts] == [Success, Success, Success, Failure]
    assert [run.attempts for run in runs] == [1, 2, 3, 3]


# -- when


async def test_waits_double_up_to_their_bound() -> None:
    """With a jitter of 1, the waits are the bounds themselves."""
    run = Run(RetryPolicy(max_attempts=9, jitter=lambda: 1.0), [refusal(503)] * 8)
    await run.end()
    assert run.waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 20.0, 20.0]


async def test_throttled_calls_wait_longer() -> None:
    """After a 429 the first bound is `throttle_initial`; each bound depends on the error before it."""
    errors = [refusal(429), refusal(503), refusal(429), refusal(429)]
    run = Run(RetryPolicy(max_attempts=9, throttle_initial=1.5, jitter=lambda: 1.0), errors)
    await run.end()
    assert run.waits == [1.5, 1.0, 6.0, 12.0]


async def test_very_many_attempts() -> None:
    """The doubling does not overflow a float."""
    run = Run(RetryPolicy(max_attempts=1200, jitter=lambda: 1.0), [refusal(503)] * 1199)
    assert await run.value() == "done"
    assert run.waits[-1] == 20.0


@pytest.mark.parametrize(
    ("asked", "jitter", "waited"),
    [(3.0, 1.0, 3.0), (0.2, 1.0, 0.5), (0.2, 0.0, 0.2), (None, 0.0, 0.0), (0.0, 0.5, 0.25)],
)
async def test_the_servers_wish_is_the_least(asked: float | None, jitter: float, waited: float) -> None:
    """A wait is never shorter than Retry-After, even above `backoff_max`."""
    run = Run(RetryPolicy(jitter=lambda: jitter), [refusal(503, asked)])
    await run.end()
    assert run.waits == [waited]
    far = Run(RetryPolicy(jitter=lambda: jitter, backoff_max=1.0), [refusal(503, 90.0)])
    await far.end()
    assert far.waits == [90.0]


@quick
@given(
    st.lists(st.tuples(st.sampled_from([408, 429, 500, 502, 503, 504]), st.none() | st.floats(0, 100)), max_size=6),
    st.floats(0, 1),
    st.floats(0.001, 10),
    st.floats(0.001, 10),
    st.floats(0.001, 100),
)
async def test_full_jitter(
    answers: list[tuple[int, float | None]], jitter: float, initial: float, throttle: float, most: float
) -> None:
    """Every wait is a fraction of the doubling bound, or the server's Retry-After if that is longer."""
    policy = RetryPolicy(
        max_attempts=7, jitter=lambda: jitter, backoff_initial=initial, throttle_initial=throttle, backoff_max=most
    )
    run = Run(policy, [refusal(*answer) for answer in answers])
    assert await run.value() == "done"
    bounds = [
        min(most, (throttle if status == 429 else initial) * 2**number) for number, (status, _) in enumerate(answers)
    ]
    asked = [after or 0.0 for _, after in answers]
    assert run.waits == pytest.approx([max(jitter * bound, after) for bound, after in zip(bounds, asked, strict=True)])


def test_jitter_is_drawn_by_default() -> None:
    """By default the jitter is random, from 0 to 1."""
    draws = {RetryPolicy().jitter() for _ in range(50)}
    assert len(draws) > 1
    assert all(0 <= draw < 1 for draw in draws)


# -- giving up


async def test_a_longer_wait_than_is_allowed() -> None:
    """A Retry-After over the bound ends the call at once, with the number on the error and in its note."""
    error = refusal(429, 121.0)
    run = Run(RetryPolicy(), [error])
    assert await run.error() is error
    assert (run.waits, error.retry_after) == ([], 121.0)
    assert error.__notes__ == ["not tried again: the server asked to wait 121 s, and max_retry_after is 120 s"]


async def test_the_longest_wait_that_is_allowed() -> None:
    """A Retry-After equal to the bound is waited for."""
    run = Run(RetryPolicy(), [refusal(429, 120.0)])
    assert await run.value() == "done"
    assert run.waits == [120.0]


@pytest.mark.parametrize(
    ("left", "note"),
    [
        (2.0, "not tried again: the next wait of 2 s would pass the deadline, with 2 s left"),
        (0.5, "not tried again: the next wait of 2 s would pass the deadline, with 0.5 s left"),
        (-1.0, "not tried again: the next wait of 2 s would pass the deadline, with 0 s left"),
    ],
)
async def test_a_wait_past_the_deadline(left: float, note: str) -> None:
    """A call that would sleep past its deadline ends at once."""
    error = refusal(503, 2.0)
    run = Run(RetryPolicy(jitter=lambda: 0.0), [error], left)
    assert await run.error() is error
    assert (run.waits, error.__notes__) == ([], [note])


async def test_a_wait_within_the_deadline() -> None:
    """A wait that fits is made, and the deadline is checked again each time."""
    errors = [refusal(503, 2.0), refusal(503, 2.0)]
    run = Run(RetryPolicy(jitter=lambda: 0.0), errors, 3.0)
    assert await run.error() is errors[1]
    assert (run.waits, run.attempts) == ([2.0], 2)
    assert errors[1].__notes__ == ["not tried again: the next wait of 2 s would pass the deadline, with 1 s left"]


async def test_a_call_that_is_given_up() -> None:
    """A call that cannot be sent again, for a reason outside its policy, ends at once; a note has the reason."""
    error = refusal(503)
    run = Run(RetryPolicy(), [error], given_up="the API answers no one")
    assert await run.error() is error
    assert (run.attempts, run.waits) == (1, [])
    assert error.__notes__ == ["not tried again: the API answers no one"]


# -- the policy


def test_the_documented_defaults() -> None:
    """The defaults are the documented ones."""
    policy = RetryPolicy()
    assert (policy.max_attempts, policy.backoff_initial, policy.backoff_max) == (4, 0.5, 20.0)
    assert (policy.throttle_initial, policy.max_retry_after) == (1.0, 120.0)


@pytest.mark.parametrize("value", [0, -1, True, 1.0, 2.5, "4", None, math.inf])
def test_attempts_that_cannot_be(value: Any) -> None:
    """The number of attempts must be a whole number of at least one."""
    with pytest.raises(ConfigurationError, match=r"^RetryPolicy\.max_attempts must be a whole number of at least 1, "):
        RetryPolicy(max_attempts=value)


def test_policies_are_values() -> None:
    """Two policies with the same numbers are equal."""
    assert RetryPolicy(max_attempts=2) == RetryPolicy(max_attempts=2)
    assert "jitter" not in repr(RetryPolicy())


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (RateLimitedError("429", status=429, retry_after=5.0), 5.0),
        (ServerError("503", status=503), 0.0),
        (BadRequestError("400", status=400, retry_after=2.0), 2.0),
        (ConnectError("x"), 0.0),
    ],
    ids=str,
)
def test_what_the_server_asked_for(error: ThredfiError, seconds: float) -> None:
    """Only an API error can carry a Retry-After."""
    assert retry_after_of(error) == seconds


async def test_no_error_of_tenacity_comes_out() -> None:
    """The last verdict is returned, never a RetryError."""
    run = Run(RetryPolicy(max_attempts=1), [refusal(503)])
    error: BaseException = await run.error()
    assert not isinstance(error, tenacity.RetryError)
    assert isinstance(error, ServerError)
