"""Takes signals in the running loop, in one way for every command that a signal ends in order."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Collection, Generator
from functools import partial
from typing import Any, Final

STOP: Final = ("SIGINT", "SIGTERM", "SIGBREAK")
"""Ctrl-C and a service manager's stop; on Windows also Ctrl-Break, which is what one program can send to another."""


@contextlib.contextmanager
def taking(names: Collection[str], take: Callable[[str], object]) -> Generator[None]:
    """Call `take` in the running loop with the name of each signal that comes, for as long as this lasts.

    A signal that the process was told to ignore, as `nohup` does with SIGHUP, stays ignored. Outside of the main thread
    no signal can be taken, and nothing fails for it.

    Args:
        names: The signals; one that the system does not have is left out.
        take: Takes the name.

    Yields:
        Nothing.
    """
    before: dict[signal.Signals, Any] = {}
    try:
        for name in names:
            number = getattr(signal, name, None)
            if number is None or signal.getsignal(number) is signal.SIG_IGN:
                continue
            found = signal.getsignal(number)
            with contextlib.suppress(RuntimeError, ValueError):  # outside of the main thread
                _take(number, partial(take, name))
                before[number] = found
        yield
    finally:
        for number, handler in before.items():
            with contextlib.suppress(NotImplementedError):
                asyncio.get_running_loop().remove_signal_handler(number)
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def _take(number: signal.Signals, call: Callable[[], object]) -> None:
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(number, call)
    except NotImplementedError:
        # The loops of Windows take no signals, but wake up for Python's own handlers. asyncio.run's handler, which this
        # one replaces, would cancel everything in flight at the first Ctrl-C.
        def pass_on(_: int, __: object) -> None:
            loop.call_soon_threadsafe(call)

        signal.signal(number, pass_on)
