"""Whether the API is well, and who may call it while it is not."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final, Literal

import attrs

from thredfi_async import APIError, Clock, SystemClock
from thredfi_async.worker.handler import Decision, RetryLater

logger: logging.Logger = logging.getLogger("thredfi_async.worker")

_EXTRA: Final = 8
_SETTINGS_FACTOR: Final = 6.0


@attrs.define(eq=False)
class Ticket:
    """What the gate knows of one message.

    Attributes:
        probes: How often it was a probe while the gate was closed.
    """

    probes: int = 0


@attrs.frozen(eq=False)
class _Waiter:
    ticket: Ticket
    turn: "asyncio.Future[bool]"


class Gate:
    """Lets every call through while the API is well, and one at a time, at growing waits, while it is not.

    It closes after so many failures in a row without a success between them, whatever customers they were about, and
    at once when the credentials or the address are refused. A probe is a real message; one that succeeds, or that the
    API answers properly with a no, opens the gate for all. What waits here is held, so that an outage spends no
    deliveries.

    Args:
        failures: After how many failures in a row it closes; 5 by default.
        wait_initial: Seconds before the first probe, doubled for each further one; 0.5 by default.
        wait_max: Seconds between probes at most; 5 by default, and six times that while credentials are refused.
        jitter: Draws the half of a wait that is left to chance, from 0 to 1; `random.random` by default.
        clock: Sleeps; for tests.
    """

    def __init__(
        self,
        *,
        failures: int = 5,
        wait_initial: float = 0.5,
        wait_max: float = 5.0,
        jitter: Callable[[], float] = random.random,
        clock: Clock | None = None,
    ) -> None:
        self._limit = failures
        self._wait_initial = wait_initial
        self._wait_max = wait_max
        self._jitter = jitter
        self._clock = clock or SystemClock()
        self._failures = 0
        self._asked = 0.0
        self._waiters: list[_Waiter] = []
        self._arrived = asyncio.Event()
        self._returned = asyncio.Event()
        self._closed = asyncio.Event()
        self._extra = 0
        self.on_change: Callable[[], None] = _nothing
        """Is called when it opens or closes, or lets a worker take more."""
        self.successes: int = 0
        """Calls so far that the API answered properly; whoever failed in between was not the API's failure."""
        self.cause: Literal["api", "settings"] | None = None
        """Why it is closed; None while it is open."""
        self.reason: str | None = None
        """The last failure's code, while it is closed."""

    @property
    def is_open(self) -> bool:
        """Whether calls go through."""
        return not self._closed.is_set()

    @property
    def waiting(self) -> int:
        """Messages that are held here."""
        return len(self._waiters)

    @property
    def extra(self) -> int:
        """How many messages above its slots a worker may hold by now: see `tend`."""
        return self._extra

    async def through(self, ticket: Ticket, call: Callable[[bool], Awaitable[Decision]]) -> Decision:
        """Make a call when it is its turn, and learn from how it ends.

        Args:
            ticket: The message's.
            call: Makes the call; is told whether it is a probe, which should not be tried again on its own.

        Returns:
            The call's decision.
        """
        probe = False if self.is_open else await self._turn(ticket)
        try:
            decision = await call(probe)
            self._learn(decision)
        finally:
            if probe:
                self._returned.set()
        return decision

    async def tend(self) -> None:
        """Send out probes while the gate is closed, for as long as it is not cancelled.

        Once every message that is held has been a probe in vain, it allows the worker to take one more with each
        further probe, up to eight: otherwise a few customers that the API cannot serve would hold up all others.
        """
        while True:
            await self._closed.wait()
            wait = self._wait_initial
            while not self.is_open:
                await self._clock.sleep(max(self._asked, wait * (0.5 + 0.5 * self._jitter())))
                if not self.is_open:
                    await self._probe()
                longest = self._wait_max * (_SETTINGS_FACTOR if self.cause == "settings" else 1.0)
                wait = min(longest, wait * 2)

    async def _turn(self, ticket: Ticket) -> bool:
        waiter = _Waiter(ticket, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        self._arrived.set()
        try:
            return await waiter.turn
        except asyncio.CancelledError:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            elif waiter.turn.done() and not waiter.turn.cancelled() and waiter.turn.result():
                # Its turn as a probe came in the same moment: the next one may try.
                self._returned.set()
            raise

    async def _probe(self) -> None:
        """Let one message through, and wait until it is back, or the gate is open."""
        while not self._waiters:
            # All that was under way is still on its way here.
            self._arrived.clear()
            await self._arrived.wait()
            if self.is_open:
                return
        waiter = min(self._waiters, key=lambda each: each.ticket.probes)
        if waiter.ticket.probes:
            self._extra = min(_EXTRA, self._extra + 1)
            self.on_change()
        waiter.ticket.probes += 1
        self._waiters.remove(waiter)
        self._returned.clear()
        if not waiter.turn.done():
            waiter.turn.set_result(True)
            await self._returned.wait()

    def _learn(self, decision: Decision) -> None:
        if not isinstance(decision, RetryLater):
            if decision.attempts:
                self.successes += 1
                self._failures = 0
                self._open()
            return
        if decision.cause == "client":
            return
        self._failures += 1
        error = decision.error
        self._asked = (error.retry_after or 0.0) if isinstance(error, APIError) else 0.0
        if self.is_open and decision.cause != "settings" and self._failures < self._limit:
            return
        self.cause, self.reason = decision.cause, decision.code
        if self.is_open:
            logger.warning("the API is unwell (%s): messages are held, and one at a time is tried", decision.code)
            self._closed.set()
            self.on_change()

    def _open(self) -> None:
        if self.is_open:
            return
        logger.info("the API is well again: %d messages go on", len(self._waiters) + 1)
        self._closed.clear()
        self.cause = self.reason = None
        self._extra = 0
        # Nobody is to wait for a probe now: neither for one to come, nor for one to return.
        self._arrived.set()
        self._returned.set()
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.ticket.probes = 0
            if not waiter.turn.done():
                waiter.turn.set_result(False)
        self.on_change()


def _nothing() -> None:
    """Stands in until somebody wants to be told."""
