"""One message from its delivery to its end."""

import asyncio
import logging
from functools import partial
from typing import Final

import attrs

from thredfi_async import Clock, Effect, InvalidRequestError, RetryPolicy
from thredfi_async.worker.command import ArchiveCommand
from thredfi_async.worker.errors import BrokerError
from thredfi_async.worker.figures import Figures
from thredfi_async.worker.finish import Finisher
from thredfi_async.worker.gate import Gate
from thredfi_async.worker.handler import ArchiveHandler, Decision, Done, Rejected, RetryLater
from thredfi_async.worker.held import Held
from thredfi_async.worker.options import WorkerOptions

_ONCE: Final = RetryPolicy(max_attempts=1)
_LONGEST_DELAY: Final = 60.0

logger = logging.getLogger("thredfi_async.worker")


@attrs.frozen(eq=False)
class Processing:
    """Brings messages to their end, or gives them back for another delivery.

    A failure is repeated in place, where it spends no delivery. Only a message that fails twice while other customers
    are served in between is taken to be at fault itself: it is delivered again later, as often as is allowed.

    Args:
        handler: Makes the calls.
        gate: Holds messages while the API is unwell.
        finisher: Writes down how they end.
        figures: Counts.
        options: How often a message may be delivered.
        clock: Sleeps.
        stopping: Whether messages that only wait are to be given back.
    """

    handler: ArchiveHandler
    gate: Gate
    finisher: Finisher
    figures: Figures
    options: WorkerOptions
    clock: Clock
    stopping: asyncio.Event

    async def process(self, held: Held) -> None:
        """Bring a message to its end.

        Args:
            held: The message.

        Raises:
            asyncio.CancelledError: It was cancelled; the message was given back.
        """
        try:
            await self._process(held)
        except BrokerError as error:
            logger.error("a message is left for another delivery: %s", error)  # noqa: TRY400 - the sentence says it all
            await self.finisher.again(held, _LONGEST_DELAY)
        except Exception as error:  # noqa: BLE001 - one message must not end the others
            await self._met_a_bug(held, error)
        finally:
            if not held.settled:
                await self.finisher.again(held)

    async def _process(self, held: Held) -> None:
        held.busy = True
        try:
            held.command = ArchiveCommand.from_json(held.message.data)
        except InvalidRequestError as error:
            await self.finisher.malformed(held, str(error))
            return
        allowed = self.options.max_deliveries
        if held.deliveries > allowed:
            reason = f"it was delivered {held.deliveries} times, {allowed} are allowed, and none came to an end"
            await self.finisher.given_up(held, "too_many_deliveries", reason)
            return
        await self._until_decided(held, held.command)

    async def _until_decided(self, held: Held, command: ArchiveCommand) -> None:
        mark: int | None = None
        while not self.stopping.is_set():
            held.busy = False
            decision = await self.gate.through(held.ticket, partial(self._call, held, command))
            held.busy = True
            if not isinstance(decision, RetryLater):
                await self._end(held, decision)
                return
            held.saw(decision.effect)
            if mark is None:
                mark = self.gate.successes
            elif self.gate.is_open and self.gate.successes > mark:
                await self._spend(held, decision)
                return
            held.tries += 1
            held.busy = False
            self.figures.repeats(held=True)
            await self.clock.sleep(decision.delay)

    async def _call(self, held: Held, command: ArchiveCommand, probe: bool) -> Decision:  # noqa: FBT001 - the gate's word
        held.busy = True
        return await self.handler(
            command,
            message_id=held.command_id,
            delivery=held.deliveries + held.tries,
            retry=_ONCE if probe else None,
        )

    async def _end(self, held: Held, decision: Done | Rejected) -> None:
        if isinstance(decision, Done):
            await self.finisher.done(held, decision)
        else:
            await self.finisher.rejected(held, decision)

    async def _spend(self, held: Held, decision: RetryLater) -> None:
        if held.deliveries >= self.options.max_deliveries:
            reason = f"delivered {held.deliveries} times, and failed at last with: {decision.reason}"
            await self.finisher.given_up(held, decision.code, reason, decision)
        else:
            self.figures.repeats(held=False)
            await self.finisher.again(held, decision.delay)

    async def _met_a_bug(self, held: Held, error: Exception) -> None:
        # Neither its text nor its trace, which may quote anything.
        logger.error("a message met with %s, which is a bug; it is delivered again later", type(error).__name__)
        logger.debug("the bug", exc_info=error)
        if held.settled or held.deliveries < self.options.max_deliveries:
            await self.finisher.again(held, min(_LONGEST_DELAY, 2.0**held.deliveries))
            return
        held.saw(Effect.UNKNOWN)
        await self.finisher.given_up(held, "internal_error", f"the worker met with {type(error).__name__}")
