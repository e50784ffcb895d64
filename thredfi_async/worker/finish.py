"""The end of a command: its dead letter, its outcome, its acknowledgement, in this order and each only once stored."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import attrs

from thredfi_async import Clock, Effect
from thredfi_async.bulk import ItemState
from thredfi_async.worker.broker import Broker
from thredfi_async.worker.events import DeadLetter, OutcomeEvent
from thredfi_async.worker.figures import Figures, Trouble
from thredfi_async.worker.handler import Done, Rejected, RetryLater
from thredfi_async.worker.held import Held
from thredfi_async.worker.topology import Topology

logger = logging.getLogger("thredfi_async.worker")

_AGAIN: Final = b"-NAK"


@attrs.frozen(eq=False)
class Finisher:
    """Writes down how commands end.

    A worker that dies in between leaves the message unacknowledged. It is delivered again, comes to the same end, and
    what was stored before is known to the broker by its id.

    Args:
        broker: The broker.
        topology: Where to.
        figures: Counts.
        clock: Tells the time.
        quiet: Waits until this worker would not get at once what it gives back.
    """

    broker: Broker
    topology: Topology
    figures: Figures
    clock: Clock
    quiet: Callable[[], Awaitable[None]]

    async def done(self, held: Held, decision: Done) -> None:
        """The customer is archived."""
        # Found archived is not archived already, if an earlier request for this message can have done it.
        ours = held.effect is not Effect.NONE
        await self._outcome(held, ItemState.ARCHIVED if ours else decision.state, decision)
        await self._acknowledge(held)

    async def rejected(self, held: Held, decision: Rejected) -> None:
        """The API, or the contract, has said no; a request before that may have been applied all the same."""
        held.saw(decision.effect)
        certain = held.effect is Effect.NONE
        why: Trouble = "rejected" if certain else "unknown"
        await self._dead_letter(held, decision.code, decision.reason, why, decision)
        await self._outcome(held, ItemState.REJECTED if certain else ItemState.UNKNOWN, decision)
        await self._acknowledge(held)

    async def given_up(self, held: Held, code: str, reason: str, decision: RetryLater | None = None) -> None:
        """It was delivered as often as is allowed."""
        nothing = held.effect is Effect.NONE
        state = ItemState.FAILED if nothing else ItemState.UNKNOWN
        await self._dead_letter(held, code, reason, "failed" if nothing else "unknown", decision)
        if held.command is not None:
            await self._outcome(held, state, decision, code=code)
        await self._acknowledge(held)

    async def malformed(self, held: Held, reason: str) -> None:
        """It is no command: there are no ids that an outcome could be about."""
        await self._dead_letter(held, "malformed", reason, "malformed", None)
        await self._acknowledge(held)

    async def again(self, held: Held, delay: float = 0.0) -> None:
        """Ask for another delivery, after a delay in seconds; without one, it is for another worker."""
        held.settled = True
        if delay <= 0:
            await self.quiet()
        payload = _AGAIN if delay <= 0 else _AGAIN + b' {"delay": %d}' % int(delay * 1e9)
        await self.broker.tell(held.message.reply, payload)

    async def _outcome(
        self, held: Held, state: ItemState, decision: Done | Rejected | RetryLater | None, *, code: str | None = None
    ) -> None:
        assert held.command is not None  # noqa: S101 - what has an outcome has been read
        seconds = self.clock.monotonic() - held.since
        event = OutcomeEvent(
            business_id=held.command.business_id,
            customer_id=held.command.customer_id,
            state=state,
            code=code or getattr(decision, "code", None),
            effect=None if state.is_success else held.effect,
            elapsed_ms=round(seconds * 1000),
            **_facts(held, decision),
        )
        await self.broker.store(
            self.topology.outcomes_subject(state),
            event.to_json(),
            message_id=f"{held.command_id}/outcome",
            stream=self.topology.outcomes_stream,
        )
        self.figures.ended(state, seconds)

    async def _dead_letter(
        self, held: Held, code: str, reason: str, why: Trouble, decision: Rejected | RetryLater | None
    ) -> None:
        letter = DeadLetter(
            reason=reason,
            code=code,
            original=held.message.data,
            subject=held.message.subject,
            effect=held.effect,
            **_facts(held, decision),
        )
        await self.broker.store(
            self.topology.dead_subject,
            letter.to_json(at_most=self.broker.largest_payload),
            message_id=f"{held.command_id}/dead",
            stream=self.topology.dead_stream,
        )
        self.figures.died(why)
        logger.warning("dead letter: message %s, %s, delivery %d", held.command_id, code, held.deliveries)

    async def _acknowledge(self, held: Held) -> None:
        held.settled = True
        await self.broker.tell(held.message.reply)


def _facts(held: Held, decision: Done | Rejected | RetryLater | None) -> dict[str, Any]:
    """What outcomes and dead letters both tell."""
    return {
        "attempts": 0 if decision is None else decision.attempts,
        "deliveries": held.deliveries,
        "command_id": held.command_id,
        "idempotency_key": None if held.command is None else held.command.key(held.command_id),
    }
