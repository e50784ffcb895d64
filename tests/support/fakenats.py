"""A server that speaks as much of NATS's protocol as a login needs, and then says what a test wants."""

import asyncio
import contextlib
import json
import ssl
from types import TracebackType
from typing import Any, Self


class FakeNats:
    """A server on loopback.

    Args:
        *says: What it sends after each login, one for each connection in turn; None closes the connection. After the
            last, connections stay open and it says nothing more.
        info: Fields of its INFO line.
        tls: Its side of TLS, once INFO was sent, if the client asks for it; None for no TLS.
        tls_first: Whether TLS comes before INFO.
        greets: What it sends in the place of INFO.

    Attributes:
        connects: The CONNECT lines that it got, whole.
        subscriptions: The subjects of each connection.
        accepted: Connections so far.
        info: Fields of its INFO line from now on.
        tls: Its side of TLS from now on.
    """

    def __init__(
        self,
        *says: bytes | None,
        info: dict[str, Any] | None = None,
        tls: ssl.SSLContext | None = None,
        tls_first: bool = False,
        greets: bytes | None = None,
    ) -> None:
        self.connects: list[bytes] = []
        self.subscriptions: list[list[str]] = []
        self.accepted: int = 0
        self._says = list(says)
        self.info: dict[str, Any] = {"max_payload": 1048576, "headers": True, **(info or {})}
        self.tls: ssl.SSLContext | None = tls
        self._tls_first, self._greets = tls_first, greets
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port: int = 0

    @property
    def url(self) -> str:
        """The address, without TLS."""
        return f"nats://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        context = self.tls if self._tls_first else None
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.accepted += 1
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._serve(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self._greets or b"INFO " + json.dumps(self.info).encode() + b"\r\n")
        await writer.drain()
        if self._greets is not None:
            await reader.read()
            return
        if self.tls is not None and not self._tls_first:
            await writer.start_tls(self.tls)
        subjects: list[str] = []
        while line := await reader.readline():
            if line.startswith(b"CONNECT"):
                self.connects.append(line)
                self.subscriptions.append(subjects)
            elif line.startswith(b"SUB"):
                subjects.append(line.split()[1].decode())
            elif line.startswith(b"PING"):
                writer.write(b"PONG\r\n")
                if self._says and not subjects:
                    said = self._says.pop(0)
                    if said is None:
                        return
                    writer.write(said)
                await writer.drain()
