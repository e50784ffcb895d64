"""A message that a worker has received and not settled yet."""

from asyncio import Task
from collections.abc import Mapping
from typing import Self

import attrs
from nats.aio.msg import Msg

from thredfi_async import Effect, WorkEnded
from thredfi_async._checks.headers import NO_HEADERS
from thredfi_async._jobs.work import FollowedWork
from thredfi_async.worker.command import ArchiveCommand
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
        work: What the client's hooks follow it by, if any does.
        ended: How it ended, for these; None while it has not, or if it is returned.
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
    work: FollowedWork | None = None
    ended: WorkEnded | None = None

    @classmethod
    def of(cls, message: Msg, now: float) -> Self:
        """Return the record of a message that was delivered now."""
        facts = message.metadata
        deliveries = facts.num_delivered
        return cls(
            message=message,
            since=now,
            sequence=facts.sequence.stream,
            # With the time when it was stored: a recreated stream counts from 1 again.
            command_id=f"{facts.stream}/{facts.sequence.stream}/{facts.timestamp.timestamp():.6f}",
            deliveries=deliveries,
            effect=Effect.NOT_APPLIED if deliveries == 1 else Effect.UNKNOWN,
        )

    def headers(self) -> Mapping[str, str]:
        """Return the headers for messages that tell how it ended."""
        return NO_HEADERS if self.work is None else self.work.headers()

    def saw(self, effect: Effect) -> None:
        """Remember what a call may have done."""
        self.effect = max(self.effect, effect)
