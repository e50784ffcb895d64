"""Functions that `test_process_pool.py` runs in another process, which imports them by this plain name."""

import asyncio
from typing import Any

from thredfi_async import RetryPolicy, ThredfiClient, ThredfiError


def given_back(error: ThredfiError) -> ThredfiError:
    """In the other process: return the argument."""
    return error


def raised(error: ThredfiError) -> None:
    """In the other process: raise the argument."""
    raise error


def archived(url: str, token: str, business: str, customer: str, body: dict[str, Any]) -> None:
    """In the other process: make one call, and let its error propagate."""

    async def call() -> None:
        retry = RetryPolicy(max_attempts=2, no_wait=True)
        async with ThredfiClient(token, base_url=url, retry=retry) as client:
            await client.customers.archive(business, customer, body, idempotency_key="key-1")

    asyncio.run(call())
