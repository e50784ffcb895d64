"""A server of blocking sockets in a thread.

asyncio's servers reset a connection whose handshake failed before their alert arrives; this one, like most real ones,
sends the alert and then reads until the client has gone.
"""

import contextlib
import socket
import ssl
import threading
from types import TracebackType
from typing import Final, Self

_PATIENCE: Final = 10.0
_READ: Final = 65_536


class BlockingServer:
    """Accepts connections on loopback one after the other, and answers no request.

    Args:
        context: Its side of TLS; without one it says `greeting` and shakes no hands.
        greeting: What it says without TLS, once something has come.

    Attributes:
        connections: How many it has accepted.
        received: The plain bytes of requests that it read, over all of them.
        refusals: Why it refused handshakes, by OpenSSL's names.
    """

    def __init__(self, context: ssl.SSLContext | None = None, greeting: bytes = b"") -> None:
        self.connections = 0
        self.received = b""
        self.refusals: list[str] = []
        self._context = context
        self._greeting = greeting
        self._listener = socket.socket()
        self._thread = threading.Thread(target=self._serve, name="blocking server")

    def __enter__(self) -> Self:
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(16)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A thread that waits in `accept` is woken by this, and not by a close.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    @property
    def https_url(self) -> str:
        """Its URL for a client that expects TLS."""
        return f"https://127.0.0.1:{self._listener.getsockname()[1]}"

    def _serve(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with accepted:
                accepted.settimeout(_PATIENCE)
                with contextlib.suppress(OSError):
                    self._converse(accepted)

    def _converse(self, accepted: socket.socket) -> None:
        if self._context is None:
            accepted.recv(_READ)
            accepted.sendall(self._greeting)
        else:
            # A duplicate, since a wrapped socket cannot be used once its handshake has failed.
            with self._context.wrap_socket(accepted.dup(), server_side=True, do_handshake_on_connect=False) as wrapped:
                try:
                    wrapped.do_handshake()
                    self.received += wrapped.recv(_READ)
                except ssl.SSLError as error:
                    self.refusals.append(error.reason or "")
        accepted.shutdown(socket.SHUT_WR)
        while accepted.recv(_READ):
            pass
