"""Messages that are held: which delivery is of which, and what others may have done in between."""

import datetime as dt
from typing import Any
from unittest import mock

import pytest

from thredfi_async import Effect
from thredfi_async.worker import Worker
from thredfi_async.worker.delivery import Delivery
from thredfi_async.worker.in_flight import InFlightMessage


def delivery(deliveries: int = 1, *, number: int = 1, stored_at: int = 1) -> Delivery:
    """Return a delivery of a message, the stream's first by default, which was stored in this second."""
    return Delivery("THREDFI", "workers", deliveries, number, stored_at * 10**9)


def held(worker: Worker, *deliveries: Delivery) -> list[InFlightMessage]:
    """Return the messages that a worker holds after these deliveries."""
    begun: list[InFlightMessage] = []

    def begin(in_flight: InFlightMessage) -> Any:
        begun.append(in_flight)

    for each in deliveries:
        assert worker._take(begin, mock.Mock(data=b"", reply="r"), each)
    return begun


def test_another_message_with_the_same_number() -> None:
    """A stream that was recreated counts from 1 again: its message is another one, and gets its own call."""
    worker = Worker(mock.Mock())
    first, second = held(worker, delivery(), delivery(stored_at=2))
    assert first.command_id != second.command_id
    assert worker.in_flight == 2


@pytest.mark.parametrize(("deliveries", "effect"), [(2, Effect.NOT_APPLIED), (3, Effect.UNKNOWN)])
def test_a_delivery_that_comes_back(deliveries: int, effect: Effect) -> None:
    """One task processes a message; what another worker may have done with it in between is not forgotten."""
    (message,) = held(Worker(mock.Mock()), delivery(), delivery(deliveries))
    assert (message.deliveries, message.effect) == (deliveries, effect)


@pytest.mark.parametrize(("number", "stored_at", "is_gone"), [(3, 30, False), (2, 15, False), (2, 30, True)])
def test_a_stream_that_was_created_anew(number: int, stored_at: int, is_gone: bool) -> None:
    """The broker would take an answer for a message of the old stream for one about a message of the new one."""
    old = [delivery(number=1, stored_at=10), delivery(number=2, stored_at=20)]
    messages = held(Worker(mock.Mock()), *old, delivery(number=number, stored_at=stored_at))
    assert [each.is_answered for each in messages] == [is_gone, is_gone, False]


def test_a_stream_that_is_younger_than_a_message() -> None:
    """Whoever created it anew, what is older is answered no more."""
    worker = Worker(mock.Mock())
    messages = held(worker, delivery(number=1, stored_at=10), delivery(number=2, stored_at=20))
    worker._in_flight.stream_began(20 * 10**9)
    assert [each.is_answered for each in messages] == [True, False]


@pytest.mark.parametrize(("now", "effect"), [(30.0, Effect.NOT_APPLIED), (30.1, Effect.UNKNOWN)])
def test_a_message_that_was_held_too_long(now: float, effect: Effect) -> None:
    """Whoever was frozen, or could not reach the broker, does not know who had it meanwhile."""
    message = InFlightMessage.of(mock.Mock(), delivery(), 0.0, 30.0)
    message.look_at_time(now)
    assert message.effect is effect


@pytest.mark.parametrize(
    ("time", "was_stored"),
    [
        (None, False),
        ("1970-01-01T00:00:09.999999Z", False),
        ("1970-01-01T00:00:10.000001Z", True),
        ("1970-01-01T00:00:08Z", False),
        ("1970-01-01T00:00:09Z", True),
    ],
)
def test_a_time_that_may_be_cut_down_to_seconds(time: str | None, was_stored: bool) -> None:
    """What the API says happened in a second may have happened at its end."""
    message = InFlightMessage.of(mock.Mock(), delivery(stored_at=10), 0.0, 30.0)
    assert message.was_stored_by(None if time is None else dt.datetime.fromisoformat(time)) is was_stored
