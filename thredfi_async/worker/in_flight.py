"""The messages that a worker has received and not settled yet."""

from asyncio import Task
from collections.abc import Iterator
from typing import Self

import attrs
from nats.aio.msg import Msg

from thredfi_async import Effect
from thredfi_async.worker.command import ArchiveCommand
from thredfi_async.worker.delivery import Delivery
from thredfi_async.worker.gate import Permit


@attrs.define(eq=False)
class InFlightMessage:
    """A message, and what is known about it so far.

    Attributes:
        message: Its latest delivery.
        since: When this worker first received it, in monotonic seconds.
        sequence: Its sequence number in the stream.
        command_id: Identifies it over its redeliveries.
        deliveries: How often it was delivered.
        effect: The strongest effect that any delivery may have had; other workers' deliveries count as unknown.
        command: The command; None before it is decoded, or if it cannot be.
        permit: For the gate.
        tries: Failed calls of this delivery.
        busy: Whether a call or a store is in flight, which may finish when the worker stops.
        storing: Whether its calls have ended, and its end is being stored.
        settled: Whether the message was acknowledged or returned.
        task: The task that processes it.
    """

    message: Msg
    since: float
    sequence: int
    command_id: str
    deliveries: int
    effect: Effect
    command: ArchiveCommand | None = None
    permit: Permit = attrs.field(factory=Permit)
    tries: int = 0
    busy: bool = False
    storing: bool = False
    settled: bool = False
    task: Task[None] | None = None

    @classmethod
    def of(cls, message: Msg, delivery: Delivery, now: float) -> Self:
        """Return the record of a message that was delivered now."""
        return cls(
            message=message,
            since=now,
            sequence=delivery.sequence,
            command_id=delivery.message_id,
            deliveries=delivery.deliveries,
            effect=Effect.NOT_APPLIED if delivery.deliveries == 1 else Effect.UNKNOWN,
        )

    def saw(self, effect: Effect) -> None:
        """Remember what a call may have done."""
        self.effect = max(self.effect, effect)


class InFlight:
    """The messages that a worker holds, by their sequence numbers.

    Args:
        most: Calls that may be in flight.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._messages: dict[int, InFlightMessage] = {}
        self._storing = 0

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[InFlightMessage]:
        return iter(list(self._messages.values()))

    def get(self, sequence: int) -> InFlightMessage | None:
        """Return the message with this sequence number, if it is held."""
        return self._messages.get(sequence)

    def add(self, message: InFlightMessage) -> None:
        """Hold a message."""
        self._messages[message.sequence] = message

    def stores(self, message: InFlightMessage) -> None:
        """Note that a message's calls have ended, and its end is being stored."""
        self._storing += not message.storing
        message.storing = True

    def remove(self, message: InFlightMessage) -> None:
        """Hold a message no more."""
        del self._messages[message.sequence]
        self._storing -= message.storing

    @property
    def room(self) -> int:
        """For how many more messages there is room.

        What is being stored makes room for other calls, but not for ever more while nothing can be stored.
        """
        return self._most + min(self._most, self._storing) - len(self._messages)
