"""This project's client, with its defaults."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from work import BUSINESS, TOKEN, Work

from thredfi_async import CustomerRequest, ThredfiClient


@dataclass
class Thredfi:
    """The client."""

    client: ThredfiClient

    async def archive(self, work: Work) -> object:
        """Validate, and archive."""
        return await self.client.customers.archive(BUSINESS, work.customer_id, CustomerRequest(**work.fields))


@asynccontextmanager
async def connect(url: str, connections: int) -> AsyncGenerator[Thredfi]:
    """Open a client."""
    async with ThredfiClient(TOKEN, base_url=url, max_connections=connections) as client:
        yield Thredfi(client)
