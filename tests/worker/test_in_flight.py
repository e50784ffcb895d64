"""Messages that are held: which delivery is of which, and what others may have done in between."""

from typing import Any
from unittest import mock

import pytest

from thredfi_async import Effect
from thredfi_async.worker import Worker
from thredfi_async.worker.delivery import Delivery
from thredfi_async.worker.in_flight import InFlightMessage


def delivery(deliveries: int = 1, *, stored_at: int = 1) -> Delivery:
    """Return a delivery of the stream's first message."""
    return Delivery("THREDFI", "workers", deliveries, 1, stored_at)


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
    first, second = held(worker, delivery(), delivery(stored_at=10**9))
    assert first.command_id != second.command_id
    assert worker.in_flight == 2


@pytest.mark.parametrize(("deliveries", "effect"), [(2, Effect.NOT_APPLIED), (3, Effect.UNKNOWN)])
def test_a_delivery_that_comes_back(deliveries: int, effect: Effect) -> None:
    """One task processes a message; what another worker may have done with it in between is not forgotten."""
    (message,) = held(Worker(mock.Mock()), delivery(), delivery(deliveries))
    assert (message.deliveries, message.effect) == (deliveries, effect)
