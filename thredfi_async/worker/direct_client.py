"""The short way through nats-py's client, for what a worker does with every message.

nats-py keeps a queue and a task for each subscription, and searches each subject and header with regular expressions:
together a sixth of what a worker spent on a message beyond the call itself.
"""

# nats-py's annotations of its own parts are incomplete.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import asyncio
from collections.abc import Callable
from typing import Any, Final

from nats.aio.client import PING_PROTO
from nats.aio.msg import Msg

from thredfi_async.worker.tolerant_client import TolerantClient

_GATHER_SECONDS: Final = 0.005
"""A write for each two milliseconds woke the broker so often that a busy worker was a twentieth slower."""

Take = Callable[[Msg], None]


class DirectClient(TolerantClient):
    """Hands messages over while it reads them, and builds the usual publication at once."""

    def __init__(self) -> None:
        super().__init__()
        self._takers: dict[str, Take] = {}
        self._gathering: asyncio.TimerHandle | None = None

    async def listen(self, subject: str, take: Take) -> Any:  # noqa: ANN401 - nats-py's annotation is partly missing
        """Subscribe.

        Args:
            subject: The subject.
            take: Called with each message; nothing else is read meanwhile.

        Returns:
            nats-py's subscription.
        """
        self._takers[subject] = take
        return await self.subscribe(subject, cb=_never)

    # What follows replaces methods of nats-py.

    async def publish(
        self,
        subject: str,
        payload: bytes = b"",
        reply: str = "",
        headers: dict[str, str] | None = None,
        *,
        may_wait: bool = False,
    ) -> None:
        """Send a message; all but the usual is left to nats-py, which says what is wrong with it.

        One that `may_wait` is sent with the next that may not, or after five milliseconds with all that came meanwhile:
        each write wakes the broker, which costs both sides more than the message.
        """
        command = None
        if self.is_connected and len(payload) <= self._max_payload:
            command = _plain(subject, reply, payload) if headers is None else _headed(subject, reply, payload, headers)
        if command is None:
            await super().publish(subject, payload, reply, headers)
            return
        await self._send_command(command)
        if may_wait:
            if self._gathering is None:
                self._gathering = asyncio.get_running_loop().call_later(_GATHER_SECONDS, self._send_gathered)
        elif self._flush_queue is not None and self._flush_queue.empty():
            await self._flush_pending()

    def _send_gathered(self) -> None:
        self._gathering = None
        # As nats-py's `_flush_pending`; while its task waits for a slow broker, the queue stays short.
        if self._pending_data_size and self._flush_queue is not None and self._flush_queue.empty():
            self._flush_queue.put_nowait(asyncio.get_running_loop().create_future())

    async def _send_ping(self, future: asyncio.Future[Any] | None = None) -> None:
        """Send PING after what still waits: nats-py's own overtakes it, and the answer would say nothing of that."""
        self._pongs.append(asyncio.get_running_loop().create_future() if future is None else future)
        await self._send_command(PING_PROTO)
        await self._flush_pending()

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        subscription = self._subs.get(sid)
        take = None if subscription is None else self._takers.get(subscription.subject)
        if take is None:
            await super()._process_msg(sid, subject, reply, data, headers)
            return
        found = await self._process_headers(headers) if headers else None
        try:
            take(self._build_message(sid, subject, reply, data, found))
        except Exception as error:  # noqa: BLE001 - one message must not end the connection
            await self._error_cb(error)


def _plain(subject: str, reply: str, payload: bytes) -> bytes | None:
    """Return the command to publish a message; None if the server would read another from it."""
    line = f"PUB {subject} {reply} {len(payload)}"
    return f"{line}\r\n".encode() + payload + b"\r\n" if _is_line(line, spaces=3) else None


def _headed(subject: str, reply: str, payload: bytes, headers: dict[str, str]) -> bytes | None:
    """Return the command to publish a message with headers; None as above."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    head = f"NATS/1.0\r\n{lines}\r\n"
    line = f"HPUB {subject} {reply} {len(head)} {len(head) + len(payload)}"
    is_usual = lines.isascii() and lines.count("\n") == lines.count("\r") == len(headers)
    return f"{line}\r\n{head}".encode() + payload + b"\r\n" if is_usual and _is_line(line, spaces=4) else None


def _is_line(line: str, *, spaces: int) -> bool:
    """Return whether this is a command's first line, with each of its parts in its place."""
    return line.isprintable() and line.count(" ") == spaces and "B  " not in line


async def _never(_: Msg) -> None:
    """Stand for a callback: nats-py wants one, and `_process_msg` leaves it nothing to do."""
