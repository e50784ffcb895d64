"""Whether the API is available, and which call may try it while it is not."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final, Literal

import attrs

from thredfi_async import Clock, SystemClock
from thredfi_async._jobs.circuit_breaker import CircuitBreaker
from thredfi_async.worker.handler import Decision, RetryLater

logger: logging.Logger = logging.getLogger("thredfi_async.worker")

_EXTRA: Final = 8
_SETTINGS_FACTOR: Final = 6.0


@attrs.define(eq=False)
class Permit:
    """What the gate knows about one message.

    Attributes:
        probes: How often the message was a probe while the gate was closed.
    """

    probes: int = 0


@attrs.frozen(eq=False)
class _Waiter:
    permit: Permit
    turn: "asyncio.Future[bool]"


class Gate:
    """Lets every call through while the API is available; otherwise one at a time, with growing waits.

    It closes after several failures in a row, for any customers, without a success in between, and at once when the
    credentials or the address are refused. A probe is a real message; when it succeeds, or the API properly rejects
    it, the gate opens for all. Waiting messages are held, so that an outage uses up no deliveries.

    Args:
        failures: Failures in a row that close it; 5 by default.
        wait_initial: Seconds before the first probe, doubled after each one; 0.5 by default.
        wait_max: Maximum seconds between probes; 5 by default, and six times that while credentials are refused.
        jitter: Returns the random part of a wait, from 0 to 1, for half of it; `random.random` by default.
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
        self._clock = clock or SystemClock()
        # One customer is enough: what it is told by others is left to `extra`.
        self._breaker = CircuitBreaker(
            failures=failures, customers=1, wait_initial=wait_initial, wait_max=wait_max, jitter=jitter
        )
        self._waiters: list[_Waiter] = []
        self._arrived = asyncio.Event()
        self._returned = asyncio.Event()
        self._closed = asyncio.Event()
        self._news: asyncio.Event | None = None
        self._extra = 0
        self.on_change: Callable[[], None] = _nothing
        """Called when the gate opens or closes, or lets a worker take more messages."""
        self.successes: int = 0
        """Calls so far that the API answered properly; a call that failed in between is not the API's fault."""
        self.cause: Literal["api", "settings"] | None = None
        """Why the gate is closed; None while it is open."""
        self.reason: str | None = None
        """The last failure's code, while it is closed."""

    @property
    def is_open(self) -> bool:
        """Whether calls go through."""
        return not self._breaker.is_open

    @property
    def waiting(self) -> int:
        """Messages held at the gate."""
        return len(self._waiters)

    @property
    def extra(self) -> int:
        """Messages that a worker may hold above its concurrency for now: see `tend`."""
        return self._extra

    async def through(self, permit: Permit, call: Callable[[bool], Awaitable[Decision]]) -> Decision:
        """Make a call when it may go, and learn from the result.

        Args:
            permit: The message's permit.
            call: Makes the call; is told whether it is a probe, which should not retry by itself.

        Returns:
            The call's decision.
        """
        probe = False if self.is_open else await self._turn(permit)
        try:
            decision = await call(probe)
            self._learn(decision, permit, is_probe=probe)
        finally:
            if probe:
                self._returned.set()
        return decision

    async def rest(self, decision: RetryLater) -> None:
        """Wait before another try of a message whose call has failed.

        It waits the backoff in any case. What the API asked for beyond that ends early: when the API serves another
        customer, and when the gate closes, where probes are paced.

        Args:
            decision: The failure.
        """
        await self._clock.sleep(decision.backoff)
        left = decision.retry_after - decision.backoff
        if left > 0 and self.is_open:
            await self._sleep(left)

    async def tend(self) -> None:
        """Send probes while the gate is closed, until cancelled.

        Once every held message has failed as a probe, each probe lets the worker take one more message, up to eight:
        otherwise a few customers that the API cannot serve would block all others.
        """
        while True:
            await self._closed.wait()
            while (probe_at := self._breaker.probe_at) is not None:
                # The next probe may be earlier or later after what happens meanwhile.
                if await self._sleep(max(0.0, probe_at - self._clock.monotonic())):
                    await self._probe()

    async def _sleep(self, seconds: float) -> bool:
        """Wait; return False if the API served a customer, or the gate closed, before the time was over."""
        if self._news is None:
            self._news = asyncio.Event()
        news = self._news
        sleeping, waiting = asyncio.ensure_future(self._clock.sleep(seconds)), asyncio.ensure_future(news.wait())
        try:
            await asyncio.wait((sleeping, waiting), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            waiting.cancel()
        return not news.is_set()

    def _wake_all(self) -> None:
        """Wake what sleeps, since something happened that may change its plans."""
        if self._news is not None:
            self._news.set()
            self._news = None

    async def _turn(self, permit: Permit) -> bool:
        waiter = _Waiter(permit, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        self._arrived.set()
        try:
            return await waiter.turn
        except asyncio.CancelledError:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            elif waiter.turn.done() and not waiter.turn.cancelled() and waiter.turn.result():
                # It became a probe at the same moment: let the next one try.
                self._returned.set()
            raise

    async def _probe(self) -> None:
        """Let one message through, and wait until its call ends or the gate opens."""
        while not self._waiters:
            # No call that was in flight has come back yet.
            self._arrived.clear()
            await self._arrived.wait()
            if self.is_open:
                return
        waiter = min(self._waiters, key=lambda each: each.permit.probes)
        if waiter.permit.probes:
            self._extra = min(_EXTRA, self._extra + 1)
            self.on_change()
        waiter.permit.probes += 1
        self._waiters.remove(waiter)
        self._returned.clear()
        if not waiter.turn.done():
            self._breaker.starts()
            waiter.turn.set_result(True)
            await self._returned.wait()
        self._breaker.left(self._clock.monotonic())

    def _learn(self, decision: Decision, permit: Permit, *, is_probe: bool) -> None:
        if not isinstance(decision, RetryLater):
            if decision.attempts:
                self.successes += 1
                self._wake_all()
                if self._breaker.served(is_probe=is_probe):
                    self._open()
            return
        if decision.cause == "client":
            return
        now, was_open, asked = self._clock.monotonic(), self.is_open, decision.retry_after
        slow = _SETTINGS_FACTOR if decision.cause == "settings" else 1.0
        self._breaker.failed(id(permit), now, asked=asked, is_probe=is_probe, slow=slow)
        if decision.cause == "settings":
            self._breaker.open(now, asked=asked, slow=slow)
        if self.is_open:
            return
        self.cause, self.reason = decision.cause, decision.code
        if was_open:
            logger.warning(
                "the API is unavailable (%s): messages are held, and one at a time is tried%s",
                decision.code,
                f", the first after the {asked:.3g} s that the API asks for" if asked else "",
            )
            self._closed.set()
            self._wake_all()
            self.on_change()

    def _open(self) -> None:
        logger.info("the API is available again: %d held messages continue", len(self._waiters) + 1)
        self._closed.clear()
        self.cause = self.reason = None
        self._extra = 0
        # Wake all who wait for a probe, to start or to end.
        self._arrived.set()
        self._returned.set()
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.permit.probes = 0
            if not waiter.turn.done():
                waiter.turn.set_result(False)
        self.on_change()


def _nothing() -> None:
    """Do nothing; the default of `on_change`."""
