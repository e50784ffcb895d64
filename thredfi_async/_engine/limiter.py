"""Decides which call is sent next, and when; how many may be sent, its controller learns."""

import asyncio
import math
import random
from collections.abc import Callable
from typing import Final

from thredfi_async._engine.bound import Known
from thredfi_async._engine.controller import Controller
from thredfi_async._engine.limits import Limits
from thredfi_async._engine.turns import ANY_POLICY, Gate, Ticket, Turn, time_is_up
from thredfi_async._engine.waiting import Waiting
from thredfi_async.errors import ClientStateError
from thredfi_async.retry import RetryPolicy

_LONGEST_TIMER: Final = 3600.0
_ROUNDING: Final = 1e-6


class Limiter:
    """Slots for requests: as many as the API can take, first come, first served.

    Calls wait for a slot here and not in the connection pool, where the wait would spend the request's timeouts.
    A slot is a count, not an object: each caller that acquired one releases one. How many slots there are, and at
    what pace they are given, is the controller's to say.

    State changes in synchronous functions only. There is no task, only a timer while calls wait for a moment.

    Args:
        limit: Slots at most.
        now: Returns the time, in monotonic seconds.
        rate: Slots that are given in a second at most; None for no bound.
        vary: Returns a number from 0 to 1 at random.
    """

    def __init__(
        self,
        limit: int,
        now: Callable[[], float],
        *,
        rate: float | None = None,
        vary: Callable[[], float] = random.random,
    ) -> None:
        """Start with every slot free."""
        self._limit = limit
        self._now = now
        self._controller = Controller(limit, rate=rate, vary=vary)
        self._waiting = Waiting()
        self._passed = -math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._wakes = 0.0
        # Looked up once: the look-up is a tenth of the cost of waiting.
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def in_use(self) -> int:
        """Slots that are taken."""
        return self._controller.in_flight

    @property
    def waiting(self) -> int:
        """Calls that wait for a slot; one that was cancelled counts until its turn would have come."""
        return self._waiting.count

    @property
    def window(self) -> int:
        """Slots that may be taken at once, at present."""
        return self._controller.allowed(self._time())

    @property
    def ticket(self) -> Ticket:
        """The ticket of the slot that was given last: a request keeps it for `answered_well` and `throttled`."""
        return self._controller.ticket

    @property
    def is_limited(self) -> bool:
        """Whether a limit of the API is known, or searched for."""
        return self._controller.pace.is_known or self._controller.window.is_known

    def refuses_all_for(self) -> float:
        """Return for how many seconds the API has refused all that was sent; 0 if it grants some."""
        return self._controller.quota.refuses_for(self._time())

    def cooldown(self) -> float:
        """Return the seconds for which the API has asked every call to wait; 0 if it has not."""
        return self._controller.cooldown(self._time())

    def limits(self) -> Limits:
        """Return a snapshot of all limits."""
        controller, rate = self._controller, self._controller.rate()
        pace, window = controller.pace, controller.window
        return Limits(
            in_use=self.in_use,
            waiting=self.waiting,
            max_in_flight=self.window,
            rate=None if rate == math.inf else rate,
            cooldown=self.cooldown(),
            granted_rate=pace.top if pace.is_known and not pace.is_search else None,
            granted_at_once=int(window.rest) if window.is_known else None,
        )

    def acquire_nowait(self) -> bool:
        """Take a slot if one is free and no call waits; return whether it did."""
        if self._waiting.count or self._waiting.gate is not None:
            return False
        controller = self._controller
        if controller.is_open:  # most calls: without a look at the clock
            if controller.in_flight >= self._limit:
                return False
            controller.take(0.0)
            return True
        if not self._has_slot():
            return False
        self._take()
        return True

    async def acquire(
        self,
        timeout: float | None,  # noqa: ASYNC109 - a bare timer is cheaper than a scope
        asked: float = 0.0,
        policy: RetryPolicy = ANY_POLICY,
        *,
        returning: bool = False,
        odd: bool = False,
    ) -> None:
        """Wait for a slot.

        Args:
            timeout: Seconds to wait at most, or None.
            asked: When the call was made.
            policy: How it is retried.
            returning: Whether the call has had a slot before; such calls and new ones take turns.
            odd: Whether the API refuses it while others are served; such calls go last.

        Raises:
            RequestTimeoutError: No slot came in time; the phase is `queue`.
            ClientStateError: The client was closed meanwhile.
        """
        turn = self.queue(timeout, asked, policy, returning=returning, odd=odd)
        try:
            await turn
        except BaseException:
            self.leave(turn)
            raise

    def queue(
        self,
        timeout: float | None,
        asked: float = 0.0,
        policy: RetryPolicy = ANY_POLICY,
        *,
        returning: bool = False,
        odd: bool = False,
    ) -> Turn:
        """Join the queue, as `acquire` does, without a coroutine for each waiter.

        Returns:
            A future to await: its result is a slot. A caller that gets an exception from it must call `leave`.
        """
        loop = self._loop = self._loop or asyncio.get_running_loop()
        turn = Turn(loop=loop)
        turn.asked, turn.policy, turn.timeout = asked, policy, timeout
        self._waiting.join(turn, is_returning=returning, is_odd=odd)
        if self._controller.in_flight < self._limit:
            self._serve()
        if timeout is not None:
            timer = loop.call_later(timeout, time_is_up, turn, timeout)
            turn.add_done_callback(lambda _: timer.cancel())
        return turn

    def leave(self, turn: Turn) -> None:
        """Leave the queue; a slot that came in the same moment is passed on."""
        if not turn.cancel() and not turn.cancelled() and turn.exception() is None:
            self.release()
        self._waiting.drop()
        if not self._waiting.count:
            self._stop_timer()

    def release(self) -> None:
        """Release a slot; the call that has waited longest gets it next."""
        self._controller.in_flight -= 1
        if self._waiting.count:
            self._serve()

    def answered_well(self, ticket: Ticket) -> None:
        """Learn from a request that was answered, whatever the answer, as long as the API did not refuse it."""
        if not self._controller.granted_openly(ticket):
            self._controller.granted(ticket, self._time())
            if self._waiting.count:
                self._serve()

    def throttled(self, ticket: Ticket, hold: float) -> Known | None:
        """Learn from a request that was refused because of a limit, or of the API's load.

        Args:
            ticket: The value of `ticket` when it had got its slot.
            hold: Seconds that the API asks to wait; 0 if it does not say.
        """
        return self._controller.refused(ticket, hold, self._time())

    def retract(self, known: Known) -> None:
        """Forget what was learned from a refusal that concerned its own call only."""
        self._controller.retract(known)
        self.serve()

    def hold_back(self, seconds: float) -> None:
        """Give out no slot for so long, unless that is so already."""
        if seconds > 0.0:
            self._controller.hold_back(seconds, self._time())

    def hold_arrivals(self, gate: Gate | None) -> None:
        """Let this decide when a call gets a slot that was not sent yet; None lets all go."""
        self._waiting.hold_back(gate)
        if gate is not None:
            self._controller.is_down()
        self.serve()

    def serve(self) -> None:
        """Give out slots again, since a call may have to wait for less time than it seemed."""
        self._stop_timer()
        if self._waiting.count:
            self._serve()

    def close(self) -> None:
        """End every wait with a ClientStateError."""
        for turn in self._waiting:
            if not turn.done():
                turn.set_exception(ClientStateError("the client was closed while this call waited for its turn"))
        self._waiting = Waiting()
        self._stop_timer()

    def _has_slot(self) -> bool:
        controller = self._controller
        return controller.in_flight < self._limit if controller.is_open else controller.is_free(self._time())

    def _take(self) -> None:
        self._controller.take(self._time())

    def _serve(self) -> None:
        """Give out the available slots, and set the timer for when the pace or the gate allows more."""
        waiting, held_back = self._waiting, 0.0
        while (turns := waiting.next(is_held=held_back > 0.0)) and (turns[0].done() or self._has_slot()):
            if waiting.gate is None or not waiting.is_gated(turns):
                self._give(waiting.pop(turns))
            elif isinstance(found := waiting.let_one_go(waiting.gate, self._time()), Turn):
                self._give(found)
            else:
                held_back = found
        if not waiting.count:
            self._stop_timer()
        else:
            now = self._time()
            due = self._controller.due(now)
            # Without one, the next release calls this method.
            if due < math.inf and (held_back > 0.0 or due > now):
                self._wake_at(max(now + held_back, due))

    def _wake_at(self, due: float) -> None:
        # One timer, which may expire too early after the pace was moved: then it is set again.
        if self._timer is not None and self._wakes <= due:
            return
        self._stop_timer()
        loop, now = asyncio.get_running_loop(), self._time()
        self._wakes = due
        self._timer = loop.call_later(min(due - now, _LONGEST_TIMER), self._ring, now, loop.time())

    def _give(self, turn: Turn) -> None:
        if not turn.done():
            self._take()
            turn.set_result(None)

    def _ring(self, since: float, began: float) -> None:
        # A clock of a test may stand still: who waits for this moment must not wait for ever.
        told = since + asyncio.get_running_loop().time() - began
        if told - self._time() > _ROUNDING:
            self._passed = told
        self._timer = None
        self._controller.opening.rings(self._time())
        self._serve()

    def _time(self) -> float:
        return max(self._now(), self._passed)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
