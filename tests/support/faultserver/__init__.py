"""A raw-socket fault server for tests, with faults that real networks have and HTTP libraries cannot produce.

    async with FaultServer([Cut("request", "rst", applied=True), Healthy()]) as server:
        ...  # server.url, server.requests, server.applied, server.connections, server.open_connections

It imports nothing of the client, so that the two cannot share a mistake. `faults` has the ready-made answers,
`ports` addresses without a server, `bodies` the API's bodies, `certificates` the client's TLS.
"""

from . import bodies, certificates, faults, ports
from .answer import Answer, AnswerPoint
from .content_encoding import Encoding
from .script import Routes
from .server import FaultServer
from .steps import Cut, Endless, Healthy, Step, Stray
from .wire import Connection, Ending, Point, Request

__all__ = [
    "Answer",
    "AnswerPoint",
    "Connection",
    "Cut",
    "Encoding",
    "Ending",
    "Endless",
    "FaultServer",
    "Healthy",
    "Point",
    "Request",
    "Routes",
    "Step",
    "Stray",
    "bodies",
    "certificates",
    "faults",
    "ports",
]
