"""The clients to compare, one per module, each written as its own documentation shows."""

import importlib
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol, cast

from work import Work


class Peer(Protocol):
    """A client that can archive."""

    async def archive(self, work: Work) -> object:
        """Archive one customer; return it in the client's own form."""
        ...


class Open(Protocol):
    """Opens a client; each peer's module has one, named `connect`."""

    def __call__(self, url: str, connections: int) -> AbstractAsyncContextManager[Peer]:
        """Open a client with at most this many connections."""
        ...


PEERS: Final[Mapping[str, str]] = {
    "thredfi": "peers.thredfi",
    "aiohttp": "peers.bare_aiohttp",
    "floor": "peers.floor",
    "httpx": "peers.bare_httpx",
    "openapi-generator": "peers.openapi_generator",
    "openapi-python-client": "peers.openapi_python_client",
}
"""Their names and modules."""
BASELINE: Final = "aiohttp"
"""The peer that the others are compared with."""
ESSENTIAL: Final = frozenset({"thredfi", BASELINE, "floor"})
"""Peers that need no packages beyond the project's, and are compared over TLS too; any other may be missing."""


def load(name: str) -> Open:
    """Import a peer and the packages that it needs.

    Raises:
        ImportError: A package is missing.
    """
    return cast("Open", importlib.import_module(PEERS[name]).connect)
