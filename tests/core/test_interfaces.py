"""The values between the layers: their reprs and their contents."""

import time
from typing import get_args, get_origin

import attrs
import pytest

from thredfi_async import Attempt, CallEnded, ConnectError, Effect, RetryScheduled, SystemClock
from thredfi_async._interfaces import Failure, Hidden, Next, Outcome, Request, Response, Success, Verdict

SECRET = "Jane Doe, token abc"  # as in a body, a header or a value


def test_a_verdict_is_one_of_three() -> None:
    """A verdict is a success, a failure or the next request, and nothing else."""
    assert {get_origin(kind) or kind for kind in get_args(Verdict)} == {Success, Failure, Next}


@pytest.mark.parametrize("kind", [Success, Failure, Next])
def test_a_verdict_says_exactly_one_thing(kind: type) -> None:
    """No verdict can be built without its only part, or with another one."""
    (part,) = attrs.fields(kind)
    assert part.default is attrs.NOTHING
    for wrong in ({}, {part.name: 1, "error" if part.name == "value" else "value": 2}):
        with pytest.raises(TypeError):
            kind(**wrong)


def test_a_verdict_keeps_what_it_was_given() -> None:
    """The same objects come back, not copies; None is a value like any other."""
    error = ConnectError("refused")
    request = Request[int](method="GET", url="https://sandbox.thredfi.com/", judge=lambda _: Success(5))
    assert (Success(5).value, Success(None).value) == (5, None)
    assert (Failure(error).error, Next(request).request) == (error, request)


def test_what_is_hidden_is_shown_by_no_tool() -> None:
    """Neither `repr` nor `str` nor the tools that look into attrs classes, dicts and slots by name show the value."""
    hidden = Hidden(SECRET)
    assert hidden.reveal() == SECRET
    assert (repr(hidden), str(hidden), f"{hidden}", repr([hidden])) == ("<Hidden>",) * 3 + ("[<Hidden>]",)
    assert not attrs.has(Hidden)
    assert not hasattr(hidden, "__dict__")


def test_no_value_between_layers_shows_what_it_carries() -> None:
    """No `repr` shows bodies, headers or models."""
    response = Response(200, {"X-Name": SECRET}, SECRET.encode())
    request = Request[str](
        method="POST",
        url="https://sandbox.thredfi.com/",
        judge=lambda _: Success(SECRET),
        headers={"X-Name": SECRET},
        body=SECRET.encode(),
    )
    outcome = Outcome(
        value=SECRET, response=response, effect=Effect.APPLIED, attempts=1, elapsed=0.1, idempotency_key=None
    )
    for value in (response, request, Success(SECRET), Next(request), outcome):
        assert "Jane" not in repr(value)


def test_a_request_does_nothing_unless_it_says_so() -> None:
    """By default a request has no body, no key, no effect and no settling."""
    request = Request[str](method="GET", url="https://sandbox.thredfi.com/", judge=lambda _: Success("x"))
    assert (request.body, request.idempotency_key, request.mutates, request.settle) == (None, None, False, None)
    assert dict(request.headers) == {}


def test_a_whole_answer_has_no_flaw() -> None:
    """Only a body that was cut has a flaw."""
    assert Response(200, {}, b"").flaw is None


def test_an_answer_whose_connection_is_unknown_retires_nothing() -> None:
    """By default, retiring the connection does nothing; answers compare without it."""
    retired: list[int] = []
    answer = Response(200, {}, b"", None, lambda: retired.append(1))
    Response(200, {}, b"").retire()
    assert not retired
    answer.retire()
    assert retired == [1]
    assert answer == Response(200, {}, b"")


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
