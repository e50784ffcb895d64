"""What `openapi-generator-cli` generates with `library=asyncio`: aiohttp and pydantic.

The package is generated at run time, so no type checker can look into it; it is imported by name.
"""

import importlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from generate import AIOHTTP_PACKAGE
from work import BUSINESS, TOKEN, Work


@dataclass
class Generated:
    """The API object, and the class of a body."""

    api: Any
    body: Any

    async def archive(self, work: Work) -> object:
        """Validate, and archive."""
        return await self.api.archive_customer(BUSINESS, work.customer_id, self.body(**work.fields))


@asynccontextmanager
async def connect(url: str, connections: int) -> AsyncGenerator[Generated]:
    """Open a client."""
    package = importlib.import_module(AIOHTTP_PACKAGE)
    configuration = package.Configuration(host=url, access_token=TOKEN)
    configuration.connection_pool_maxsize = connections
    async with package.ApiClient(configuration) as client:
        yield Generated(package.DefaultApi(client), package.CustomerRequest)
