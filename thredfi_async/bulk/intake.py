"""Reads items ahead from any iterable, asynchronous or not, so that neither side waits for the other."""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable
from typing import Any, Final, Protocol

from thredfi_async import InvalidRequestError
from thredfi_async.bulk.items import ArchiveItem

_AHEAD: Final = 512
_PARTING: Final = 1.0
"""Seconds that a thread has to end; one that hangs in a read of a pipe is abandoned."""

Items = Iterable[ArchiveItem] | AsyncIterable[ArchiveItem]


class Intake(Protocol):
    """Gives items as they arrive."""

    async def take(self, most: int) -> list[ArchiveItem]:
        """Wait for an item, and return all that are there, so many at most; none at the end.

        Raises:
            Exception: The iterable's own error, once all items before it were taken.
        """
        ...

    async def aclose(self) -> None:
        """Stop reading."""
        ...


def intake_of(items: Items) -> Callable[[], Intake]:
    """Choose how to read an iterable.

    Args:
        items: A synchronous one, which a thread reads, or an asynchronous one.

    Returns:
        A function that starts to read it.

    Raises:
        InvalidRequestError: It is neither.
    """
    if isinstance(items, AsyncIterable):
        return lambda: _TaskIntake(items)
    if isinstance(items, Iterable):
        return lambda: _ThreadIntake(items)
    raise InvalidRequestError([f"items: must be an iterable of ArchiveItem, not {type(items).__name__}"])


def _checked(item: object) -> ArchiveItem:
    if not isinstance(item, ArchiveItem):
        raise InvalidRequestError([f"items: must give ArchiveItem, not {type(item).__name__}"])
    return item


class _ThreadIntake:
    """Reads in its own thread, not in a pool's: the interpreter would wait for that at exit."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = items
        self._loop = asyncio.get_running_loop()
        self._buffer: deque[ArchiveItem] = deque()
        self._error: Exception | None = None
        self._ended = self._stopped = self._hungry = False
        self._news = asyncio.Event()
        self._room = threading.Event()
        self._thread = threading.Thread(target=self._read, name="thredfi-bulk-items", daemon=True)
        self._thread.start()

    async def take(self, most: int) -> list[ArchiveItem]:
        while not self._buffer and not self._ended:
            self._news.clear()
            self._hungry = True
            # Check again after setting the flag: the thread appends first, and reads the flag afterwards.
            if not self._buffer and not self._ended:
                await self._news.wait()
        taken = [self._buffer.popleft() for _ in range(min(most, len(self._buffer)))]
        self._room.set()
        if not taken and self._error is not None:
            raise self._error
        return taken

    async def aclose(self) -> None:
        self._stopped = True
        self._room.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PARTING):
                while not self._ended:
                    self._news.clear()
                    self._hungry = True
                    if not self._ended:
                        await self._news.wait()
        if self._ended:
            self._thread.join()

    def _read(self) -> None:
        try:
            iterator = iter(self._items)
            try:
                for item in iterator:
                    self._put(_checked(item))
                    if self._stopped:
                        break
            finally:
                # Close a generator that was made for this pass, and with it any file that it holds open.
                if isinstance(iterator, Generator) and iterator is not self._items:
                    iterator.close()
        except Exception as error:  # noqa: BLE001 - it is raised where the items are taken
            self._error = error
        finally:
            self._ended = True
            self._tell()

    def _put(self, item: ArchiveItem) -> None:
        self._buffer.append(item)
        if self._hungry:
            self._hungry = False
            self._tell()
        while len(self._buffer) >= _AHEAD and not self._stopped:
            self._room.clear()
            if len(self._buffer) >= _AHEAD and not self._stopped:
                self._room.wait()

    def _tell(self) -> None:
        # The loop may be closed by the time that a read comes back.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._news.set)


class _TaskIntake:
    """Reads in its own task, so that a slow iterable blocks nothing else."""

    def __init__(self, items: AsyncIterable[Any]) -> None:
        self._items = items
        self._buffer: deque[ArchiveItem] = deque()
        self._error: Exception | None = None
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._task = asyncio.create_task(self._read())

    async def take(self, most: int) -> list[ArchiveItem]:
        while not self._buffer and not self._task.done():
            self._news.clear()
            await self._news.wait()
        taken = [self._buffer.popleft() for _ in range(min(most, len(self._buffer)))]
        self._room.set()
        if not taken and self._error is not None:
            raise self._error
        return taken

    async def aclose(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _read(self) -> None:
        iterator = aiter(self._items)
        try:
            async for item in iterator:
                self._buffer.append(_checked(item))
                self._news.set()
                while len(self._buffer) >= _AHEAD:
                    self._room.clear()
                    await self._room.wait()
        except Exception as error:  # noqa: BLE001 - it is raised where the items are taken
            self._error = error
        finally:
            if isinstance(iterator, AsyncGenerator) and iterator is not self._items:
                await iterator.aclose()
            asyncio.get_running_loop().call_soon(self._news.set)
