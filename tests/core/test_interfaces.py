"""The values between the layers: their reprs and their contents."""

import time

import attrs
import pytest

from thredfi_async import Attempt, CallEnded, ConnectError, Effect, RetryScheduled, SystemClock
from thredfi_async._interfaces import Outcome, Request, Response, Verdict

SECRET = "Jane Doe, token abc"  # as in a body, a header or a value


def test_a_verdict_gives_its_value() -> None:
    """Without an error, the value is the result, even if it is None."""
    assert Verdict(5).unwrap() == 5
    assert Verdict[None](None).unwrap() is None


def test_a_verdict_raises_its_error() -> None:
    """The same error object is raised, not a copy."""
    error = ConnectError("refused")
    with pytest.raises(ConnectError) as raised:
        Verdict[int](error=error).unwrap()
    assert raised.value is error


def test_no_value_between_layers_shows_what_it_carries() -> None:
    """No `repr` shows bodies, headers or models."""
    response = Response(200, {"X-Name": SECRET}, SECRET.encode())
    request = Request[str](
        method="POST",
        url="https://sandbox.thredfi.com/",
        judge=lambda _: Verdict(SECRET),
        headers={"X-Name": SECRET},
        body=SECRET.encode(),
    )
    outcome = Outcome(
        value=SECRET, response=response, effect=Effect.APPLIED, attempts=1, elapsed=0.1, idempotency_key=None
    )
    for value in (response, request, Verdict(SECRET), outcome):
        assert "Jane" not in repr(value)


def test_a_request_does_nothing_unless_it_says_so() -> None:
    """By default a request has no body, no key, no effect and no settling."""
    request = Request[str](method="GET", url="https://sandbox.thredfi.com/", judge=lambda _: Verdict("x"))
    assert (request.body, request.idempotency_key, request.mutates, request.settle) == (None, None, False, None)
    assert dict(request.headers) == {}


def test_a_whole_answer_has_no_flaw() -> None:
    """Only a body that was cut has a flaw."""
    assert Response(200, {}, b"").flaw is None


@pytest.mark.parametrize(
    "event",
    [
        Attempt(
            operation="customers.get",
            number=1,
            method="GET",
            status=200,
            error=None,
            effect=Effect.NOT_APPLIED,
            elapsed=0.1,
            request_id=None,
            idempotency_key=None,
        ),
        RetryScheduled(operation="customers.archive", attempts=1, wait=0.5, error="ServerError", idempotency_key="key"),
        CallEnded(
            operation="customers.archive",
            outcome="failed",
            effect=Effect.UNKNOWN,
            attempts=4,
            elapsed=3.0,
            queued=1.0,
            error="ServerError",
            request_id=None,
            idempotency_key="key",
        ),
    ],
    ids=lambda event: type(event).__name__,
)
def test_events_are_values(event: Attempt | RetryScheduled | CallEnded) -> None:
    """An event can be kept: it is immutable, and compares by value."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.operation = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    assert event == attrs.evolve(event)
    assert hash(event) == hash(attrs.evolve(event))


async def test_the_machines_clock() -> None:
    """The system clock is the monotonic clock, and its sleep yields to the loop."""
    clock = SystemClock()
    before = time.monotonic()
    await clock.sleep(0)
    assert before <= clock.monotonic() <= time.monotonic()
