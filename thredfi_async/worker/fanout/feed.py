"""What a blocking iterator yields, read in a thread so that the event loop never waits for a disk."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")


class Feed(Generic[T]):
    """Hands out items to any number of tasks, and holds one chunk of them.

    Args:
        source: Yields the items; it is iterated over in threads, one at a time.
        prepare: Is given each chunk in the thread, and returns what is to be handed out of it.
        chunk: Items that are read at a time.
    """

    def __init__(
        self,
        source: Iterable[T],
        *,
        prepare: Callable[[Sequence[T]], Sequence[T]] = lambda chunk: chunk,
        chunk: int = 500,
    ) -> None:
        self._source = iter(source)
        self._prepare = prepare
        self._chunk = chunk
        self._ready: deque[T] = deque()
        self._lock = asyncio.Lock()
        self.ended = False
        """Whether the source was read to its end."""
        self._stopped = False

    async def take(self) -> T | None:
        """Return the next item, or None when there is none, or when no more are wanted."""
        while not self._stopped:
            if self._ready:
                return self._ready.popleft()
            async with self._lock:
                if self.ended:
                    return None
                if not self._ready and not self._stopped:
                    self._ready.extend(await asyncio.to_thread(self._read))
        return None

    def stop(self) -> None:
        """Hand out nothing more; what is held was not begun."""
        self._stopped = True

    def left(self) -> list[T]:
        """Return what was read and not handed out."""
        return list(self._ready)

    def _read(self) -> Sequence[T]:
        chunk = list(islice(self._source, self._chunk))
        self.ended = len(chunk) < self._chunk
        return self._prepare(chunk) if chunk else chunk
