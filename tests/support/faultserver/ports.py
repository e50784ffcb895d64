"""Addresses at which no server answers."""

import contextlib
import errno
import socket
from collections.abc import Generator

_HOST = "127.0.0.1"


@contextlib.contextmanager
def refused() -> Generator[str]:
    """A URL that refuses connections: its port is bound, so that nobody else gets it, and nothing listens."""
    with socket.socket() as sock:
        sock.bind((_HOST, 0))
        yield _url(sock)


@contextlib.contextmanager
def unanswered() -> Generator[str]:
    """A URL that connecting to hangs: nobody accepts, the queue_depth is full, and Linux drops further SYNs."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((_HOST, 0))
        listener.listen(0)
        # A queue_depth of 0 holds one connection; what comes after it is left in SYN-SENT. Two more, to be sure.
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            result = filler.connect_ex(listener.getsockname())
            if result not in {0, errno.EINPROGRESS}:
                raise OSError(result, "the queue_depth cannot be filled")
        yield _url(listener)


def _url(sock: socket.socket) -> str:
    return f"http://{_HOST}:{sock.getsockname()[1]}"
