"""Processes one message from its delivery to its outcome."""

import asyncio
import logging
from functools import partial
from typing import Final

import attrs

from thredfi_async import Effect, InvalidRequestError, RetryPolicy, WorkEnded, WorkStarted
from thredfi_async._jobs.work import FollowedWork
from thredfi_async.worker.command import ArchiveCommand
from thredfi_async.worker.completion import Completion
from thredfi_async.worker.errors import BrokerError
from thredfi_async.worker.gate import Gate
from thredfi_async.worker.handler import ArchiveHandler, Decision, Done, Rejected, RetryLater
from thredfi_async.worker.in_flight import InFlightMessage
from thredfi_async.worker.metrics import Metrics
from thredfi_async.worker.options import WorkerOptions

_ONCE: Final = RetryPolicy(max_attempts=1)
_LONGEST_DELAY: Final = 60.0

logger: logging.Logger = logging.getLogger("thredfi_async.worker")


@attrs.frozen(eq=False)
class Processing:
    """Completes messages, or returns them for another delivery.

    A failed call is retried by the same worker, which uses up no delivery. Only a message that fails twice while other
    customers succeed in between is taken to be at fault: it is delivered again later, as often as allowed.

    Args:
        handler: Makes the calls.
        gate: Holds messages while the API is unavailable.
        completion: Records how they end.
        metrics: Counts retries.
        options: How often a message may be delivered.
        stopping: Set once waiting messages are to be returned.
    """

    handler: ArchiveHandler
    gate: Gate
    completion: Completion
    metrics: Metrics
    options: WorkerOptions
    stopping: asyncio.Event

    async def process(self, in_flight: InFlightMessage) -> None:
        """Complete a message, or return it.

        Args:
            in_flight: The message.

        Raises:
            asyncio.CancelledError: It was cancelled; the message was returned.
        """
        work = in_flight.work = _followed(self.handler, in_flight)
        try:
            await self._process(in_flight)
        except BrokerError as error:
            logger.error("a message is left for another delivery: %s", error)  # noqa: TRY400 - needs no traceback
            await self.completion.return_to_queue(in_flight, _LONGEST_DELAY)
        except Exception as error:  # noqa: BLE001 - one message must not end the others
            await self._met_a_bug(in_flight, error)
        finally:
            try:
                if not in_flight.settled:
                    await self.completion.return_to_queue(in_flight)
            finally:
                if work is not None:
                    work.end(in_flight.ended or WorkEnded(outcome="returned"))

    async def _process(self, in_flight: InFlightMessage) -> None:
        in_flight.busy = True
        try:
            in_flight.command = ArchiveCommand.from_json(in_flight.message.data)
        except InvalidRequestError as error:
            await self.completion.malformed(in_flight, str(error))
            return
        allowed = self.options.max_deliveries
        if in_flight.deliveries > allowed:
            reason = f"it was delivered {in_flight.deliveries} times, {allowed} are allowed, and none was completed"
            await self.completion.given_up(in_flight, "too_many_deliveries", reason)
            return
        await self._until_decided(in_flight, in_flight.command)

    async def _until_decided(self, in_flight: InFlightMessage, command: ArchiveCommand) -> None:
        mark: int | None = None
        while not self.stopping.is_set():
            in_flight.busy = False
            decision = await self.gate.through(in_flight.permit, partial(self._call, in_flight, command))
            in_flight.busy = True
            if not isinstance(decision, RetryLater):
                await self._end(in_flight, decision)
                return
            in_flight.saw(decision.effect)
            if mark is None:
                mark = self.gate.successes
            elif self.gate.is_open and self.gate.successes > mark:
                await self._redeliver_or_give_up(in_flight, decision)
                return
            in_flight.tries += 1
            in_flight.requests += decision.attempts
            in_flight.busy = False
            self.metrics.repeats(held=True)
            await self.gate.rest(decision)

    async def _call(self, in_flight: InFlightMessage, command: ArchiveCommand, probe: bool) -> Decision:  # noqa: FBT001 - as the gate calls it
        in_flight.busy = True
        return await self.handler(
            command,
            message_id=in_flight.command_id,
            delivery=in_flight.deliveries + in_flight.tries,
            retry=_ONCE if probe else None,
        )

    async def _end(self, in_flight: InFlightMessage, decision: Done | Rejected) -> None:
        if isinstance(decision, Done):
            await self.completion.done(in_flight, decision)
        else:
            await self.completion.rejected(in_flight, decision)

    async def _redeliver_or_give_up(self, in_flight: InFlightMessage, decision: RetryLater) -> None:
        if in_flight.deliveries >= self.options.max_deliveries:
            reason = f"it was delivered {in_flight.deliveries} times, and failed last with: {decision.reason}"
            await self.completion.given_up(in_flight, decision.code, reason, decision)
        else:
            self.metrics.repeats(held=False)
            await self.completion.return_to_queue(in_flight, decision.delay)

    async def _met_a_bug(self, in_flight: InFlightMessage, error: Exception) -> None:
        # Without its text and traceback, which may quote personal data.
        logger.error("a bug raised %s; the message is delivered again later", type(error).__name__)
        logger.debug("the bug", exc_info=error)
        if in_flight.settled or in_flight.deliveries < self.options.max_deliveries:
            await self.completion.return_to_queue(in_flight, min(_LONGEST_DELAY, 2.0**in_flight.deliveries))
            return
        in_flight.saw(Effect.UNKNOWN)
        try:
            await self.completion.given_up(in_flight, "internal_error", f"a bug raised {type(error).__name__}")
        except Exception as another:  # noqa: BLE001 - the bug may be in what records it
            logger.error("a bug raised %s while it was recorded", type(another).__name__)  # noqa: TRY400 - as above
            await self.completion.return_to_queue(in_flight, _LONGEST_DELAY)


def _followed(handler: ArchiveHandler, in_flight: InFlightMessage) -> FollowedWork | None:
    if not handler.followers:
        return None
    message, count = in_flight.message, in_flight.deliveries
    started = WorkStarted(kind="message", name=message.subject, headers=message.headers or {}, delivery=count)
    return FollowedWork.begin(handler.followers, started)
