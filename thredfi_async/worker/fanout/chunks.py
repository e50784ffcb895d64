"""Hands out items to many tasks, in chunks that a thread prepares."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from thredfi_async.bulk import ArchiveItem
from thredfi_async.bulk.input import Items, input_of

CHUNK: Final = 500

Prepare = Callable[[Sequence[ArchiveItem]], Sequence[ArchiveItem]]
"""Gets each chunk in a thread, and returns the items of it to hand out."""


class Feed:
    """Hands out items to any number of tasks; create it in a running event loop.

    Args:
        items: Any iterable of items.
        prepare: Prepares each chunk of them.
        chunk: Maximum items in a chunk.

    Attributes:
        ended: Whether the items were read to their end.
    """

    def __init__(self, items: Items, *, prepare: Prepare, chunk: int = CHUNK) -> None:
        self.ended: bool = False
        self._input = input_of(items)()
        self._prepare = prepare
        self._chunk = chunk
        self._ready: deque[ArchiveItem] = deque()
        self._lock = asyncio.Lock()
        self._stopped = asyncio.Event()

    async def take(self) -> ArchiveItem | None:
        """Return the next item, or None at the end or after `stop`."""
        while not self._stopped.is_set():
            if self._ready:
                return self._ready.popleft()
            async with self._lock:
                if self.ended:
                    return None
                if not self._ready:
                    await self._fill()
        return None

    def stop(self) -> None:
        """Hand out no more items; end all waits for a silent source."""
        self._stopped.set()

    def left(self) -> list[ArchiveItem]:
        """Return the items that were prepared and not handed out."""
        return list(self._ready)

    async def aclose(self) -> None:
        """Stop reading."""
        await self._input.aclose()

    async def _fill(self) -> None:
        reading = asyncio.ensure_future(self._input.take(self._chunk))
        stopping = asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait([reading, stopping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (reading, stopping):
                each.cancel()
        if reading.done() and not reading.cancelled():
            chunk = reading.result()
            self.ended = not chunk
            if chunk:
                self._ready.extend(await asyncio.to_thread(self._prepare, chunk))
