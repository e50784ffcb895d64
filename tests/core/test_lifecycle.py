"""Which loop and process a client belongs to, and how its calls end."""

import asyncio
import os

import pytest

from thredfi_async import ClientStateError
from thredfi_async._engine.lifecycle import Lifecycle

CLOSED = "^this client is closed; make a new one, or close it only after its last call$"


class Running:
    """A call that counts how often it was interrupted."""

    def __init__(self) -> None:
        self.interrupted = 0

    def interrupt(self) -> None:
        self.interrupted += 1


async def test_calls_go_in_and_out() -> None:
    """Without a call in flight there is nothing to wait for."""
    lifetime = Lifecycle()
    assert await lifetime.drain(0)
    call = Running()
    lifetime.enter()
    lifetime.started(call)
    assert not await lifetime.drain(0)
    lifetime.leave(call)
    assert await lifetime.drain(0)
    assert not lifetime.is_closed


async def test_a_call_that_waits_for_its_turn_counts() -> None:
    """Draining waits for a call that has entered, though there is nothing to interrupt yet."""
    lifetime = Lifecycle()
    lifetime.enter()
    assert not await lifetime.drain(0)
    lifetime.interrupt()
    lifetime.leave(Running())
    assert await lifetime.drain(0)


async def test_a_call_that_never_was_is_counted_out() -> None:
    """What fails before there is a call leaves too."""
    lifetime = Lifecycle()
    lifetime.enter()
    lifetime.leave(None)
    assert await lifetime.drain(0)


async def test_draining_waits_for_the_last_call() -> None:
    """Two waiters are notified at the same time, and a drain that timed out can be repeated."""
    lifetime = Lifecycle()
    calls = [Running(), Running()]
    for call in calls:
        lifetime.enter()
        lifetime.started(call)
    drains = [asyncio.create_task(lifetime.drain(seconds)) for seconds in (None, 60.0)]
    await asyncio.sleep(0)
    lifetime.leave(calls[0])
    await asyncio.sleep(0)
    assert not any(drain.done() for drain in drains)
    lifetime.leave(calls[1])
    assert await asyncio.gather(*drains) == [True, True]


async def test_draining_again() -> None:
    """A client that was idle can become busy, and idle again."""
    lifetime = Lifecycle()
    for _ in range(2):
        call = Running()
        lifetime.enter()
        drain = asyncio.create_task(lifetime.drain(None))
        await asyncio.sleep(0.001)
        assert not drain.done()
        lifetime.leave(call)
        assert await drain


async def test_a_closed_client_takes_no_calls() -> None:
    """Closing refuses new calls, not present ones."""
    lifetime = Lifecycle()
    lifetime.enter()
    lifetime.close()
    with pytest.raises(ClientStateError, match=CLOSED):
        lifetime.enter()
    lifetime.leave(Running())
    assert await lifetime.drain(0)


async def test_interrupting() -> None:
    """Every call in flight is interrupted once, one that has left is not, and one that starts later is at once."""
    lifetime = Lifecycle()
    early, gone, late = Running(), Running(), Running()
    for call in (early, gone):
        lifetime.enter()
        lifetime.started(call)
    lifetime.enter()
    lifetime.leave(gone)
    lifetime.interrupt()
    lifetime.started(late)
    assert (early.interrupted, gone.interrupted, late.interrupted) == (1, 0, 1)


async def test_calls_may_leave_while_they_are_interrupted() -> None:
    """A call that ends as soon as it is interrupted does not disturb the others."""
    lifetime = Lifecycle()

    class Leaving(Running):
        def interrupt(self) -> None:
            super().interrupt()
            lifetime.leave(self)

    calls = [Leaving() for _ in range(3)]
    for call in calls:
        lifetime.enter()
        lifetime.started(call)
    lifetime.interrupt()
    assert [call.interrupted for call in calls] == [1, 1, 1]
    assert await lifetime.drain(0)


def test_one_event_loop() -> None:
    """The first call decides the loop; from another, the message says what to do, even if the first is gone."""
    lifetime = Lifecycle()

    async def enter_and_leave() -> None:
        lifetime.enter()
        lifetime.leave(Running())

    asyncio.run(enter_and_leave())
    with pytest.raises(ClientStateError, match=r"^this client belongs to another event loop; make one client for each"):
        asyncio.run(enter_and_leave())


async def test_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A forked child, which inherits the loop's state, is refused with its process number."""
    lifetime = Lifecycle()
    lifetime.check_home()
    own = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: own + 1)
    with pytest.raises(
        ClientStateError, match=f"^this client belongs to process {own}; make one for process {own + 1}"
    ):
        lifetime.enter()
    monkeypatch.setattr(os, "getpid", lambda: own)
    lifetime.enter()


async def test_a_refused_call_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draining does not wait for a refused call."""
    lifetime = Lifecycle()
    lifetime.check_home()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(ClientStateError):
        lifetime.enter()
    assert await lifetime.drain(0)
