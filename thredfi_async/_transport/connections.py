"""Which connections are lent to requests, and which are refused."""

import aiohttp
from aiohttp.connector import Connection
from aiohttp.tracing import Trace


class Connector(aiohttp.TCPConnector):
    """Lends no connection on which something came that nobody asked for (aio-libs/aiohttp#13656).

    The next request would take it for its own answer, and a stray 404 would say of a customer that nothing was done.
    """

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's
    ) -> Connection:
        """Lend a connection of the pool, or a new one."""
        connection = await super().connect(req, traces, timeout)
        if connection.protocol is None or connection.protocol.should_close:
            connection.close()
            raise aiohttp.ServerDisconnectedError
        return connection
