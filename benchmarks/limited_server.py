"""A server with a limit, in its own process: it answers after a moment, or refuses.

    python limited_server.py KIND STATUS SECONDS

It prints its port, and once its standard input ends, how many requests it granted and refused.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Final

from limited_apis import Api, Concurrency, FixedWindow, SlidingWindow, TokenBucket, none, rounded_up
from work import BUSINESS, answer

RATE: Final = 200.0
KINDS: Final[Mapping[str, Callable[[float], Api]]] = {
    "open": lambda _: TokenBucket(1e9, 1e9),
    "bucket": lambda _: TokenBucket(RATE),
    "bucket, Retry-After": lambda _: TokenBucket(RATE),
    "fixed window": lambda _: FixedWindow(RATE),
    "sliding window, Retry-After": lambda _: SlidingWindow(RATE),
    "8 in flight": lambda seconds: Concurrency(8, seconds),
}
TOOK: Final = "/took"
"""Where the server says how many seconds an answer takes: timers are late, so that 8 at once are fewer a second."""
_BEFORE, _AFTER = answer()
_START: Final = len(f"POST /v1/platform/businesses/{BUSINESS}/customers/")


class Server:
    """Answers by one limit."""

    def __init__(self, kind: str, status: int, seconds: float) -> None:
        self._api = KINDS[kind](seconds)
        self._status, self._seconds = status, seconds
        self._says = rounded_up if "Retry-After" in kind else none
        self.granted = self.refused = 0
        self._answered, self._took = 0, 0.0

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                lengths = [line for line in head.lower().split("\r\n") if line.startswith("content-length:")]
                await reader.readexactly(int(lengths[0].partition(":")[2]) if lengths else 0)
                writer.write(await self._answer(head))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, head: str) -> bytes:
        now = time.monotonic()
        if head.startswith(f"GET {TOOK} "):
            text = str(self._took / self._answered if self._answered else self._seconds)
            return f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()
        if self._api.arrives(now, 0) < 0:
            self.refused += 1
            says = self._says(now, self._api.back_in(now))
            extra = f"Retry-After: {says:.0f}\r\n" if says else ""
            text = '{"error": "too many requests", "error_code": "rate_limited"}'
            # botocore goes by a header of its own.
            extra += "x-amzn-ErrorType: TooManyRequestsException\r\n"
            lines = f"HTTP/1.1 {self._status} No\r\nContent-Type: application/json\r\n{extra}"
            return f"{lines}Content-Length: {len(text)}\r\n\r\n{text}".encode()
        self.granted += 1
        await asyncio.sleep(self._seconds)
        self._api.leaves()
        self._answered, self._took = self._answered + 1, self._took + time.monotonic() - now
        return _BEFORE + head[_START : _START + len(str(BUSINESS))].encode() + _AFTER


async def _serve(kind: str, status: str, seconds: str) -> None:
    server = Server(kind, int(status), float(seconds))
    listening = await asyncio.start_server(server.connected, "127.0.0.1", 0, backlog=1024)
    print(listening.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    print(json.dumps([server.granted, server.refused]), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:]))
