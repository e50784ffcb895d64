"""A connector that refuses connections with stray data."""

import aiohttp
from aiohttp.connector import Connection
from aiohttp.tracing import Trace


class Connector(aiohttp.TCPConnector):
    """Refuses idle connections on which unrequested data has arrived (aio-libs/aiohttp#13656).

    The next request would take the data for its own answer, and a stray 404 would mean that nothing was done.
    """

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's
    ) -> Connection:
        """Return a connection from the pool, or a new one."""
        connection = await super().connect(req, traces, timeout)
        if connection.protocol is None or connection.protocol.should_close:
            connection.close()
            raise aiohttp.ServerDisconnectedError
        return connection
