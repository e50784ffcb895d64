"""The deadlines of a client's calls, all on one timer, since nearly every call ends long before its deadline."""

import asyncio
from types import TracebackType
from typing import Self


class Deadlines:
    """Expires the deadlines of scopes, each as `asyncio.timeout_at` would.

    `asyncio.timeout_at` sets and cancels a timer for each scope, and enters it with two coroutines: a tenth of the
    cost of a call. Here a timer is set only for the earliest deadline.
    """

    def __init__(self) -> None:
        """Start without a timer."""
        self._waiting: dict[Deadline, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def scope(self) -> "Deadline":
        """Return a scope whose deadline is not set yet."""
        return Deadline(self)

    def close(self) -> None:
        """Stop the timer; no scope may still be open."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def schedule(self, deadline: "Deadline", when: float | None) -> None:
        """Let a deadline expire at this time of the event loop's clock, or never; the last call wins."""
        if when is None:
            self._waiting.pop(deadline, None)
            return
        self._waiting[deadline] = when
        if self._timer is None or when < self._due:
            self._set_timer(when)

    def _set_timer(self, when: float) -> None:
        self.close()
        self._due = when
        self._timer = asyncio.get_running_loop().call_at(when, self._expire)

    def _expire(self) -> None:
        self._timer = None
        for deadline in [deadline for deadline, when in self._waiting.items() if when <= self._due]:
            del self._waiting[deadline]
            deadline.expire()
        # The call that the timer was set for may have ended long ago.
        if self._waiting:
            self._set_timer(min(self._waiting.values()))


class Deadline:
    """A scope that is cut off when its deadline expires; it then raises a `TimeoutError`."""

    __slots__ = ("_cancelling", "_deadlines", "_expired", "_task")

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._expired = False

    def reschedule(self, when: float | None) -> None:
        """Expire at this time of the event loop's clock, or never."""
        self._deadlines.schedule(self, when)

    def expired(self) -> bool:
        """Return whether it has expired."""
        return self._expired

    def expire(self) -> None:
        """Cancel what the scope awaits."""
        self._expired = True
        self._task.cancel()

    def __enter__(self) -> Self:
        """Record the current task."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine of ours runs in a task
        self._task = task
        self._cancelling = task.cancelling()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Turn the scope's own cancellation into a TimeoutError, and no other."""
        self._deadlines.schedule(self, None)
        if self._expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error
