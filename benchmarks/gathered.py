"""Gathers many calls at once, or bare waiting tasks, in this process; prints memory and stalls as JSON.

Both get the same wrapper, which drops the results: a list of 100,000 customers is not part of a waiting call.
"""

import argparse
import asyncio
import gc
import json
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import cycle
from typing import Any, Final
from uuid import UUID

from measure import loop_factory, peak_memory
from work import BUSINESS, TOKEN, works

from thredfi_async import CustomerRequest, ThredfiClient, Timeouts

_BEAT: Final = 0.001
_WARM_UP: Final = 300
_TOGETHER: Final = 100

Start = Callable[[UUID, CustomerRequest], Coroutine[Any, Any, object]]


class Stalls:
    """Checks the event loop every millisecond, and keeps the longest delay."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time()
        self._timer = self._loop.call_soon(self._beat)

    def _beat(self) -> None:
        now = self._loop.time()
        self.longest = max(self.longest, now - self._due)
        self._due = now + _BEAT
        self._timer = self._loop.call_at(self._due, self._beat)

    def stop(self) -> float:
        """Stop checking, and return the longest delay in seconds."""
        self._timer.cancel()
        return self.longest


@asynccontextmanager
async def client_calls(url: str) -> AsyncGenerator[tuple[Start, Callable[[], None]]]:
    """Calls through one client, which is warmed up first."""
    async with ThredfiClient(TOKEN, base_url=url, timeouts=Timeouts(deadline=None)) as client:

        def start(customer: UUID, request: CustomerRequest) -> Coroutine[Any, Any, object]:
            return client.customers.archive(BUSINESS, customer, request)

        (first, *_) = works()
        request = CustomerRequest(**first.fields)
        await asyncio.gather(*(start(first.customer_id, request) for _ in range(_WARM_UP)))
        yield start, lambda: None


@asynccontextmanager
async def bare_tasks(url: str) -> AsyncGenerator[tuple[Start, Callable[[], None]]]:
    """Tasks that wait in a queue, and are released like calls: not all at once, which would be their longest stall."""
    del url
    loop = asyncio.get_running_loop()
    turns: deque[asyncio.Future[None]] = deque()

    async def wait(customer: UUID, request: CustomerRequest) -> object:
        del customer, request
        turns.append(turn := loop.create_future())
        return await turn

    def let_go() -> None:
        for _ in range(min(_TOGETHER, len(turns))):
            turns.popleft().set_result(None)
        if turns:
            loop.call_soon(let_go)

    yield wait, let_go


async def _drop(call: Awaitable[object]) -> None:
    await call


async def gathered(
    kind: Callable[[str], AbstractAsyncContextManager[tuple[Start, Callable[[], None]]]], url: str, count: int
) -> dict[str, float]:
    """Gather this many, and return the memory of each and the longest stall of the loop."""
    requests = [CustomerRequest(**work.fields) for work in works()]
    ids = [UUID(int=number << 64 | number, version=4) for number in range(count)]
    async with kind(url) as (start, go):
        gc.collect()
        before = peak_memory()
        stalls = Stalls()
        await asyncio.sleep(_BEAT * 5)
        everything = asyncio.gather(*(_drop(start(*each)) for each in zip(ids, cycle(requests), strict=False)))
        await asyncio.sleep(_BEAT * 5)
        go()
        await everything
        return {"memory": (peak_memory() - before) / count, "stall": stalls.stop()}


def main() -> None:
    """Gather, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("thredfi", "bare"))
    parser.add_argument("url")
    parser.add_argument("count", type=int)
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    options = parser.parse_args()
    kind = {"thredfi": client_calls, "bare": bare_tasks}[options.kind]
    with asyncio.Runner(loop_factory=loop_factory(options.loop)) as runner:
        print(json.dumps(runner.run(gathered(kind, options.url, options.count))))


if __name__ == "__main__":
    main()
