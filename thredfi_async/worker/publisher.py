"""Publishes to streams, and returns for each message whether it was stored."""

import asyncio
from typing import Final, NamedTuple

import nats.errors
from nats.aio.msg import Msg

from thredfi_async._checks.json import as_object
from thredfi_async.worker.connection import Connection, new_inbox
from thredfi_async.worker.jetstream import RefusedError, UnreadableReplyError, object_in

_SECONDS: Final = 5.0
_FEW: Final = 8
"""So many that wait are each sent at once: their publishers may do little else until they are stored."""


class Stored(NamedTuple):
    """A message that a stream has stored.

    Args:
        sequence: Its number there.
        is_new: Whether this publication was the one that was stored, and not an earlier one with its message id.
    """

    sequence: int
    is_new: bool


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
        self._waiting: dict[str, tuple[asyncio.Future[Msg], float]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._count = 0

    async def start(self) -> None:
        """Subscribe to the inbox for acknowledgements."""
        self._connection.on_down.append(self.connection_lost)
        await self._connection.subscribe(f"{self._inbox}.*", self._answered)

    async def publish(self, subject: str, payload: bytes, headers: dict[str, str], *, stream: str) -> Stored:
        """Publish a message once.

        Args:
            subject: Its subject.
            payload: Its payload.
            headers: Its headers.
            stream: The stream that must store it.

        Returns:
            Its place in the stream.

        Raises:
            NotStoredError: The broker refused it, or no stream listens.
            nats.errors.Error: The connection is gone.
            TimeoutError: No answer came.
        """
        self._count += 1
        reply = f"{self._inbox}.{self._count}"
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Msg] = loop.create_future()
        # One timer looks after all that wait: a timeout for each would cost more than the publication.
        self._waiting[reply] = answer, loop.time() + _SECONDS
        if self._timer is None:
            self._timer = loop.call_later(_SECONDS, self._look_at_time, loop)
        try:
            is_one_of_many = len(self._waiting) > _FEW
            await self._connection.publish(subject, payload, reply=reply, headers=headers, may_wait=is_one_of_many)
            return _read(await answer, stream)
        finally:
            del self._waiting[reply]

    def connection_lost(self) -> None:
        """Fail all waiting calls, since no answer will come."""
        for answer, _ in self._waiting.values():
            if not answer.done():
                answer.set_exception(NotStoredError("the connection was lost"))

    def _look_at_time(self, loop: asyncio.AbstractEventLoop) -> None:
        """Fail the calls whose time is over, and look again when that of the next one is."""
        self._timer, now = None, loop.time()
        for answer, until in self._waiting.values():
            if answer.done():
                continue
            if until > now:  # they stand in the order in which they began
                self._timer = loop.call_at(until, self._look_at_time, loop)
                return
            answer.set_exception(TimeoutError())

    def _answered(self, message: Msg) -> None:
        answer, _ = self._waiting.get(message.subject, (None, 0.0))
        if answer is not None and not answer.done():
            answer.set_result(message)


def _read(message: Msg, stream: str) -> Stored:
    if not message.data:
        raise NoStreamError("no stream accepts this subject at the moment")
    fields = object_in(message.data)
    error = as_object(fields.get("error"))
    if error is not None:
        raise RefusedError(error)
    # Whatever else comes on this subject, only this says that the message is stored.
    sequence, repeated = fields.get("seq"), fields.get("duplicate", False)
    if fields.get("stream") != stream or type(sequence) is not int or sequence < 1 or type(repeated) is not bool:
        raise UnreadableReplyError
    return Stored(sequence, not repeated)
