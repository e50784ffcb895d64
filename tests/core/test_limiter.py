"""Slots: first come, first served; none lost and none given twice, whatever is cancelled, timed out or closed."""

import asyncio
import time
from collections.abc import Generator
from contextlib import contextmanager

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from thredfi_async import ClientStateError, RequestTimeoutError
from thredfi_async._engine.limiter import Limiter


async def settle() -> None:
    """Let the loop run everything that is ready."""
    for _ in range(5):
        await asyncio.sleep(0)


def full(limit: int = 1) -> Limiter:
    """Return a limiter without a free slot."""
    limiter = Limiter(limit, time.monotonic)
    for _ in range(limit):
        assert limiter.acquire_nowait()
    return limiter


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_as_many_slots_as_the_limit(limit: int) -> None:
    """Free slots are given at once, up to the limit."""
    limiter = full(limit)
    assert limiter.in_use == limit
    assert not limiter.acquire_nowait()
    limiter.release()
    assert limiter.in_use == limit - 1
    assert limiter.acquire_nowait()


async def test_a_free_slot_needs_no_wait() -> None:
    """Taking a free slot does not yield to the loop, so that no other caller can take it."""
    limiter = Limiter(1, time.monotonic)
    waiter = asyncio.create_task(limiter.acquire(None))
    await settle()
    assert waiter.done()
    assert limiter.in_use == 1


async def test_no_timer_is_left_once_no_call_waits() -> None:
    """The timer for when more may be sent ends with the last wait, even if that got a slot that was released."""
    limiter = Limiter(100, time.monotonic)
    while limiter.acquire_nowait():
        pass
    assert limiter.in_use < 100  # the opening holds the others back, for some time
    waiter = asyncio.create_task(limiter.acquire(None))
    await asyncio.sleep(0)
    assert limiter._timer is not None
    limiter.release()
    await waiter
    assert limiter._timer is None


async def test_first_come_first_served() -> None:
    """Turns come in the order of the requests for them."""
    limiter = full(2)
    order: list[int] = []

    async def wait(number: int) -> None:
        await limiter.acquire(None)
        order.append(number)

    tasks = [asyncio.create_task(wait(number)) for number in range(5)]
    await settle()
    for count in range(1, 6):
        limiter.release()
        await settle()
        assert order == list(range(count))
        assert limiter.in_use == 2
    await asyncio.gather(*tasks)


async def test_nobody_jumps_the_queue() -> None:
    """A slot that was given to a waiter cannot be taken before the waiter wakes up."""
    limiter = full()
    first = asyncio.create_task(limiter.acquire(None))
    await settle()
    limiter.release()
    assert not limiter.acquire_nowait()
    second = asyncio.create_task(limiter.acquire(None))
    await settle()
    assert (first.done(), second.done()) == (True, False)
    limiter.release()
    await second
    assert limiter.in_use == 1


async def test_a_cancelled_waiter_leaves_the_queue() -> None:
    """The slot of a cancelled waiter goes to the next one, and is free if there is none."""
    limiter = full()
    first, second = (asyncio.create_task(limiter.acquire(None)) for _ in range(2))
    await settle()
    first.cancel()
    await settle()
    assert first.cancelled()
    limiter.release()
    await second
    limiter.release()
    assert limiter.in_use == 0
    assert limiter.acquire_nowait()


async def test_a_slot_that_comes_with_the_cancellation_is_handed_on() -> None:
    """A waiter that is cancelled in the moment of its turn passes the slot on."""
    limiter = full()
    first, second = (asyncio.create_task(limiter.acquire(None)) for _ in range(2))
    await settle()
    limiter.release()
    first.cancel()
    await second
    assert first.cancelled()
    assert limiter.in_use == 1


async def test_the_last_waiter_gives_such_a_slot_back() -> None:
    """Without another waiter, the slot is free again."""
    limiter = full()
    only = asyncio.create_task(limiter.acquire(None))
    await settle()
    limiter.release()
    only.cancel()
    await settle()
    assert only.cancelled()
    assert limiter.in_use == 0


async def test_a_turn_that_never_came() -> None:
    """The timeout error says what was not done, and the queue forgets the waiter."""
    limiter = full()
    with pytest.raises(RequestTimeoutError, match=r"^no turn came within 0.01 s \(Timeouts.queue\); nothing") as raised:
        await limiter.acquire(0.01)
    assert raised.value.phase == "queue"
    assert limiter.in_use == 1
    limiter.release()
    assert limiter.in_use == 0


async def test_no_time_at_all() -> None:
    """A timeout of zero still takes a free slot, and otherwise does not wait."""
    limiter = Limiter(1, time.monotonic)
    await limiter.acquire(0.0)
    with pytest.raises(RequestTimeoutError):
        await limiter.acquire(0.0)


async def test_a_turn_in_time() -> None:
    """A turn in time cancels the timeout."""
    limiter = full()
    waiter = asyncio.create_task(limiter.acquire(60.0))
    await settle()
    limiter.release()
    await waiter
    assert limiter.in_use == 1


async def test_time_is_up_in_the_moment_of_the_turn() -> None:
    """The first of the turn and the timeout wins; here it is the turn."""
    limiter = full()
    waiter = asyncio.create_task(limiter.acquire(0.0))
    await asyncio.sleep(0)
    limiter.release()
    await waiter
    assert limiter.in_use == 1


async def test_time_is_up_before_the_turn_is_noticed() -> None:
    """If the turn has come before the timeout expires, it counts even if the waiter has not woken up yet."""
    limiter = full()
    # Both timers are due in the same iteration of the loop, this one first.
    asyncio.get_running_loop().call_later(0.0, limiter.release)
    await limiter.acquire(0.0)
    assert limiter.in_use == 1


async def test_cancelled_when_the_time_is_up() -> None:
    """A waiter that is cancelled in the moment of its timeout has no slot to pass on."""
    limiter = full()
    waiter = asyncio.create_task(limiter.acquire(0.001))
    await settle()
    loop = asyncio.get_running_loop()
    # Scheduled after the waiter's own timer, and so run before the waiter wakes up.
    loop.call_later(0.001, waiter.cancel)
    with pytest.raises((asyncio.CancelledError, RequestTimeoutError)):
        await waiter
    assert limiter.in_use == 1


async def test_closing_ends_every_wait() -> None:
    """Each waiter gets the error of a closed client; none is cancelled, and no slot is lost."""
    limiter = full()
    tasks = [asyncio.create_task(limiter.acquire(timeout)) for timeout in (None, 60.0, None)]
    await settle()
    tasks[2].cancel()
    limiter.close()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [ClientStateError, ClientStateError, asyncio.CancelledError]
    assert str(results[0]) == "the client was closed while this call waited for its turn"
    assert limiter.in_use == 1
    limiter.release()
    assert limiter.in_use == 0


async def test_cancelled_in_the_moment_of_closing() -> None:
    """A cancellation in the moment of closing stays a cancellation, and takes no slot."""
    limiter = full()
    waiter = asyncio.create_task(limiter.acquire(None))
    await settle()
    limiter.close()
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert limiter.in_use == 1


async def test_a_waiter_that_is_thrown_away() -> None:
    """A waiter that is closed without a cancellation leaves the queue as well."""
    limiter = full()
    waiter = limiter.acquire(None)
    waiter.send(None)
    waiter.close()
    limiter.release()
    assert (limiter.in_use, limiter.waiting) == (0, 0)


async def test_hundreds_share_a_few_slots() -> None:
    """However many calls wait, no more than the limit run at once, and all of them get a turn."""
    limiter, at_work, most, done = Limiter(10, time.monotonic), 0, 0, 0

    async def work() -> None:
        nonlocal at_work, most, done
        if not limiter.acquire_nowait():
            await limiter.acquire(None)
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0)
        at_work -= 1
        done += 1
        limiter.release()

    await asyncio.gather(*(work() for _ in range(500)))
    assert (most, done, limiter.in_use) == (10, 500, 0)


class Schedules(RuleBasedStateMachine):
    """Any schedule of arrivals, departures, cancellations and closing, compared with a plain list."""

    LIMIT = 2

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.limiter = Limiter(self.LIMIT, time.monotonic)
        self.holding = 0
        self.waiting: list[asyncio.Task[None]] = []

    @contextmanager
    def step(self) -> Generator[None]:
        """Let the loop become idle, then give the first waiters their turns."""
        yield
        self.loop.run_until_complete(settle())

    def serve(self) -> None:
        """Update which waiters must have a turn by now."""
        while self.waiting and self.holding < self.LIMIT:
            turn = self.waiting.pop(0)
            assert turn.done(), "a turn is due"
            assert turn.exception() is None
            self.holding += 1

    @rule()
    def comes(self) -> None:
        """Add a waiter."""
        with self.step():
            self.waiting.append(self.loop.create_task(self.limiter.acquire(None)))
        self.serve()

    @rule()
    def comes_without_patience(self) -> None:
        """Add a waiter that leaves unless a slot is free."""
        with self.step():
            waiter = self.loop.create_task(self.limiter.acquire(0.0))
        self.loop.run_until_complete(asyncio.wait([waiter]))
        if self.holding < self.LIMIT and not self.waiting:
            assert waiter.exception() is None
            self.holding += 1
        else:
            assert isinstance(waiter.exception(), RequestTimeoutError)

    @rule()
    def tries(self) -> None:
        """Try to take a slot without waiting."""
        free = self.holding < self.LIMIT and not self.waiting
        assert self.limiter.acquire_nowait() is free
        self.holding += free

    @precondition(lambda self: self.holding > 0)
    @rule()
    def leaves(self) -> None:
        """Release a slot."""
        with self.step():
            self.limiter.release()
            self.holding -= 1
        self.serve()

    @precondition(lambda self: len(self.waiting) > 0)
    @rule(data=st.data())
    def is_cancelled(self, data: st.DataObject) -> None:
        """Cancel one of the waiters."""
        with self.step():
            waiter = data.draw(st.sampled_from(self.waiting))
            self.waiting.remove(waiter)
            waiter.cancel()
        assert waiter.cancelled()

    @precondition(lambda self: len(self.waiting) > 0 and self.holding > 0)
    @rule()
    def is_cancelled_on_its_turn(self) -> None:
        """Cancel the first waiter just when its turn has come."""
        with self.step():
            self.limiter.release()
            self.holding -= 1
            waiter = self.waiting.pop(0)
            waiter.cancel()
        assert waiter.cancelled()
        self.serve()

    @rule()
    def closes(self) -> None:
        """Close, which ends every wait."""
        with self.step():
            self.limiter.close()
        for waiter in self.waiting:
            assert isinstance(waiter.exception(), ClientStateError)
        self.waiting.clear()

    @invariant()
    def counts(self) -> None:
        """The taken slots are exactly those of the served waiters."""
        assert self.limiter.in_use == self.holding <= self.LIMIT
        assert not any(waiter.done() for waiter in self.waiting)

    def teardown(self) -> None:
        """End the remaining waiters."""
        for waiter in self.waiting:
            waiter.cancel()
        self.loop.run_until_complete(settle())
        self.loop.close()


TestSchedules = Schedules.TestCase
TestSchedules.settings = settings(derandomize=True, deadline=None, max_examples=60, stateful_step_count=30)


async def test_a_clock_that_stands_still_keeps_no_one_waiting() -> None:
    """A cooldown is over when the loop's time says so, though the clock that was given tells no time."""
    limiter, loop = Limiter(2, lambda: 1000.0), asyncio.get_running_loop()
    limiter.hold_back(0.05)
    began = loop.time()
    await asyncio.gather(limiter.acquire(None), limiter.acquire(None))
    assert loop.time() - began >= 0.05 - 0.001
    assert limiter.in_use == 2
