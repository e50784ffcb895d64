"""The background parts of a worker: each has a name, is started again when it fails, and shows that it goes on."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from thredfi_async import Clock
from thredfi_async._outcomes import raised_at

_SILENCE: Final = 60.0
_FAILURES: Final = 5
_WAIT_INITIAL: Final = 1.0
_WAIT_MAX: Final = 30.0

logger: logging.Logger = logging.getLogger("thredfi_async.worker")


class Part:
    """One part: what it does is bounded in time, or it rests until something happens.

    Args:
        name: Its name, for people.
        clock: Tells the time.

    Attributes:
        failures: Failures in a row.
        failed_at: When the last one was.
    """

    def __init__(self, name: str, clock: Clock) -> None:
        self.name: str = name
        self.failures: int = 0
        self.failed_at: float = 0.0
        self._clock = clock
        self._beat: float | None = None

    def beat(self) -> None:
        """Begin a step that takes less than a minute."""
        self._beat = self._clock.monotonic()

    def rests(self) -> None:
        """Begin to wait for something that may never happen."""
        self._beat = None

    @property
    def silence(self) -> float:
        """Seconds since the current step began; 0 while the part rests."""
        return 0.0 if self._beat is None else self._clock.monotonic() - self._beat


class Supervisor:
    """Runs parts, starts those that fail again, and tells which have come to a halt.

    Args:
        clock: Tells the time, and sleeps before a part is started again.
        on_failure: Called with the name of a part that failed.
    """

    def __init__(self, clock: Clock, *, on_failure: Callable[[str], None] = lambda _: None) -> None:
        self._clock = clock
        self._on_failure = on_failure
        self._parts: dict[str, Part] = {}

    async def run(self, name: str, work: Callable[[Part], Awaitable[None]]) -> None:
        """Run a part until it returns, and again whenever it raises.

        Args:
            name: Its name.
            work: The part.
        """
        part = self._parts[name] = Part(name, self._clock)
        try:
            while True:
                part.beat()
                began = self._clock.monotonic()
                try:
                    return await work(part)
                except Exception as error:
                    if (task := asyncio.current_task()) is not None and task.cancelling():
                        raise  # it failed at its end, which must not become another beginning
                    if self._clock.monotonic() - began > _SILENCE:
                        part.failures = 0
                    part.failures, part.failed_at = part.failures + 1, self._clock.monotonic()
                    wait = min(_WAIT_MAX, _WAIT_INITIAL * 2.0 ** (part.failures - 1))
                    # Without its text, which may quote personal data.
                    logger.error("the part %r failed with %s; starting it again in %g s", name, raised_at(error), wait)  # noqa: TRY400 - as above
                    self._on_failure(name)
                part.beat()
                await self._clock.sleep(wait)
        finally:
            del self._parts[name]

    def troubles(self) -> list[str]:
        """Return which parts do not go on, and so why the process should be restarted; empty while all do."""
        halted = [
            f"the part {part.name!r} has not gone on for {part.silence:.0f} s"
            for part in self._parts.values()
            if part.silence > _SILENCE
        ]
        failing = [
            f"the part {part.name!r} has failed {part.failures} times in a row"
            for part in self._parts.values()
            if part.failures >= _FAILURES and self._clock.monotonic() - part.failed_at <= _SILENCE
        ]
        return halted + failing
