"""A real `nats-server` with JetStream, on a free port and with its own store, that tests can stop and kill."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

MISSING = "nats-server is not installed: `apt-get install nats-server`, or a release from nats.io, puts it on the PATH"


def required() -> str:
    """Return the program; if it is missing, fail on CI, and skip with the reason elsewhere."""
    program = shutil.which("nats-server")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    return program


class NatsServer:
    """One server; its port and its store stay the same over restarts.

    Args:
        store: A directory for the store and the log.
        arguments: Extra arguments, such as `--user`.
        jetstream: Whether its command line asks for JetStream; a configuration can do so too.
    """

    def __init__(self, store: Path, *arguments: str, jetstream: bool = True) -> None:
        self._program = required()
        self._store = store
        self._arguments = (*(["-js", "-sd", str(store / "store")] if jetstream else []), *arguments)
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    @property
    def url(self) -> str:
        """The address for clients."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process's number."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it responds."""
        command = [self._program, "-a", "127.0.0.1", "-p", str(self.port)]
        with (self._store / "log").open("ab") as log:
            self._process = subprocess.Popen([*command, *self._arguments], stdout=log, stderr=log)
        until = time.monotonic() + 10
        while not self._talks():
            if self._process.poll() is not None or time.monotonic() > until:
                raise AssertionError((self._store / "log").read_text("utf-8")[-2000:])
            time.sleep(0.005)

    def stop(self) -> None:
        """Shut it down."""
        self._end("terminate")

    def reload(self) -> None:
        """Have it read its configuration again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """Kill it as a power cut would, except that the operating system keeps what was written."""
        self._end("kill")

    def signal(self, number: int) -> None:
        """Send it a signal; SIGHUP makes it read its configuration again."""
        os.kill(self.pid, number)

    def restart(self) -> None:
        """Kill it, and start it on the same store."""
        self.kill()
        self.start()

    def _end(self, how: str) -> None:
        process, self._process = self._process, None
        if process is not None:
            getattr(process, how)()
            process.wait(10)

    def _talks(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                return connection.recv(4) == b"INFO"
        except OSError:
            return False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


async def send_raw(server: NatsServer, subject: str | bytes, payload: bytes, headers: bytes) -> None:
    """Publish a message with headers as they are: no client would send most of them."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    name = subject.encode() if isinstance(subject, str) else subject
    writer.write(b'CONNECT {"headers":true,"verbose":false}\r\n')
    writer.write(b"HPUB %b %d %d\r\n" % (name, len(headers), len(headers) + len(payload)) + headers + payload + b"\r\n")
    writer.write(b"PING\r\n")
    while await reader.readline() != b"PONG\r\n":
        pass
    writer.close()
    await writer.wait_closed()
