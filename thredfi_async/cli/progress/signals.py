"""Signals: the first lets a run drain, the second ends it at once."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from thredfi_async.cli.signals import STOP, taking

_NAMES: Final = (*STOP, "SIGHUP")


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


def listening(interruption: Interruption) -> AbstractContextManager[None]:
    """Pass signals to it for as long as this lasts, and those of a closed terminal too; call it in the running loop."""
    return taking(_NAMES, interruption.take)
