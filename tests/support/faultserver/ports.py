"""Addresses at which no server answers."""

import contextlib
import errno
import socket
from collections.abc import Generator

_HOST = "127.0.0.1"


@contextlib.contextmanager
def refused() -> Generator[str]:
    """Yield a URL that refuses connections: its port is bound, so that no one else gets it, and nothing listens."""
    with socket.socket() as sock:
        sock.bind((_HOST, 0))
        yield _url(sock)


@contextlib.contextmanager
def unanswered() -> Generator[str]:
    """Yield a URL that hangs on connecting: nothing accepts, the backlog is full, and Linux drops further SYNs."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((_HOST, 0))
        listener.listen(0)
        # A backlog of 0 holds one connection; later ones stay in SYN-SENT. Two more, to be sure.
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            result = filler.connect_ex(listener.getsockname())
            if result not in {0, errno.EINPROGRESS}:
                raise OSError(result, "the queue_depth cannot be filled")
        yield _url(listener)


def _url(sock: socket.socket) -> str:
    return f"http://{_HOST}:{sock.getsockname()[1]}"
