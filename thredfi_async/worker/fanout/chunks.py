"""Items for many tasks at once, a chunk of them at a time, prepared in a thread."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from thredfi_async.bulk import ArchiveItem
from thredfi_async.bulk.intake import Items, intake_of

CHUNK: Final = 500

Prepare = Callable[[Sequence[ArchiveItem]], Sequence[ArchiveItem]]
"""Is given each chunk in a thread, and returns what is to be handed out of it."""


class Feed:
    """Hands out items to any number of tasks; make it in a running event loop.

    Args:
        items: Any iterable of items.
        prepare: Is given each chunk of them.
        chunk: Items in a chunk at most.

    Attributes:
        ended: Whether the items were read to their end.
    """

    def __init__(self, items: Items, *, prepare: Prepare, chunk: int = CHUNK) -> None:
        self.ended: bool = False
        self._intake = intake_of(items)()
        self._prepare = prepare
        self._chunk = chunk
        self._ready: deque[ArchiveItem] = deque()
        self._lock = asyncio.Lock()
        self._stopped = asyncio.Event()

    async def take(self) -> ArchiveItem | None:
        """Return the next item, or None when there is none, or when no more are wanted."""
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
        """Hand out nothing more; nobody waits for a source that is silent."""
        self._stopped.set()

    def left(self) -> list[ArchiveItem]:
        """Return what was prepared and not handed out."""
        return list(self._ready)

    async def aclose(self) -> None:
        """Read no further."""
        await self._intake.aclose()

    async def _fill(self) -> None:
        reading = asyncio.ensure_future(self._intake.take(self._chunk))
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
