"""Liveness, readiness and metrics over HTTP, for the worker's operators."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Final

from aiohttp import web

from thredfi_async import ConfigurationError
from thredfi_async.worker.metrics import CONTENT_TYPE
from thredfi_async.worker.nats_errors import words
from thredfi_async.worker.worker import Worker

_OK = 200
_NOT_FOUND = 404
_UNAVAILABLE = 503

_MOST_CONNECTIONS: Final = 32
_BACKLOG: Final = 16
_SECONDS: Final = 10.0
"""How long a connection may last: its request and its answer are a few KiB."""


@contextlib.asynccontextmanager
async def serving_health(worker: Worker, *, host: str = "127.0.0.1", port: int = 9464) -> AsyncGenerator[int]:
    """Serve `/livez`, `/readyz` and `/metrics` about a worker while the block lasts.

    - `/livez` fails when the worker does not go on, and cannot by itself: restart it.
    - `/readyz` fails while anything keeps the worker from its work, and says what, and for how long. Do not restart
      it: it recovers by itself.
    - `/metrics` is in Prometheus's text format. It names no customer.

    At most 32 connections are open, each for one request and for ten seconds at most; where there would be more, the
    oldest is closed.

    Args:
        worker: The worker.
        host: The address to listen on; loopback by default, since there is no authentication.
        port: The port; 9464 by default, 0 for a free one.

    Yields:
        The port.

    Raises:
        ConfigurationError: The address cannot be listened on.
    """
    if not host:  # which would stand for every address that there is
        raise ConfigurationError("the address for health must not be empty: give 0.0.0.0 for all of this machine's")
    runner = web.ServerRunner(_BoundedServer(_answers(worker)), handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port, backlog=_BACKLOG).start()
        except OSError as error:
            why = f"cannot listen on {host}, port {port}"
            raise ConfigurationError(f"{why}: {words(error)}; give another address or port") from None
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def _answers(worker: Worker) -> Callable[[web.BaseRequest], web.Response]:
    def metrics() -> web.Response:
        return web.Response(body=worker.metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})

    pages = {
        "/livez": lambda: _state(worker.troubles_of_life()),
        "/readyz": lambda: _state(worker.troubles_of_work()),
        "/metrics": metrics,
    }

    def answer(request: web.BaseRequest) -> web.Response:
        page = pages.get(request.path) if request.method in {"GET", "HEAD"} else None
        response = web.Response(status=_NOT_FOUND, text="not found\n") if page is None else page()
        response.force_close()
        return response

    return answer


def _state(troubles: list[str]) -> web.Response:
    return web.Response(status=_UNAVAILABLE if troubles else _OK, text="\n".join(troubles or ["ok"]) + "\n")


class _BoundedServer(web.Server):
    """A server on which no one can use up the process's descriptors, with connections that send nothing, or little."""

    def __init__(self, answer: Callable[[web.BaseRequest], web.Response]) -> None:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            return answer(request)

        super().__init__(handle, access_log=None)
        self._ends: dict[web.RequestHandler, asyncio.TimerHandle] = {}

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Close the oldest connections where there are too many: those who ask now are more likely to mean it."""
        super().connection_made(handler, transport)
        self._ends[handler] = asyncio.get_running_loop().call_later(_SECONDS, transport.abort)
        for oldest in self.connections[:-_MOST_CONNECTIONS]:
            if oldest.transport is not None:
                oldest.transport.abort()

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Forget a connection."""
        self._ends.pop(handler).cancel()
        super().connection_lost(handler, exc)
