"""Where results wait for whoever takes them."""

import asyncio
from collections import deque
from collections.abc import Sequence

from thredfi_async.bulk.items import ArchiveResult


class Outlet:
    """Results, in the order in which they came about; bounded by what the engine lets in."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._results: deque[ArchiveResult] = deque()
        self._consumer: asyncio.Future[None] | None = None
        self._ended = False
        self.error: BaseException | None = None

    def __len__(self) -> int:
        """Count what waits."""
        return len(self._results)

    def publish(self, results: Sequence[ArchiveResult]) -> None:
        """Take results."""
        self._results.extend(results)
        self._tell()

    def end(self) -> None:
        """Say that none will come any more."""
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
