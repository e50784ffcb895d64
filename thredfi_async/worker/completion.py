"""Completes a command: dead letter, outcome, acknowledgement; each waits until the one before is stored."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import attrs

from thredfi_async import Clock, Effect
from thredfi_async.bulk import ItemState
from thredfi_async.worker.broker import Broker
from thredfi_async.worker.events import DeadLetter, OutcomeEvent
from thredfi_async.worker.handler import Done, Rejected, RetryLater
from thredfi_async.worker.in_flight import InFlightMessage
from thredfi_async.worker.metrics import DeadLetterKind, Metrics
from thredfi_async.worker.stream_config import StreamConfig

logger: logging.Logger = logging.getLogger("thredfi_async.worker")

_AGAIN: Final = b"-NAK"


@attrs.frozen(eq=False)
class Completion:
    """Records how commands end.

    If a worker dies in between, the message is unacknowledged and delivered again. It may end in another way then: of
    two outcomes of a message, or two dead letters, the broker keeps the first, by its message id.

    Args:
        broker: The broker.
        stream_config: The names of streams and subjects.
        metrics: Counts outcomes and dead letters.
        clock: Tells the time.
        storing: Called with a message whose calls have ended, before its end is stored.
        quiet: Waits until this worker has no open request for messages, so that one that is returned goes to another.
    """

    broker: Broker
    stream_config: StreamConfig
    metrics: Metrics
    clock: Clock
    storing: Callable[[InFlightMessage], None]
    quiet: Callable[[], Awaitable[None]]

    async def done(self, in_flight: InFlightMessage, decision: Done) -> None:
        """Complete a command whose customer is archived."""
        in_flight.look_at_time(self.clock.monotonic())
        # Not `already_archived` if an earlier request for this message may have archived it; also one that the broker
        # has forgotten, as when it was killed.
        ours = in_flight.effect is not Effect.NOT_APPLIED or in_flight.was_stored_by(decision.archived_at)
        await self._outcome(in_flight, ItemState.ARCHIVED if ours else decision.state, decision)
        await self._acknowledge(in_flight)

    async def rejected(self, in_flight: InFlightMessage, decision: Rejected) -> None:
        """Complete a command that the API or the contract refused; an earlier request may still have been applied."""
        in_flight.saw(decision.effect)
        in_flight.look_at_time(self.clock.monotonic())
        certain = in_flight.effect is Effect.NOT_APPLIED
        why: DeadLetterKind = "rejected" if certain else "unknown"
        await self._dead_letter(in_flight, decision.code, decision.reason, why, decision)
        await self._outcome(in_flight, ItemState.REJECTED if certain else ItemState.UNKNOWN, decision)
        await self._acknowledge(in_flight)

    async def given_up(
        self, in_flight: InFlightMessage, code: str, reason: str, decision: RetryLater | None = None
    ) -> None:
        """Complete a command that has used up its deliveries."""
        in_flight.look_at_time(self.clock.monotonic())
        certain = in_flight.effect is Effect.NOT_APPLIED
        state = ItemState.FAILED if certain else ItemState.UNKNOWN
        await self._dead_letter(in_flight, code, reason, "failed" if certain else "unknown", decision)
        if in_flight.command is not None:
            await self._outcome(in_flight, state, decision, code=code)
        await self._acknowledge(in_flight)

    async def malformed(self, in_flight: InFlightMessage, reason: str) -> None:
        """Complete a message that holds no command; without ids there is no outcome."""
        await self._dead_letter(in_flight, "malformed", reason, "malformed", None)
        in_flight.ends("malformed", "malformed")
        await self._acknowledge(in_flight)

    async def return_to_queue(self, in_flight: InFlightMessage, delay: float = 0.0) -> None:
        """Return a message (-NAK) for another delivery after a delay in seconds; with none, to another worker."""
        in_flight.settled = True
        if delay <= 0:
            await self.quiet()
        payload = _AGAIN if delay <= 0 else _AGAIN + b' {"delay": %d}' % int(delay * 1e9)
        await self._respond(in_flight, payload)

    async def _outcome(
        self,
        in_flight: InFlightMessage,
        state: ItemState,
        decision: Done | Rejected | RetryLater | None,
        *,
        code: str | None = None,
    ) -> None:
        assert in_flight.command is not None  # noqa: S101 - an outcome needs a decoded command
        seconds = self.clock.monotonic() - in_flight.since
        event = OutcomeEvent(
            business_id=in_flight.command.business_id,
            customer_id=in_flight.command.customer_id,
            state=state,
            code=code or getattr(decision, "code", None),
            effect=None if state.is_success else in_flight.effect,
            elapsed_ms=round(seconds * 1000),
            **_facts(in_flight, decision),
        )
        await self._store(
            in_flight,
            self.stream_config.outcomes_subject(state),
            event.to_json(),
            "outcome",
            self.stream_config.outcomes_stream,
        )
        self.metrics.ended(state, seconds, event.attempts)
        in_flight.ends(state, event.code)
        logger.debug("message %s: %s, delivery %d, %.3f s", in_flight.command_id, state, in_flight.deliveries, seconds)

    async def _dead_letter(
        self,
        in_flight: InFlightMessage,
        code: str,
        reason: str,
        why: DeadLetterKind,
        decision: Rejected | RetryLater | None,
    ) -> None:
        letter = DeadLetter(
            reason=reason,
            code=code,
            original=in_flight.message.data,
            subject=in_flight.message.subject,
            effect=in_flight.effect,
            **_facts(in_flight, decision),
        )
        await self._store(
            in_flight,
            self.stream_config.dead_subject,
            letter.to_json(at_most=self.broker.largest_payload),
            "dead",
            self.stream_config.dead_stream,
            shorten=lambda most: letter.to_json(at_most=most),
        )
        self.metrics.dead_lettered(why)
        logger.warning("dead letter: message %s, %s, delivery %d", in_flight.command_id, code, in_flight.deliveries)

    async def _store(  # noqa: PLR0913, PLR0917 - parts of one message
        self,
        in_flight: InFlightMessage,
        subject: str,
        payload: bytes,
        what: str,
        stream: str,
        shorten: Callable[[int], bytes] | None = None,
    ) -> None:
        """Wait until it is stored; the worker may fetch another message meanwhile."""
        if not in_flight.storing:
            self.storing(in_flight)
        await self.broker.store(
            subject,
            payload,
            message_id=f"{in_flight.command_id}/{what}",
            stream=stream,
            headers=in_flight.headers(),
            shorten=shorten,
        )

    async def _acknowledge(self, in_flight: InFlightMessage) -> None:
        in_flight.settled = True
        await self._respond(in_flight)

    async def _respond(self, in_flight: InFlightMessage, payload: bytes = b"") -> None:
        if not in_flight.is_gone:
            await self.broker.respond(in_flight.message.reply, payload)


def _facts(in_flight: InFlightMessage, decision: Done | Rejected | RetryLater | None) -> dict[str, Any]:
    """Return the fields that outcomes and dead letters share."""
    key = None if decision is None else decision.idempotency_key
    if key is None and in_flight.command is not None:
        key = in_flight.command.key(in_flight.command_id)
    return {
        "attempts": in_flight.requests + (0 if decision is None else decision.attempts),
        "deliveries": in_flight.deliveries,
        "command_id": in_flight.command_id,
        "idempotency_key": key,
    }
