"""One client at a limit, in its own process: `limited_work.py PEER URL ITEMS` archives, and prints what it took."""

import asyncio
import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final
from uuid import UUID

import aiohttp
import tenacity
from work import BUSINESS, TOKEN, works

from thredfi_async import Attempt, CustomerRequest, Event, ThredfiClient
from thredfi_async.bulk import ArchiveItem, ItemState, archive_many

_AT_ONCE: Final = 100
_REFUSED: Final = (429, 503)

Ending = tuple[int, int, str]
"""How many failed, how many requests were refused, and what was found."""


class Refusals:
    """A hook that counts refused requests."""

    def __init__(self) -> None:
        self.count = 0

    def on_event(self, event: Event, /) -> None:
        """Count one."""
        self.count += isinstance(event, Attempt) and event.status in _REFUSED


def _customers(items: int) -> list[UUID]:
    return [UUID(int=number << 64 | number, version=4) for number in range(items)]


async def gathered(url: str, items: int) -> Ending:
    """Gather all calls at once."""
    body = CustomerRequest(**works()[0].fields)
    refusals = Refusals()
    async with ThredfiClient(TOKEN, base_url=url, hooks=[refusals]) as client:
        calls = (client.customers.archive(BUSINESS, customer, body) for customer in _customers(items))
        results = await asyncio.gather(*calls, return_exceptions=True)
        failed = sum(isinstance(result, BaseException) for result in results)
        return failed, refusals.count, getattr(client.limits, "found", None) or ""


async def bulk(url: str, items: int) -> Ending:
    """Archive all with `archive_many`."""
    body, failed = CustomerRequest(**works()[0].fields), 0
    lines = (ArchiveItem(BUSINESS, customer, body) for customer in _customers(items))
    refusals = Refusals()
    async with ThredfiClient(TOKEN, base_url=url, hooks=[refusals]) as client:
        async with archive_many(client, lines) as run:
            async for result in run:
                failed += result.state is not ItemState.ARCHIVED
        return failed, refusals.count, getattr(client.limits, "found", None) or ""


async def by_hand(url: str, items: int, at_once: int = _AT_ONCE) -> Ending:
    """Post with aiohttp, a semaphore and tenacity, as people write it."""
    refused = 0
    turns, body = asyncio.Semaphore(at_once), json.dumps(works()[0].fields)
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}

    @tenacity.retry(wait=tenacity.wait_random_exponential(0.5, 10), stop=tenacity.stop_after_attempt(50))
    async def post(customer: UUID) -> None:
        nonlocal refused
        path = f"{url}/v1/platform/businesses/{BUSINESS}/customers/{customer}/archive/"
        async with turns, session.post(path, data=body, headers=headers) as response:
            await response.read()
            refused += response.status in _REFUSED
            response.raise_for_status()

    async with aiohttp.ClientSession() as session:
        results = await asyncio.gather(*map(post, _customers(items)), return_exceptions=True)
    return sum(isinstance(result, BaseException) for result in results), refused, ""


async def in_company(url: str, seconds: int) -> None:
    """Archive for so many seconds, and print how many were granted in each second of the clock, and refused."""
    body, granted, refused = CustomerRequest(**works()[0].fields), Counter[int](), Counter[int]()

    class Seconds:
        def on_event(self, event: Event, /) -> None:
            if isinstance(event, Attempt):
                (refused if event.status in _REFUSED else granted)[int(time.time())] += 1

    async def work(client: ThredfiClient, number: int) -> None:
        customers = (UUID(int=number << 64 | count, version=4) for count in itertools.count())
        async with asyncio.timeout(seconds):
            for customer in customers:
                await client.customers.archive(BUSINESS, customer, body)

    async with ThredfiClient(TOKEN, base_url=url, hooks=[Seconds()]) as client:
        await asyncio.gather(*(work(client, number) for number in range(_AT_ONCE)), return_exceptions=True)
    print(json.dumps([granted, refused]))


PEERS: Final[Mapping[str, Callable[[str, int], Awaitable[Ending]]]] = {
    "gather": gathered,
    "archive_many": bulk,
    "aiohttp, semaphore, tenacity": by_hand,
    "aiohttp, told of the 8": partial(by_hand, at_once=8),
}


async def _measure(peer: str, url: str, items: int) -> None:
    if peer == "company":
        await in_company(url, items)
        return
    began = time.monotonic()
    failed, refused, found = await PEERS[peer](url, items)
    took = time.monotonic() - began
    print(json.dumps({"seconds": took, "failed": failed, "refused": refused, "found": found}))


if __name__ == "__main__":
    asyncio.run(_measure(sys.argv[1], sys.argv[2], int(sys.argv[3])))
