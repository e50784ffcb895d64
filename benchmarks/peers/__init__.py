"""The clients that are compared, one a module, each written as its own documentation would have it."""

import importlib
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol, cast

from work import Work


class Peer(Protocol):
    """A client that can archive."""

    async def archive(self, work: Work) -> object:
        """Archive one customer; return it the way the client gives it."""
        ...


class Open(Protocol):
    """Opens a client; each module of a peer has one, by the name `connect`."""

    def __call__(self, url: str, connections: int) -> AbstractAsyncContextManager[Peer]:
        """Open a client with so many connections at most."""
        ...


PEERS: Final[Mapping[str, str]] = {
    "thredfi": "peers.thredfi",
    "aiohttp": "peers.bare_aiohttp",
    "floor": "peers.floor",
    "httpx": "peers.bare_httpx",
    "openapi-generator": "peers.openapi_generator",
    "openapi-python-client": "peers.openapi_python_client",
}
"""Their names, and the modules that hold them."""
BASELINE: Final = "aiohttp"
"""What the others are held against."""
ESSENTIAL: Final = frozenset({"thredfi", BASELINE, "floor"})
"""These need no package that the project does not need; any other may be missing."""


def load(name: str) -> Open:
    """Import a peer, and with it the packages that it needs.

    Raises:
        ImportError: One of these is not there.
    """
    return cast("Open", importlib.import_module(PEERS[name]).connect)
