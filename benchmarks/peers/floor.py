"""The cost of Python itself: a bare asyncio protocol, prepared headers, msgspec, and no features of a client."""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, cast
from urllib.parse import urlsplit

import msgspec
from work import BUSINESS, TOKEN, Work

_LENGTH: Final = b"Content-Length: "


class Exchange(asyncio.Protocol):
    """One connection, which only reads answers with a length in the head."""

    _answer: asyncio.Future[bytes]

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def ask(self, request: bytes) -> asyncio.Future[bytes]:
        """Write a request; the future gets the body of its answer."""
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._received += data
        head = self._received.find(b"\r\n\r\n") + 4
        at = self._received.find(_LENGTH) + len(_LENGTH)
        end = head + int(self._received[at : self._received.index(b"\r", at)])
        if len(self._received) >= end:
            body, self._received = self._received[head:end], b""
            self._answer.set_result(body)


@dataclass
class Floor:
    """Idle connections and prepared headers."""

    idle: list[Exchange]
    before: bytes
    after: bytes

    async def archive(self, work: Work) -> object:
        """Write, wait, decode."""
        exchange = self.idle.pop()
        body = msgspec.json.encode(work.fields)
        request = b"%b%b%b%d\r\n\r\n%b" % (self.before, str(work.customer_id).encode(), self.after, len(body), body)
        answer = await exchange.ask(request)
        self.idle.append(exchange)
        return msgspec.json.decode(answer)


@asynccontextmanager
async def connect(url: str, connections: int) -> AsyncGenerator[Floor]:
    """Open all connections."""
    where = urlsplit(url)
    loop = asyncio.get_running_loop()
    tls = ssl.create_default_context() if where.scheme == "https" else None
    made = [
        await loop.create_connection(Exchange, str(where.hostname), where.port or 80, ssl=tls)
        for _ in range(connections)
    ]
    before = f"POST /v1/platform/businesses/{BUSINESS}/customers/"
    after = (
        "/archive/ HTTP/1.1\r\n"
        f"Host: {where.netloc}\r\n"
        f"Authorization: Bearer {TOKEN}\r\n"
        "Accept: application/json\r\n"
        "Content-Type: application/json\r\n"
        "Content-Length: "
    )
    yield Floor([exchange for _, exchange in made], before.encode(), after.encode())
    for transport, _ in made:
        transport.close()
