"""The event loops of the tests: on a slow machine, their time is slow too.

A test whose server hangs gives the call 50 ms, and means: long enough for the request to arrive. On a machine that
stalls, real time is over before the request was sent, and the call ends in another way. On these loops, one iteration
adds a millisecond to the time at most, however long it took. So 50 ms are at least 50 iterations, in which all that can
happen without waiting does happen; where the machine is fast, they are 50 ms.

What other processes and threads do takes real time, and needs bounds that are never reached.
"""

import asyncio
import heapq
import math
import selectors
import sys
import time
from collections.abc import Callable
from contextvars import Context
from typing import Any, Final, TypeVarTuple

Ts = TypeVarTuple("Ts")

_TICK: Final = 0.001
"""Seconds that an iteration of a loop adds to its time at most; also the unit in which uvloop's timers count."""


class _Selector(selectors.DefaultSelector):
    """A selector that waits for a tick at most, and tells a time to which each call adds a tick at most."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self._last = time.monotonic()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(_TICK if timeout is None else min(timeout, _TICK))
        last, self._last = self._last, time.monotonic()
        self.now += min(self._last - last, _TICK)
        return ready


class AsyncioLoop(asyncio.SelectorEventLoop):
    """The loop of asyncio, on its selector's time."""

    def __init__(self) -> None:
        self._own_selector = _Selector()
        super().__init__(self._own_selector)

    def time(self) -> float:
        return self._own_selector.now


FACTORIES: Final[dict[str, Callable[[], asyncio.AbstractEventLoop]]] = {"asyncio": AsyncioLoop}
"""The loops by name."""

if sys.platform != "win32":
    import uvloop

    class UvloopLoop(uvloop.Loop):
        """The loop of uvloop, on the time of a timer that is set again for each tick: libuv's time is real."""

        def __init__(self) -> None:
            super().__init__()
            self.slow_callback_duration = math.inf  # in debug mode, it would measure real time
            self._now = super().time()
            self._timers: list[asyncio.TimerHandle] = []
            super().call_later(_TICK, self._tick)

        def time(self) -> float:
            return self._now

        def call_later(
            self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
        ) -> Any:
            return self.call_at(self._now + delay, callback, *args, context=context)

        def call_at(
            self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
        ) -> Any:
            if when <= self._now + _TICK / 2:
                return self.call_soon(callback, *args, context=context)
            timer = asyncio.TimerHandle(when, callback, args, self, context)
            heapq.heappush(self._timers, timer)
            return timer

        def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
            """Leave a timer that is cancelled in the heap, until it is due."""

        def _tick(self) -> None:
            self._now += _TICK
            # A timer may be early by half a millisecond, as uvloop's own.
            while self._timers and self._timers[0].when() <= self._now + _TICK / 2:
                self.call_soon(_ring, heapq.heappop(self._timers))
            super().call_later(_TICK, self._tick)

    def _ring(timer: asyncio.TimerHandle) -> None:
        if not timer.cancelled():
            timer._run()

    FACTORIES["uvloop"] = UvloopLoop


def loop_name() -> str:
    """Return the name of the running loop's kind."""
    loop = asyncio.get_running_loop()
    (name,) = (name for name, kind in FACTORIES.items() if type(loop) is kind)
    return name
