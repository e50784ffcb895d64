"""Signals: the first lets a run drain, the second ends it at once."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Generator
from typing import Any, Final

_NAMES: Final = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP


class Interruption:
    """What signals have asked for so far.

    Args:
        drain: Lets the run take no new items and end those in flight.
        cancel: Ends the run at once.

    Attributes:
        by: The first signal's name, or None if none came.
        at_once: Whether there was a second one.
    """

    def __init__(self, drain: Callable[[str], object], cancel: Callable[[], object]) -> None:
        """Wait for signals."""
        self.by: str | None = None
        self.at_once: bool = False
        self._drain, self._cancel = drain, cancel

    def take(self, name: str) -> None:
        """Take a signal."""
        if self.by is None:
            self.by = name
            self._drain(name)
        elif not self.at_once:
            self.at_once = True
            self._cancel()


@contextlib.contextmanager
def listening(interruption: Interruption) -> Generator[None]:
    """Pass signals to it for as long as this lasts; call it in the running loop.

    A signal that the process was told to ignore, as `nohup` does with SIGHUP, stays ignored.

    Args:
        interruption: Takes them.

    Yields:
        Nothing.
    """
    loop = asyncio.get_running_loop()
    taken: list[tuple[signal.Signals, Any]] = []
    for name in _NAMES:
        number = getattr(signal, name, None)
        if number is None or signal.getsignal(number) is signal.SIG_IGN:
            continue
        # On Windows, and outside of the main thread, loops take none: Ctrl-C then cancels the run at once.
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            before = signal.getsignal(number)
            loop.add_signal_handler(number, interruption.take, name)
            taken.append((number, before))
    try:
        yield
    finally:
        for number, before in taken:
            loop.remove_signal_handler(number)
            signal.signal(number, before if before is not None else signal.SIG_DFL)
