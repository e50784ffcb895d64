"""A caller's clock, whose steps are not believed."""

import asyncio
import math

from thredfi_async._interfaces import Clock


class SteadyClock:
    """A clock that never goes back and never raises, whatever the one below it does.

    A clock is promised to be monotonic, but one that a caller gives may follow the wall clock, and that may be set back
    by years. Then its time goes on from where it was, and no wait becomes longer. While it raises, or tells what is no
    time, its time stands still: who waits for a turn is served from timers, where no one would hear of an exception.

    Args:
        clock: The caller's clock.
    """

    def __init__(self, clock: Clock) -> None:
        """Start at the clock's own time."""
        self._clock = clock
        self._seen = self._told = 0.0
        self._seen = self._told = self._read()

    def monotonic(self) -> float:
        """Return seconds that never step back."""
        now = self._read()
        # By how much it went on, and not by sums that are rounded.
        if now > self._seen:
            self._told = max(self._told, self._told + (now - self._seen))
        self._seen = now
        return self._told

    def _read(self) -> float:
        try:
            now = float(self._clock.monotonic())
        except Exception:  # noqa: BLE001 - whatever a caller's clock raises
            return self._seen
        return now if math.isfinite(now) else self._seen

    async def sleep(self, seconds: float) -> None:
        """Wait as the clock does."""
        due = self.monotonic() + seconds
        await self._clock.sleep(seconds)
        # A clock of a test may return at once, or stand still: the loop goes on, and so does the time.
        await asyncio.sleep(0)
        self._told = max(self.monotonic(), due)
