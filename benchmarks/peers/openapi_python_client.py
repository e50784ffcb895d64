"""What `openapi-python-client` generates: httpx and attrs.

The package is generated at run time, so no type checker can look into it; it is imported by name.
"""

import importlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from generate import HTTPX_PACKAGE
from work import BUSINESS, TOKEN, Work


@dataclass
class Generated:
    """The client, the module of the one operation, and the class of a body."""

    client: Any
    operation: Any
    body: Any

    async def archive(self, work: Work) -> object:
        """Make the body, and archive."""
        body = self.body(**work.fields)
        return await self.operation.asyncio(BUSINESS, work.customer_id, client=self.client, body=body)


@asynccontextmanager
async def connect(url: str, connections: int) -> AsyncGenerator[Generated]:
    """Open a client."""
    package, operation, models = (
        importlib.import_module(f"{HTTPX_PACKAGE}{part}") for part in ("", ".api.default.archive_customer", ".models")
    )
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    made = package.AuthenticatedClient(base_url=url, token=TOKEN, httpx_args={"limits": limits})
    async with made as client:
        yield Generated(client, operation, models.CustomerRequest)
