"""A message that a worker has taken and has not let go of yet."""

from asyncio import Task
from typing import Self

import attrs
from nats.aio.msg import Msg

from thredfi_async import Effect
from thredfi_async.worker.command import ArchiveCommand
from thredfi_async.worker.gate import Ticket


@attrs.define(eq=False)
class InFlightMessage:
    """A message, and what is known of it so far.

    Attributes:
        message: As it was delivered last.
        since: When it was delivered first to this worker, in monotonic seconds.
        sequence: Its place in the stream.
        command_id: What identifies it over its redeliveries.
        deliveries: How often it was delivered.
        effect: What the requests of all deliveries did at most; how other workers' deliveries ended is not known.
        command: What it says; None before it was read, or if it cannot be.
        ticket: For the gate.
        tries: Calls that this delivery has made in vain.
        busy: Whether a call or a storing is under way, which is let end when the worker stops.
        settled: Whether the broker has been told what becomes of it.
        task: What works on it.
    """

    message: Msg
    since: float
    sequence: int
    command_id: str
    deliveries: int
    effect: Effect
    command: ArchiveCommand | None = None
    ticket: Ticket = attrs.field(factory=Ticket)
    tries: int = 0
    busy: bool = False
    settled: bool = False
    task: Task[None] | None = None

    @classmethod
    def of(cls, message: Msg, now: float) -> Self:
        """Take a message that was delivered now."""
        facts = message.metadata
        deliveries = facts.num_delivered
        return cls(
            message=message,
            since=now,
            sequence=facts.sequence.stream,
            # With the time that it was stored: a stream that was made anew counts from 1 again.
            command_id=f"{facts.stream}/{facts.sequence.stream}/{facts.timestamp.timestamp():.6f}",
            deliveries=deliveries,
            effect=Effect.NOT_APPLIED if deliveries == 1 else Effect.UNKNOWN,
        )

    def saw(self, effect: Effect) -> None:
        """Remember what a call may have done."""
        self.effect = max(self.effect, effect)
