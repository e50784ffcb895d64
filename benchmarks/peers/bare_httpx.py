"""The same post by hand, with httpx."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import msgspec
from work import BUSINESS, TOKEN, Work


@dataclass
class Bare:
    """A client and the URL to post to."""

    client: httpx.AsyncClient

    async def archive(self, work: Work) -> object:
        """Post, and decode."""
        path = f"/v1/platform/businesses/{BUSINESS}/customers/{work.customer_id}/archive/"
        response = await self.client.post(path, content=msgspec.json.encode(work.fields))
        response.raise_for_status()
        return msgspec.json.decode(response.content)


@asynccontextmanager
async def connect(url: str, connections: int) -> AsyncGenerator[Bare]:
    """Open a client with fixed headers."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    async with httpx.AsyncClient(base_url=url, headers=headers, limits=limits, timeout=60) as client:
        yield Bare(client)
