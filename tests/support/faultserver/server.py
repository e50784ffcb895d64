"""The server: accepts, plays the next step of its script for each request, and leaves nothing behind."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine, Iterable
from types import TracebackType
from typing import Self

from . import bodies
from .answer import Answer
from .certificates import Certificate, server_context
from .script import Routes, Script, StepLike, is_early
from .steps import Step
from .wire import Connection, Request

_HOST = "127.0.0.1"


class FaultServer:
    """A raw-socket HTTP server on loopback that follows a script, request by request.

    Args:
        script: The steps, one per request. A step whose `at` is `accept` is played as soon as a connection is
            accepted (or, if the client uses an open one, like `bytes`), a step at `bytes` once a
            request has begun. A function of the request returns the raw bytes of an answer.
        repeat_last: Whether a script's last step repeats for ever. Without it, an extra request is answered
            with a 418, and leaving the server raises `AssertionError`.
        routes: Separate scripts for requests by method and end of the path, as `("POST", "/archive/")`;
            the first that matches is used, before `script`. Steps at `accept` and `bytes` are not allowed.
        tls: Serve TLS, with this certificate.
        listening: Listen at once; otherwise connections are refused until `listen` is called.
    """

    def __init__(
        self,
        script: Iterable[StepLike] = (),
        *,
        repeat_last: bool = False,
        routes: Routes | None = None,
        tls: Certificate | None = None,
        listening: bool = True,
    ) -> None:
        self.requests: list[Request] = []
        self.applied_requests: list[Request] = []
        self.connections = 0
        self.tls_failures = 0
        self.played = 0
        self._script = Script(script, repeat_last=repeat_last)
        self._routes = {key: Script(steps, repeat_last=repeat_last) for key, steps in (routes or {}).items()}
        if any(route.has_early for route in self._routes.values()):
            raise ValueError("a step that is played before there is a request cannot have a route")
        self._tls = None if tls is None else server_context(tls)
        self._listening = listening
        self._open: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: list[str] = []
        self._bound: socket.socket | None = None
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._bound = socket.socket()
        self._bound.setblocking(False)
        self._bound.bind((_HOST, 0))
        if self._listening:
            self.listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._socket.close()
        if self._failures and error is None:
            raise AssertionError("; ".join(self._failures))
        if error is not None:
            for failure in self._failures:
                error.add_note(f"The fault server adds: {failure}")

    @property
    def url(self) -> str:
        """The server's URL, without a trailing slash."""
        return self.https_url if self._tls else f"http://{_HOST}:{self.port}"

    @property
    def https_url(self) -> str:
        """The same port, for a client that expects TLS."""
        return f"https://{_HOST}:{self.port}"

    @property
    def port(self) -> int:
        """The port, kept until the server is left."""
        port: int = self._socket.getsockname()[1]
        return port

    @property
    def applied(self) -> int:
        """How many archive POSTs were applied, according to the steps."""
        return len(self.applied_requests)

    @property
    def applied_ids(self) -> set[str]:
        """The customers that are archived."""
        return {wanted for request in self.applied_requests if (wanted := bodies.customer_id_in(request.path))}

    @property
    def open_connections(self) -> int:
        """How many connections are open, as far as the server has noticed (see `until`)."""
        return len(self._open)

    @property
    def remaining(self) -> int:
        """How many steps have not been played yet, over all scripts."""
        return sum(script.remaining for script in (self._script, *self._routes.values()))

    def listen(self) -> None:
        """Accept connections from now on."""
        self._socket.listen(1024)
        self._spawn(self._accept())

    async def until(self, condition: Callable[[], bool], *, within: float = 2.0) -> None:
        """Wait until the condition holds; it is checked at every event of the server.

        Raises:
            TimeoutError: It does not hold within so many seconds.
        """
        async with asyncio.timeout(within):
            while not condition():
                await self._changed.wait()

    @property
    def _socket(self) -> socket.socket:
        if self._bound is None:
            raise RuntimeError("the server is not entered")
        return self._bound

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            sock, _ = await loop.sock_accept(self._socket)
            self.connections += 1
            # Created here: a task that is cancelled before it starts would never see its socket, nor close it.
            conn = Connection(sock, self.connections, self.applied_requests)
            self._open.add(conn)
            self._spawn(self._serve(conn))
            self._notify()

    async def _serve(self, conn: Connection) -> None:
        try:
            await self._converse(conn)
        except OSError:  # includes TLS errors
            pass  # the client may leave at any time
        except Exception as error:  # noqa: BLE001 - a mistake in a script fails the test, not just this task
            self._failures.append(f"{type(error).__name__}: {error}")
        finally:
            conn.close()
            self._open.discard(conn)
            self._notify()

    async def _converse(self, conn: Connection) -> None:
        first = self._script.peek()
        if first is not None and first.at == "accept":
            await self._play(self._script.take(), conn)
        if self._tls is not None and not conn.closed:
            await self._shake_hands(conn, self._tls)
        while not conn.closed and await conn.first_bytes():
            await self._play(await self._choose(conn), conn)

    async def _shake_hands(self, conn: Connection, context: ssl.SSLContext) -> None:
        try:
            await conn.start_tls(context)
        except OSError:
            self.tls_failures += 1
            raise

    async def _choose(self, conn: Connection) -> Step | None:
        waiting = self._script.peek()
        if waiting is not None and is_early(waiting):
            return self._script.take()
        request = await conn.read_head()
        self.requests.append(request)
        self._notify()
        for (method, suffix), script in self._routes.items():
            if request.method == method and request.path.endswith(suffix):
                return script.take()
        return self._script.take()

    async def _play(self, step: Step | None, conn: Connection) -> None:
        if step is None:
            request = conn.request
            self._failures.append(f"the script has no answer to {request.method} {request.target}")
            step = Answer.json(418, bodies.problem("script_ended")).closing()
        await step.play(conn)
        self.played += 1
        self._notify()
