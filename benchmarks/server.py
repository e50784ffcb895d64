"""The server: a uvloop protocol that answers prepared bytes, in its own process.

It reads only a request's body length and customer id, so that the client is the slower side.
Started by `serving`; it ends when its standard input does, and then prints how many it answered at what cost.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

import uvloop
from work import BUSINESS, answer

_BEFORE, _AFTER = answer()
_START: Final = len(f"POST /v1/platform/businesses/{BUSINESS}/customers/")
_END: Final = _START + len(str(BUSINESS))
_LENGTH: Final = b"content-length:"


class Answering(asyncio.Protocol):
    """One connection."""

    answered = 0
    """On all connections."""

    def __init__(self) -> None:
        self._pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._pending:
            data = self._pending + data
        while data:
            end = data.find(b"\r\n\r\n") + 4
            if end < 4:  # noqa: PLR2004 - nothing was found
                break
            head = data[:end].lower()
            at = head.index(_LENGTH) + len(_LENGTH)
            end += int(head[at : head.index(b"\r", at)])
            if len(data) < end:
                break
            Answering.answered += 1
            self._transport.write(_BEFORE + data[_START:_END] + _AFTER)
            data = data[end:]
        self._pending = data


@dataclass
class Serving:
    """The benchmark's view of the server.

    Args:
        url: Where it listens.
        answered: Requests that it answered, known when it has ended.
        seconds: Its CPU time for them, known when it has ended.
    """

    url: str
    answered: int = field(default=0, init=False)
    seconds: float = field(default=0.0, init=False)


@contextmanager
def serving() -> Generator[Serving]:
    """Run the server in its own process."""
    command = [sys.executable, str(Path(__file__))]
    pipe = subprocess.PIPE
    # Its own session: Ctrl-C goes to the benchmark, which then closes the server's input.
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        server = Serving(process.stdout.readline().strip())
        try:
            yield server
        finally:
            process.stdin.close()
            last = process.stdout.read()
            server.answered, server.seconds = json.loads(last) if last else (0, 0.0)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answering, "127.0.0.1", backlog=1024)
    host, port = server.sockets[0].getsockname()
    began = time.process_time()
    print(f"http://{host}:{port}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    print(json.dumps([Answering.answered, time.process_time() - began]), flush=True)


if __name__ == "__main__":
    uvloop.run(_serve())
