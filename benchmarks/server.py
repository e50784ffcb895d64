"""The server: a uvloop protocol that answers prepared bytes, in its own process, with and without TLS.

It reads only a request's method, body length and customer id, so that the client is the slower side.
Started by `serving`; it ends when its standard input does, and then prints how many it answered at what cost.
"""

import asyncio
import json
import ssl
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

import trustme
import uvloop
from work import BUSINESS, answer

_ARCHIVED, _ACTIVE = answer(), answer(archived=False)
_TO_ID: Final = len(f" /v1/platform/businesses/{BUSINESS}/customers/")
_ID: Final = len(str(BUSINESS))
_LENGTH: Final = b"content-length:"
_HOST: Final = "127.0.0.1"


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
            is_read = data.startswith(b"GET ")
            if not is_read:
                head = data[:end].lower()
                at = head.index(_LENGTH) + len(_LENGTH)
                end += int(head[at : head.index(b"\r", at)])
                if len(data) < end:
                    break
            Answering.answered += 1
            before, after = _ACTIVE if is_read else _ARCHIVED
            start = data.index(b" ") + _TO_ID
            self._transport.write(before + data[start : start + _ID] + after)
            data = data[end:]
        self._pending = data


@dataclass
class Serving:
    """The benchmark's view of the server.

    Args:
        url: Where it listens.
        tls_url: Where it listens with TLS.
        authority: The file of the authority that signed its certificate.
        answered: Requests that it answered, known when it has ended.
        seconds: Its CPU time for them, known when it has ended.
    """

    url: str
    tls_url: str
    authority: Path
    answered: int = field(default=0, init=False)
    seconds: float = field(default=0.0, init=False)


@contextmanager
def serving(folder: Path) -> Generator[Serving]:
    """Run the server in its own process, which writes the file of its authority to this folder."""
    authority = folder / "authority.pem"
    command = [sys.executable, str(Path(__file__)), str(authority)]
    pipe = subprocess.PIPE
    # Its own session: Ctrl-C goes to the benchmark, which then closes the server's input.
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        url, tls_url = process.stdout.readline().split()
        server = Serving(url, tls_url, authority)
        try:
            yield server
        finally:
            process.stdin.close()
            last = process.stdout.read()
            server.answered, server.seconds = json.loads(last) if last else (0, 0.0)


def _tls(authority: str) -> ssl.SSLContext:
    """Make an authority, write its certificate to this file, and return a context with one that it signed."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made = trustme.CA()
    made.cert_pem.write_to_path(authority)
    with made.issue_cert(_HOST).private_key_and_cert_chain_pem.tempfile() as path:
        context.load_cert_chain(path)
    return context


async def _serve(authority: str) -> None:
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(Answering, _HOST, backlog=1024, ssl=context) for context in (None, _tls(authority))
    ]
    plain, tls = (server.sockets[0].getsockname()[1] for server in servers)
    began = time.process_time()
    print(f"http://{_HOST}:{plain} https://{_HOST}:{tls}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    print(json.dumps([Answering.answered, time.process_time() - began]), flush=True)


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1]))
