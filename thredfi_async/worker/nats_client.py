"""One connection to one server, by nats-py: the only module that uses its private names, so its version is capped.

nats-py's client makes its connection again by itself in some cases, and in others closes for good (any `-ERR` but
"stale connection", nats-io/nats.py#1019), or goes on without the task that reads. Here whatever ends a connection ends
it for good, and is known at once; `Connection` makes the next one.
"""

# nats-py's annotations of its own parts are incomplete.
# pyright: reportPrivateUsage=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import asyncio
import contextlib
import logging
from collections.abc import Callable, Generator
from typing import Any, Final

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.transport import TcpTransport, WebSocketTransport
from nats.protocol.parser import AWAITING_MSG_PAYLOAD, Parser

from thredfi_async.worker.direct_client import DirectClient
from thredfi_async.worker.nats_errors import TROUBLE

_CLOSE_SECONDS: Final = 1.0
_PING_SECONDS: Final = 8
"""A connection is over when two answers are missing: before the broker gives to others what this worker holds."""
_ERROR: Final = b"-ERR"
_LONGEST_LINE: Final = 1024 * 1024
_LARGEST_MESSAGE: Final = 64 * 1024 * 1024  # the most that a broker may allow

logger: logging.Logger = logging.getLogger("thredfi_async.worker")


class _BoundedParser(Parser):
    """Ends the connection to a server whose lines or messages have no end: nats-py's own keeps whatever comes."""

    async def parse(self, data: bytes = b"") -> None:
        await super().parse(data)
        if self.needed > _LARGEST_MESSAGE if self.state == AWAITING_MSG_PAYLOAD else len(self.buf) > _LONGEST_LINE:
            raise nats.errors.ProtocolError


class NatsClient(DirectClient):
    """A connection that ends once, whatever ends it.

    Args:
        needs_tls: Whether CONNECT, which holds the credentials, must not be sent before TLS is up.
        on_error: Called with errors that do not end the connection, such as a permission that is missing.

    Attributes:
        ended: Set as soon as the connection is over.
    """

    def __init__(self, *, needs_tls: bool, on_error: Callable[[Exception], None]) -> None:
        super().__init__()
        self.ended: asyncio.Event = asyncio.Event()
        self._ps = _BoundedParser(self)
        self._needs_tls = needs_tls
        self._on_error = on_error
        self._closing: set[asyncio.Task[Any]] = set()

    async def open(self, url: str, **options: Any) -> None:  # noqa: ANN401 - as nats-py's connect
        """Connect once.

        Args:
            url: The server.
            **options: nats-py's own.

        Raises:
            nats.errors.Error: The server refuses; or another error of `TROUBLE`.
        """
        with _passing_cancellation_on():
            await self.connect([url], allow_reconnect=False, error_cb=self._say, ping_interval=_PING_SECONDS, **options)
        if not self.is_connected:  # nats-py takes the end of the connection for an answer to its first PING
            raise nats.errors.Error("nats: the server closed the connection during the login")
        for task in self._tasks():
            # The reading task also ends at what it cannot parse, and leaves the connection open and deaf.
            task.add_done_callback(self._one_has_ended)

    async def shut(self) -> None:
        """End the connection at once; what was not sent by then is not sent.

        nats-py's own `close` waits for the server to read what is left, and to answer TLS's close_notify.
        """
        self.ended.set()
        self._status = Client.CLOSED
        transport = self._transport
        if isinstance(transport, TcpTransport) and transport._io_writer is not None:  # noqa: SLF001 - see above
            with contextlib.suppress(AttributeError):  # asyncio's own transport cannot bear it after its end
                transport._io_writer.transport.abort()  # noqa: SLF001 - see above
        # nats-py's own closing may have failed halfway, at what it could not send.
        tasks = (self._tasks() | self._readers() | self._closing) - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CLOSE_SECONDS)
        if isinstance(transport, WebSocketTransport) and bool(transport):
            if transport._ws is not None:  # noqa: SLF001 - see above
                with contextlib.suppress(*TROUBLE):  # it waits for the server's farewell
                    async with asyncio.timeout(_CLOSE_SECONDS):
                        await transport._ws.close()  # noqa: SLF001 - see above
            await transport._client.close()  # noqa: SLF001 - see above

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS is up."""
        transport = self._transport
        if isinstance(transport, WebSocketTransport):
            return bool(transport._using_tls)  # noqa: SLF001 - see the module's docstring
        if isinstance(transport, TcpTransport) and transport._io_writer is not None:  # noqa: SLF001 - as above
            return transport._io_writer.get_extra_info("ssl_object") is not None  # noqa: SLF001 - as above
        return False

    @property
    def last_error_line(self) -> Exception | None:
        """What the server said before it closed the connection, where nats-py failed to write and did not read it."""
        transport = self._transport
        reader: Any = transport._io_reader if isinstance(transport, TcpTransport) else None  # noqa: SLF001 - as above
        # asyncio gives no access to what came before an error.
        said = b"" if reader is None else bytes(reader._buffer)  # noqa: SLF001 - as above
        if not said.startswith(_ERROR):
            return None
        return nats.errors.Error(
            said[len(_ERROR) :].partition(b"\r\n")[0].decode(errors="backslashreplace").strip(" '")
        )

    async def _say(self, error: Exception) -> None:
        if self.is_connected and not isinstance(error, OSError | nats.errors.StaleConnectionError):
            self._on_error(error)  # the others end the connection, and are told with that

    def _one_has_ended(self, task: asyncio.Task[Any]) -> None:
        del task
        self.ended.set()

    def _tasks(self) -> set[asyncio.Task[Any]]:
        tasks = (self._reading_task, self._ping_interval_task, self._flusher_task)
        return {task for task in tasks if task is not None}

    def _readers(self) -> set[asyncio.Task[Any]]:
        subscriptions: Any = self._subs.values()  # nats-py annotates this attribute of them with None alone
        found = [each._wait_for_msgs_task for each in subscriptions]  # noqa: SLF001 - see the module's docstring
        return {task for task in found if task is not None}

    # What follows replaces methods of nats-py.

    async def request(self, *arguments: Any, **options: Any) -> Msg:  # noqa: ANN401 - as nats-py's
        """Pass a cancellation on, also when the answer arrives at the same moment."""
        with _passing_cancellation_on():
            return await super().request(*arguments, **options)

    async def _select_next_server(self) -> None:
        """Connect to the only server, once: nats-py's own tries again without end, and tells no one."""
        self._current_server = self._server_pool[0]
        await self._connect_to_server(self._current_server)

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:  # noqa: FBT001, FBT002 - as nats-py's
        """Ask for TLS also where the server only offers it: nats-py does so only where the server insists."""
        await super()._process_info(info, initial_connection)
        if initial_connection and self._needs_tls and not self.is_encrypted:
            if not (info.get("tls_required") or info.get("tls_available")):
                raise nats.errors.Error("nats: the server offers no TLS, which its URL asks for: no login was sent")
            info["tls_required"] = True

    def _connect_command(self) -> bytes:
        """Refuse to tell the credentials before TLS is up, whatever the server said."""
        if self._needs_tls and not self.is_encrypted:
            raise nats.errors.Error("nats: TLS is not up: no login was sent")
        return super()._connect_command()

    async def _close(self, status: int, do_cbs: bool = True) -> None:  # noqa: FBT001, FBT002 - as nats-py's
        """Tell at its start that the connection is over: what follows may hang."""
        self.ended.set()
        task = asyncio.current_task()
        if task is not None and task not in self._tasks():
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        await super()._close(status, do_cbs)

    async def _flush_pending(self, force_flush: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002 - as nats-py's
        """Pass a cancellation on: a call that waits for a frozen server could not be ended."""
        with _passing_cancellation_on():
            return await super()._flush_pending(force_flush)


@contextlib.contextmanager
def _passing_cancellation_on() -> Generator[None]:
    """Raise a cancellation that nats-py swallows, by itself or through `wait_for` (python/cpython#86296)."""
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    try:
        yield
    finally:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError
