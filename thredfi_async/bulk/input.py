"""Reads items ahead from any iterable, asynchronous or not, so that neither side waits for the other."""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable
from typing import Any, Final, Protocol

from thredfi_async import InvalidRequestError
from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.items import ArchiveItem

_AHEAD: Final = 512
_PARTING: Final = 1.0
"""Seconds that a thread has to end; one that hangs in a read of a pipe is abandoned."""

Items = Iterable[ArchiveItem] | AsyncIterable[ArchiveItem]


class Input(Protocol):
    """Gives items as they arrive."""

    async def take(self, most: int) -> list[ArchiveItem]:
        """Wait for an item, and return all that are there, so many at most; none at the end, and once it is stopped.

        Raises:
            Exception: The iterable's own error, once all items before it were taken.
        """
        ...

    def stop(self) -> None:
        """Give no more items."""
        ...

    async def aclose(self) -> None:
        """Stop reading."""
        ...


def input_of(items: Items) -> Callable[[], Input]:
    """Choose how to read an iterable.

    Args:
        items: A synchronous one, which a thread reads, or an asynchronous one.

    Returns:
        A function that starts to read it.

    Raises:
        InvalidRequestError: It is neither.
    """
    if isinstance(items, AsyncIterable):
        return lambda: _TaskInput(items)
    if isinstance(items, Iterable):
        return lambda: _ThreadInput(items)
    raise InvalidRequestError([f"items: must be an iterable of ArchiveItem, not {type(items).__name__}"])


def _checked(item: object) -> ArchiveItem:
    if not isinstance(item, ArchiveItem):
        raise InvalidRequestError([f"items: must give ArchiveItem, not {type(item).__name__}"])
    return item


def _broke_off(error: BaseException) -> Exception:
    """Return the error to raise for what ended a source: what looks like an end, or ends programs, is an error too."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration | StopAsyncIteration):
        return error
    broken = SourceError(
        f"the source of items ended with {type(error).__name__}, not at its end: what it gave before is dealt with; "
        "resume with the whole source"
    )
    broken.__cause__ = error
    return broken


class _Buffer:
    """The items that were read ahead, on the event loop's side."""

    def __init__(self) -> None:
        self.items: deque[ArchiveItem] = deque()
        self.error: Exception | None = None
        self.news = asyncio.Event()
        self.is_stopped = False

    def take(self, most: int) -> list[ArchiveItem]:
        if self.is_stopped:
            return []
        taken = [self.items.popleft() for _ in range(min(most, len(self.items)))]
        if not taken and self.error is not None:
            raise self.error
        return taken

    def stop(self) -> None:
        self.is_stopped = True
        self.news.set()


class _ThreadInput:
    """Reads in its own thread, not in a pool's: the interpreter would wait for that at exit."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = items
        self._loop = asyncio.get_running_loop()
        self._buffer = _Buffer()
        self._ended = self._stopped = self._hungry = False
        self._room = threading.Event()
        self._thread = threading.Thread(target=self._read, name="thredfi-bulk-items", daemon=True)
        self._thread.start()

    async def take(self, most: int) -> list[ArchiveItem]:
        buffer = self._buffer
        while not buffer.items and not self._ended and not buffer.is_stopped:
            buffer.news.clear()
            self._hungry = True
            # Check again after setting the flag: the thread appends first, and reads the flag afterwards.
            if not buffer.items and not self._ended:
                await buffer.news.wait()
        taken = buffer.take(most)
        self._room.set()
        return taken

    def stop(self) -> None:
        self._buffer.stop()

    async def aclose(self) -> None:
        self._stopped = True
        self._room.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PARTING):
                while not self._ended:
                    self._buffer.news.clear()
                    self._hungry = True
                    if not self._ended:
                        await self._buffer.news.wait()
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
        except BaseException as error:  # noqa: BLE001 - it is raised where the items are taken; no thread is to end so
            self._buffer.error = _broke_off(error)
        finally:
            self._ended = True
            self._tell()

    def _put(self, item: ArchiveItem) -> None:
        items = self._buffer.items
        items.append(item)
        if self._hungry:
            self._hungry = False
            self._tell()
        while len(items) >= _AHEAD and not self._stopped:
            self._room.clear()
            if len(items) >= _AHEAD and not self._stopped:
                self._room.wait()

    def _tell(self) -> None:
        # The loop may be closed by the time that a read comes back.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._buffer.news.set)


class _TaskInput:
    """Reads in its own task, so that a slow iterable blocks nothing else."""

    def __init__(self, items: AsyncIterable[Any]) -> None:
        self._items = items
        self._buffer = _Buffer()
        self._room = asyncio.Event()
        self._is_closing = False
        self._task = asyncio.create_task(self._read())
        self._task.add_done_callback(lambda _: self._buffer.news.set())

    async def take(self, most: int) -> list[ArchiveItem]:
        buffer = self._buffer
        while not buffer.items and not self._task.done() and not buffer.is_stopped:
            buffer.news.clear()
            await buffer.news.wait()
        taken = buffer.take(most)
        self._room.set()
        return taken

    def stop(self) -> None:
        self._buffer.stop()

    async def aclose(self) -> None:
        self._is_closing = True
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _read(self) -> None:
        try:
            iterator = aiter(self._items)
            try:
                async for item in iterator:
                    self._buffer.items.append(_checked(item))
                    self._buffer.news.set()
                    while len(self._buffer.items) >= _AHEAD:
                        self._room.clear()
                        await self._room.wait()
            finally:
                if isinstance(iterator, AsyncGenerator) and iterator is not self._items:
                    await iterator.aclose()
        except (KeyboardInterrupt, SystemExit) as error:
            # In a task, these would end the event loop.
            self._buffer.error = _broke_off(error)
        except BaseException as error:
            if self._is_closing:
                raise
            self._buffer.error = _broke_off(error)
