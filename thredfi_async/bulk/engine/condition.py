"""One condition, on which all tasks of a run wait for a change of its state."""

import asyncio
from collections import deque


class Condition:
    """Wakes tasks that wait, one for each change.

    That is enough: a task that is woken, and finds something to do, wakes the next one before it does it. So while
    anything can be done and a task waits, one is on its way to do it; to wake all for each change would cost a hundred
    tasks a look at a state in which one of them finds something.

    asyncio's own cannot be notified from a synchronous function, in which all state changes.
    """

    def __init__(self) -> None:
        """Begin with no task waiting."""
        self._waiting: deque[asyncio.Future[None]] = deque()

    def notify(self) -> bool:
        """Wake the task that has waited longest; return whether there was one."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return True
        return False

    async def wait(self) -> None:
        """Wait to be woken."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.notify()  # it was woken in the same moment: another one takes its place
            raise
