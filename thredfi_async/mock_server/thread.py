"""Runs a mock server in its own thread, for tests without a loop, with another loop, or of a subprocess."""

import asyncio
import threading
from collections.abc import Generator
from concurrent.futures import Future
from contextlib import contextmanager

from thredfi_async.mock_server.server import MockServer


@contextmanager
def in_thread(server: MockServer) -> Generator[MockServer]:
    """Run a server in a thread while the block lasts.

    Args:
        server: A server that is not running; its methods that are not coroutines may be called from any thread.

    Yields:
        The server, listening.

    Raises:
        OSError: The port is taken.
    """
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        leave = asyncio.Event()
        try:
            await server.start()
        except BaseException as error:  # noqa: BLE001 - the other thread raises it
            started.set_exception(error)
            return
        started.set_result((asyncio.get_running_loop(), leave))
        try:
            await leave.wait()
        finally:
            await server.aclose()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="thredfi-mock-server", daemon=True)
    thread.start()
    try:
        loop, leave = started.result()
        try:
            yield server
        finally:
            loop.call_soon_threadsafe(leave.set)
    finally:
        thread.join()
