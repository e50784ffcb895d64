"""Liveness, readiness and metrics over HTTP, for the worker's operators."""

import contextlib
from collections.abc import AsyncGenerator

from aiohttp import web

from thredfi_async import ConfigurationError
from thredfi_async.worker.broker import words
from thredfi_async.worker.metrics import CONTENT_TYPE
from thredfi_async.worker.worker import Worker

_OK = 200
_UNAVAILABLE = 503


@contextlib.asynccontextmanager
async def serving_health(worker: Worker, *, host: str = "127.0.0.1", port: int = 9464) -> AsyncGenerator[int]:
    """Serve `/livez`, `/readyz` and `/metrics` about a worker while the block lasts.

    - `/livez` fails when the worker hangs: restart it.
    - `/readyz` fails while the broker or the API is unavailable, and when the worker is stopping. Do not restart it:
      it recovers by itself.
    - `/metrics` is in Prometheus's text format. It names no customer.

    Args:
        worker: The worker.
        host: The address to listen on; loopback by default, since there is no authentication.
        port: The port; 9464 by default, 0 for a free one.

    Yields:
        The port.

    Raises:
        ConfigurationError: The address cannot be listened on.
    """

    async def livez(_: web.Request) -> web.Response:
        return _answer(worker.troubles_of_life())

    async def readyz(_: web.Request) -> web.Response:
        return _answer(worker.troubles_of_work())

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=worker.metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            why = f"cannot listen on {host}, port {port}"
            raise ConfigurationError(f"{why}: {words(error)}; give another port") from None
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def _answer(troubles: list[str]) -> web.Response:
    return web.Response(status=_UNAVAILABLE if troubles else _OK, text="\n".join(troubles or ["ok"]) + "\n")
