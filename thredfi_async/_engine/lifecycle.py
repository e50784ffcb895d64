"""Tracks which event loop and process a client belongs to, and which of its calls are in flight."""

import asyncio
import os
from collections.abc import Coroutine
from typing import Any, Protocol

from thredfi_async.errors import ClientStateError


class Interruptible(Protocol):
    """A call that can be ended from outside."""

    def interrupt(self) -> None:
        """End the call soon, with a ClientStateError for its caller."""


class Lifecycle:
    """Counts a client's calls in and out, and refuses calls that cannot work."""

    def __init__(self) -> None:
        """Start unbound; the first call decides the event loop and the process."""
        self.is_closed = False
        """Whether closing has finished."""
        self._running: set[Interruptible] = set()
        self._interrupted = False
        self._calls = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = 0
        self._closing = False
        self._idle: asyncio.Future[None] | None = None

    def enter(self) -> None:
        """Count a call in.

        Raises:
            ClientStateError: The client is closed, or this is not its event loop or process.
        """
        self.check_open()
        self._calls += 1

    def check_open(self) -> None:
        """Refuse a client that is closed, or not used in its own event loop and process.

        Raises:
            ClientStateError: The client is closed, or this is not its event loop or process.
        """
        if self._closing:
            raise ClientStateError("this client is closed; make a new one, or close it only after its last call")
        if self._process != os.getpid() or self._loop is not asyncio.get_running_loop():
            self.check_home()

    def started(self, call: Interruptible) -> None:
        """Register a call that has had its first turn; until then, the limiter ends it."""
        self._running.add(call)
        if self._interrupted:
            call.interrupt()

    def leave(self, call: Interruptible | None) -> None:
        """Count a call out."""
        if call is not None:
            self._running.discard(call)
        self._calls -= 1
        if self._calls == 0 and self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def check_home(self) -> None:
        """Refuse a process or event loop that is not the client's own.

        Raises:
            ClientStateError: The process or event loop is another one.
        """
        # The process first: in a child forked from a running loop, Python finds no loop at all.
        if self._loop is not None and self._process != (process := os.getpid()):
            msg = f"this client belongs to process {self._process}; make one for process {process}, forked from it"
            raise ClientStateError(msg)
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop, self._process = loop, os.getpid()
        elif self._loop is not loop:
            raise ClientStateError("this client belongs to another event loop; make one client for each asyncio.run()")

    def close(self) -> None:
        """Refuse calls from now on."""
        self._closing = True

    def interrupt(self) -> None:
        """End every call in flight."""
        self._interrupted = True
        for call in tuple(self._running):
            call.interrupt()

    async def drain(self, seconds: float | None) -> bool:
        """Wait until no call is in flight.

        Args:
            seconds: How long at most, or None for no bound.

        Returns:
            Whether all calls have ended.
        """
        if self._calls == 0:
            return True
        if self._idle is None or self._idle.done():
            self._idle = asyncio.get_running_loop().create_future()
        done, _ = await asyncio.wait([self._idle], timeout=seconds)
        return bool(done)


async def to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Await this to its end, however often the caller is cancelled; then the cancellation goes on."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    await task
