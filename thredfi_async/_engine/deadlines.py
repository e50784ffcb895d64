"""The deadlines of a client's calls, all on one timer: nearly every call ends long before its deadline."""

import asyncio
import heapq
from types import TracebackType
from typing import Final, Self

_FEW: Final = 64
"""Entries of the heap that may be out of date before it is cleaned."""


class Deadlines:
    """Expires the deadlines of scopes, each as `asyncio.timeout_at` would.

    `asyncio.timeout_at` sets and cancels a timer for each scope, and enters it with two coroutines: a tenth of the cost
    of a call. Here a timer is set only for a deadline that comes before all others. Entries of scopes that have ended
    or have another deadline by now stay in the heap until they are due, or until they are half of it.
    """

    def __init__(self) -> None:
        """Start without a timer."""
        self._heap: list[tuple[float, int, Deadline]] = []
        self._order = 0
        self._waiting = 0
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def scope(self) -> "Deadline":
        """Make a scope without a deadline."""
        return Deadline(self)

    def close(self) -> None:
        """Stop the timer; no scope may be open any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def schedule(self, deadline: "Deadline", when: float | None) -> None:
        """Let a deadline expire at this time of the event loop's clock, or never; the last call counts."""
        if deadline.when == when:
            return
        if deadline.when is not None:
            self._waiting -= 1
        deadline.when = when
        if when is not None:
            self._waiting += 1
            self._order += 1
            heapq.heappush(self._heap, (when, self._order, deadline))
        if len(self._heap) > 2 * self._waiting + _FEW:
            self._clean()
        if when is None:
            return
        if self._timer is None or when < self._due:
            self._set_timer(when)

    def _clean(self) -> None:
        self._heap = [entry for entry in self._heap if entry[2].when == entry[0]]
        heapq.heapify(self._heap)

    def _set_timer(self, when: float) -> None:
        self.close()
        self._due = when
        self._timer = asyncio.get_running_loop().call_at(when, self._expire)

    def _expire(self) -> None:
        self._timer = None
        # All that are due by now: the timer may be late.
        heap, due = self._heap, max(self._due, asyncio.get_running_loop().time())
        while heap and (heap[0][0] <= due or heap[0][2].when != heap[0][0]):
            when, _, deadline = heapq.heappop(heap)
            if deadline.when == when:
                self._waiting -= 1
                deadline.when = None
                deadline.expire()
        if heap:
            self._set_timer(heap[0][0])


class Deadline:
    """A scope that is cut off at its deadline; it ends in a `TimeoutError` then.

    Attributes:
        when: Its deadline, in the event loop's time; None without one.
    """

    __slots__ = ("_cancelling", "_deadlines", "_expired", "_task", "when")

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._expired = False
        self.when: float | None = None

    def reschedule(self, when: float | None) -> None:
        """Let it expire at this time of the event loop's clock, or never."""
        self._deadlines.schedule(self, when)

    def expired(self) -> bool:
        """Return whether it has expired."""
        return self._expired

    def expire(self) -> None:
        """Cut off what the scope awaits."""
        self._expired = True
        self._task.cancel()

    def __enter__(self) -> Self:
        """Remember the task whose scope it is."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine of ours runs in a task
        self._task = task
        self._cancelling = task.cancelling()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Turn its own cancellation into a TimeoutError, and no other."""
        self._deadlines.schedule(self, None)
        task = self._task
        # The heap may know this scope for a while yet, and must not keep what its task has come to.
        del self._task
        if self._expired and task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error
