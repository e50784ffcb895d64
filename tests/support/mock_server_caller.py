"""A plain aiohttp client for the mock server's tests, independent of the library under test."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any

import aiohttp
import attrs
import msgspec

from thredfi_async.mock_server import MockServer, SeededCustomer


@attrs.frozen
class Answer:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


@attrs.frozen
class Caller:
    """Sends requests to one mock server, with its static token unless a header says otherwise."""

    server: MockServer
    http: aiohttp.ClientSession

    async def send(self, method: str, path: str, *, data: Any = None, headers: dict[str, str] | None = None) -> Answer:
        sent = {"Authorization": f"Bearer {self.server.token}", **(headers or {})}
        url = self.server.url + path
        async with self.http.request(method, url, data=data, headers=sent, allow_redirects=False) as response:
            return Answer(response.status, response.headers, await response.read())

    async def archive(self, customer: SeededCustomer, body: Any = None, **headers: str) -> Answer:
        raw = body if isinstance(body, bytes) else msgspec.json.encode(customer.body if body is None else body)
        data = BytesIO(raw) if len(raw) > 1 << 20 else raw  # aiohttp warns about large bodies in bytes
        named = {"Content-Type": "application/json"}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.send("POST", path_of(customer) + "archive/", data=data, headers=named)

    async def get(self, customer: SeededCustomer) -> Answer:
        return await self.send("GET", path_of(customer))

    async def list(self, query: str = "", business: int = 0) -> Answer:
        business_id = self.server.business_ids[business]
        return await self.send("GET", f"/v1/platform/businesses/{business_id}/customers/{query}")

    async def token(self, data: Any = None, **headers: str) -> Answer:
        basic = aiohttp.encode_basic_auth(self.server.partner_uuid, self.server.api_key)
        form = {"grant_type": "client_credentials"} if data is None else data
        path = "/v1/platform/oauth2/token/"
        return await self.send("POST", path, data=form, headers={"Authorization": basic, **headers})


def path_of(customer: SeededCustomer) -> str:
    """Return the path of a customer."""
    return f"/v1/platform/businesses/{customer.business_id}/customers/{customer.customer_id}/"


@asynccontextmanager
async def calling(server: MockServer) -> AsyncGenerator[Caller]:
    """Start a server and yield a caller for it."""
    async with server, aiohttp.ClientSession() as http:
        yield Caller(server, http)
