"""The results queue."""

import asyncio
from collections import deque
from collections.abc import Sequence

from thredfi_async.bulk.items import ArchiveResult


class Outlet:
    """Queues results in the order in which they arrive; the engine bounds how many."""

    def __init__(self) -> None:
        """Begin empty."""
        self._results: deque[ArchiveResult] = deque()
        self._consumer: asyncio.Future[None] | None = None
        self._ended = False
        self.error: BaseException | None = None

    def __len__(self) -> int:
        """Count the results that wait."""
        return len(self._results)

    def publish(self, results: Sequence[ArchiveResult]) -> None:
        """Add results."""
        self._results.extend(results)
        self._tell()

    def end(self) -> None:
        """Note that no more results will come."""
        self._ended = True
        self._tell()

    async def get(self) -> ArchiveResult | None:
        """Wait for the next result; None at the end.

        Raises:
            BaseException: Why the run stopped; once, after the last result.
        """
        while not self._results:
            if self._ended:
                error, self.error = self.error, None
                if error is not None:
                    raise error
                return None
            self._consumer = asyncio.get_running_loop().create_future()
            await self._consumer
        return self._results.popleft()

    def _tell(self) -> None:
        if self._consumer is not None and not self._consumer.done():
            self._consumer.set_result(None)
