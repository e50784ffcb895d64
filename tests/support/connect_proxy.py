"""A proxy that tunnels every CONNECT to one server, whatever host is named."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs


@attrs.define
class ConnectProxy:
    """A running proxy.

    Args:
        url: Where it listens.
        targets: What it was asked to connect to, in order.
    """

    url: str
    targets: list[str]


@asynccontextmanager
async def tunnel_to(port: int) -> AsyncGenerator[ConnectProxy]:
    """Run a proxy in front of a port of this machine."""
    targets, tasks = list[str](), set[asyncio.Task[None]]()

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, target, _ = head.split(" ", 2)
        targets.append(f"{method} {target}")
        from_server, to_server = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(pipe(reader, to_server), pipe(from_server, writer))

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        yield ConnectProxy(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", targets)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
