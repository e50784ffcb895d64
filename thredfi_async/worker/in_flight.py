"""The messages that a worker has received and not settled yet."""

import datetime as dt
from asyncio import Task
from collections.abc import Iterator, Mapping
from typing import Self

import attrs
from nats.aio.msg import Msg

from thredfi_async import Effect, WorkEnded
from thredfi_async._checks.headers import NO_HEADERS
from thredfi_async._jobs.work import FollowedWork
from thredfi_async.worker.command import ArchiveCommand
from thredfi_async.worker.delivery import Delivery
from thredfi_async.worker.gate import Permit


@attrs.define(eq=False)
class InFlightMessage:
    """A message, and what is known about it so far.

    Attributes:
        message: Its latest delivery.
        since: When this worker first received it, in monotonic seconds.
        command_id: Identifies it over its redeliveries.
        stored_at: When the stream stored it, in nanoseconds since 1970.
        deliveries: How often it was delivered.
        effect: The strongest effect that any delivery may have had; other workers' deliveries count as unknown.
        command: The command; None before it is decoded, or if it cannot be.
        permit: For the gate.
        held_until: Until when the broker leaves it to this worker, in monotonic seconds.
        is_gone: Whether the broker has it no more, but another with its number, which an answer would be taken for.
        tries: Failed calls by this worker.
        requests: How many requests they sent.
        busy: Whether a call or a store is in flight, which may finish when the worker stops.
        storing: Whether its calls have ended, and its end is being stored.
        settled: Whether it is being acknowledged or returned, or was.
        task: The task that processes it.
        work: What the client's hooks follow it by, if any does.
        ended: How it ended, for these; None while it has not, or if it is returned.
    """

    message: Msg
    since: float
    command_id: str
    stored_at: int
    deliveries: int
    effect: Effect
    held_until: float
    command: ArchiveCommand | None = None
    permit: Permit = attrs.field(factory=Permit)
    is_gone: bool = False
    tries: int = 0
    requests: int = 0
    busy: bool = False
    storing: bool = False
    settled: bool = False
    task: Task[None] | None = None
    work: FollowedWork | None = None
    ended: WorkEnded | None = None

    @classmethod
    def of(cls, message: Msg, delivery: Delivery, now: float, held_until: float) -> Self:
        """Return the record of a message that was delivered now."""
        return cls(
            message=message,
            since=now,
            command_id=delivery.message_id,
            stored_at=delivery.stored_at,
            deliveries=delivery.deliveries,
            effect=Effect.NOT_APPLIED if delivery.deliveries == 1 else Effect.UNKNOWN,
            held_until=held_until,
        )

    @property
    def is_answered(self) -> bool:
        """Whether the broker waits for no answer any more."""
        return self.settled or self.is_gone

    def was_stored_by(self, time: dt.datetime | None) -> bool:
        """Return whether the stream had it by a time, which a server may have cut down to whole seconds."""
        if time is None:
            return False
        seconds = time.timestamp() + (0.0 if time.microsecond else 1.0)
        return self.stored_at <= seconds * 1e9

    def look_at_time(self, now: float) -> None:
        """Note that others may have had it, and may have called, if the broker was told too late that it is held."""
        if now > self.held_until:
            self.saw(Effect.UNKNOWN)

    def hold(self, now: float, ack_wait: float) -> None:
        """Note that the broker is told now that it is held."""
        self.look_at_time(now)
        self.held_until = now + ack_wait

    def delivered_again(self, message: Msg, delivery: Delivery) -> None:
        """Take another delivery of the message, which was due although it is held; it is processed once."""
        if delivery.deliveries > self.deliveries + 1:
            # Others had it in between, and may have called.
            self.saw(Effect.UNKNOWN)
        self.message, self.deliveries = message, delivery.deliveries

    def headers(self) -> Mapping[str, str]:
        """Return the headers for messages that tell how it ended."""
        return NO_HEADERS if self.work is None else self.work.headers()

    def ends(self, outcome: str, error: str | None) -> None:
        """Note how it ended, for the hooks that follow it."""
        if self.work is not None:
            self.ended = WorkEnded(outcome=outcome, error=error)

    def cancel(self) -> None:
        """Cut off its processing, which returns the message."""
        if self.task is not None:
            self.task.cancel()

    def saw(self, effect: Effect) -> None:
        """Remember what a call may have done."""
        self.effect = max(self.effect, effect)


class InFlight:
    """The messages that a worker holds, by their command ids.

    Not by their numbers in the stream: one that is recreated counts from 1 again, and has another message there.

    Args:
        most: Calls that may be in flight.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._messages: dict[str, InFlightMessage] = {}
        # Number and time of the message that was stored last.
        self._newest = (0, 0)
        self._storing = 0

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[InFlightMessage]:
        return iter(list(self._messages.values()))

    def arrives(self, delivery: Delivery) -> None:
        """Note a delivery: what was stored later has the larger number, unless the stream was created anew."""
        number, stored_at = self._newest
        if delivery.sequence > number:
            self._newest = delivery.sequence, delivery.stored_at
        elif delivery.stored_at > stored_at:
            self._newest = delivery.sequence, delivery.stored_at
            self.stream_began(delivery.stored_at)

    def stream_began(self, at: int) -> None:
        """Answer for none of the messages that are older than the stream: it has others with their numbers.

        Args:
            at: When it was created at the latest, in nanoseconds since 1970.
        """
        for message in self._messages.values():
            message.is_gone = message.is_gone or message.stored_at < at

    def get(self, command_id: str) -> InFlightMessage | None:
        """Return the message with this id, if it is held."""
        return self._messages.get(command_id)

    def add(self, message: InFlightMessage) -> None:
        """Hold a message."""
        self._messages[message.command_id] = message

    def stores(self, message: InFlightMessage) -> None:
        """Note that a message's calls have ended, and its end is being stored."""
        self._storing += not message.storing
        message.storing = True

    def remove(self, message: InFlightMessage) -> None:
        """Hold a message no more."""
        del self._messages[message.command_id]
        self._storing -= message.storing

    @property
    def room(self) -> int:
        """For how many more messages there is room.

        What is being stored makes room for other calls, but not for ever more while nothing can be stored.
        """
        return self._most + min(self._most, self._storing) - len(self._messages)
