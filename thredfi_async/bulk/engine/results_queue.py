"""The results queue: between a run and the one who iterates over it."""

import asyncio
from collections import deque
from collections.abc import Sequence

from thredfi_async.bulk.items import ArchiveResult


class ResultsQueue:
    """Queues results in the order in which they arrive; the scheduler bounds how many.

    Attributes:
        error: Why the run stops; raised once, after the last result.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._results: deque[ArchiveResult] = deque()
        self._consumer: asyncio.Future[None] | None = None
        self._ended = self._is_closed = False
        self.error: BaseException | None = None

    def publish(self, results: Sequence[ArchiveResult]) -> None:
        """Add results."""
        if not self._is_closed:
            self._results.extend(results)
            self._tell()

    def close(self) -> None:
        """Take no more results: the run was closed, and what was cut off is not given."""
        self._is_closed = True

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
