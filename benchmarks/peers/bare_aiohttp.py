"""A plain aiohttp post, written by hand: the baseline of all comparisons."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import msgspec
from work import BUSINESS, TOKEN, Work


@dataclass
class Bare:
    """A session and the URL to post to."""

    session: aiohttp.ClientSession
    url: str

    async def archive(self, work: Work) -> object:
        """Post, and decode."""
        url = f"{self.url}/v1/platform/businesses/{BUSINESS}/customers/{work.customer_id}/archive/"
        async with self.session.post(url, data=msgspec.json.encode(work.fields)) as response:
            response.raise_for_status()
            return msgspec.json.decode(await response.read())


@asynccontextmanager
async def connect(url: str, connections: int) -> AsyncGenerator[Bare]:
    """Open a session with fixed headers."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        yield Bare(session, url)
