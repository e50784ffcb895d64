"""The steps of a script besides answers: cuts, stray answers, endless ones, and the healthy server."""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from . import bodies
from .answer import Answer
from .wire import Connection, Ending, Point, Request


class Step(Protocol):
    """What the server does with one request, or with one connection.

    `at` is when it is played: as soon as a connection is accepted, once a request's first bytes are there, or
    once its headers are (`headers` and `request`, which only the step itself distinguishes).
    """

    @property
    def at(self) -> Point: ...

    async def play(self, conn: Connection) -> None: ...


@dataclass(frozen=True)
class Cut:
    """End the connection before any answer, at a point of the request.

    Args:
        at: `accept` (nothing is read), `bytes` (the first few are), `headers`, or `request` (with its body).
        how: `rst`, `fin`, `half-close` (FIN, but the client's bytes are still read), or `hang` (until the
            client gives up).
        applied: Whether the server did what the request asked for.
        saying: Bytes to send first.
    """

    at: Point
    how: Ending = "rst"
    applied: bool = False
    saying: bytes = b""

    def __post_init__(self) -> None:
        if self.applied and self.at != "request":
            raise ValueError("only a completely read request can be applied")

    async def play(self, conn: Connection) -> None:
        if self.at == "request":
            await conn.read_body()
        if self.applied:
            conn.apply()
        if self.saying:
            await conn.send(self.saying)
        await conn.end(self.how)


@dataclass(frozen=True)
class Stray:
    """A good answer, and after a pause, a stray one on the connection that is idle by then."""

    first: Answer
    stray: Answer
    pause: float = 0.02
    at: Point = "request"

    async def play(self, conn: Connection) -> None:
        await self.first.play(conn)
        await asyncio.sleep(self.pause)
        await self.stray.play(conn)


@dataclass(frozen=True)
class Endless:
    """A first piece, and then the same piece until the client gives up."""

    beginning: bytes
    piece: bytes
    at: Point = "request"

    async def play(self, conn: Connection) -> None:
        await conn.read_body()
        await conn.send(self.beginning)
        while True:  # ends with a ConnectionError when the client has gone
            await conn.send(self.piece)


@dataclass(frozen=True)
class Healthy:
    """The working API: it archives, shows archived customers as archived, and issues tokens."""

    at: Point = "request"

    async def play(self, conn: Connection) -> None:
        request = await conn.read_body()
        if bodies.is_archive(request):
            conn.apply()
        await self._answer(request, conn.applied).play(conn)

    def _answer(self, request: Request, applied: list[Request]) -> Answer:
        if request.path.endswith(bodies.TOKEN_PATH):
            return Answer.json(200, {"access_token": "token", "token_type": "Bearer", "expires_in": 3600})
        wanted = bodies.customer_id_in(request.path)
        if wanted is None:
            return Answer.json(404, bodies.problem("not_found", "There is no such resource."))
        was = any(bodies.customer_id_in(earlier.path) == wanted for earlier in applied)
        return Answer.json(200, bodies.customer(wanted, archived=was))
