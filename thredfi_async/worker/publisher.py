"""Publishes to streams, and returns for each message whether it was stored."""

import asyncio
import json
from typing import Final

import nats.errors
from nats.aio.msg import Msg

from thredfi_async._checks.json import as_object
from thredfi_async.worker.connection import Connection, new_inbox

_SECONDS: Final = 5.0


class NotStoredError(nats.errors.Error):
    """The broker did not store a message; its own text says why."""


class NoStreamError(NotStoredError):
    """No stream accepts the subject at the moment."""


class Publisher:
    """Publishes messages, and waits for the stream's acknowledgement.

    nats-py's own publish waits until its timeout for an answer that was lost with the connection; here every waiting
    call fails at once.

    Args:
        connection: The connection.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._inbox = new_inbox()
        self._waiting: dict[str, asyncio.Future[Msg]] = {}
        self._count = 0

    async def start(self) -> None:
        """Subscribe to the inbox for acknowledgements."""
        self._connection.on_down.append(self.connection_lost)
        await self._connection.subscribe(f"{self._inbox}.*", self._answered)

    async def publish(self, subject: str, payload: bytes, headers: dict[str, str]) -> bool:
        """Publish a message once.

        Args:
            subject: Its subject.
            payload: Its payload.
            headers: Its headers.

        Returns:
            Whether it was new to the stream.

        Raises:
            NotStoredError: The broker refused it, or no stream listens.
            nats.errors.Error: The connection is gone.
            TimeoutError: No answer came.
        """
        self._count += 1
        reply = f"{self._inbox}.{self._count}"
        answer: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._waiting[reply] = answer
        try:
            await self._connection.publish(subject, payload, reply=reply, headers=headers)
            async with asyncio.timeout(_SECONDS):
                return _read(await answer)
        finally:
            del self._waiting[reply]

    def connection_lost(self) -> None:
        """Fail all waiting calls, since no answer will come."""
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(NotStoredError("the connection was lost"))

    async def _answered(self, message: Msg) -> None:
        answer = self._waiting.get(message.subject)
        if answer is not None and not answer.done():
            answer.set_result(message)


def _read(message: Msg) -> bool:
    if not message.data:
        raise NoStreamError("no stream accepts this subject at the moment")
    fields = as_object(json.loads(message.data)) or {}
    error = as_object(fields.get("error"))
    if error is not None:
        raise NotStoredError(str(error.get("description")))
    return not fields.get("duplicate", False)
