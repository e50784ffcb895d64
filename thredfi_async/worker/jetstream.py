"""JetStream's API: every reply is checked, and one that cannot be read is an error of the broker like any other."""

import base64
import datetime as dt
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import attrs
import nats.errors
from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo, StreamInfo
from nats.js.errors import NotFoundError

from thredfi_async._checks.json import as_object
from thredfi_async._checks.text import printable
from thredfi_async._codec.json import loads

T = TypeVar("T")

_LONGEST_REASON: Final = 200

_NO_MESSAGE: Final = 10037
"""The broker's code for a sequence number without a message."""
_TOO_LARGE: Final = 10054
"""Its code for a message that is larger than the stream takes."""
_NO_STREAM: Final = 10059
"""Its code for a stream that is not there."""


class UnreadableReplyError(nats.errors.Error):
    """A reply is not what the broker sends; someone else may have sent it."""

    def __init__(self) -> None:
        super().__init__("a reply cannot be read")


class RefusedError(nats.errors.Error):
    """The broker refuses a request; its own text says why.

    Args:
        fields: The error in its reply.

    Attributes:
        is_too_large: Whether the stream takes no message of this size.
    """

    def __init__(self, fields: dict[str, Any]) -> None:
        self.is_too_large: bool = fields.get("err_code") == _TOO_LARGE
        super().__init__(printable(str(fields.get("description")))[:_LONGEST_REASON])


@attrs.frozen(kw_only=True)
class StoredMessage:
    """A message in a stream.

    Args:
        sequence: Its sequence number.
        subject: Its subject.
        data: Its payload.
    """

    sequence: int
    subject: str
    data: bytes = attrs.field(repr=False)


class JetStream(JetStreamContext):
    """nats-py's JetStream API, with the replies checked.

    nats-py reads a reply as if it came from the broker for certain: a strange one raises whatever comes of it.
    """

    async def stream_info(self, *args: object, **kwargs: object) -> StreamInfo:
        """Return the state of a stream, as nats-py does."""
        parent: Any = super()  # nats-py's annotations are partly missing
        return await _checked(parent.stream_info(*args, **kwargs), _is_stream)

    async def consumer_info(self, *args: object, **kwargs: object) -> ConsumerInfo:
        """Return the state of a consumer, as nats-py does."""
        parent: Any = super()  # nats-py's annotations are partly missing
        return await _checked(parent.consumer_info(*args, **kwargs), _is_consumer)

    async def add_stream(self, *args: object, **kwargs: object) -> StreamInfo:
        """Create a stream, as nats-py does."""
        parent: Any = super()  # nats-py's annotations are partly missing
        return await _checked(parent.add_stream(*args, **kwargs), _is_stream)

    async def add_consumer(self, *args: object, **kwargs: object) -> ConsumerInfo:
        """Create a consumer, as nats-py does."""
        parent: Any = super()  # nats-py's annotations are partly missing
        return await _checked(parent.add_consumer(*args, **kwargs), _is_consumer)

    async def message(self, stream: str, sequence: int, *, following: bool = False) -> StoredMessage | None:
        """Return one message of a stream, without changing anything there.

        Not nats-py's `get_msg`: it parses the headers, which may be anything.

        Args:
            stream: The stream.
            sequence: The message's sequence number.
            following: Whether to return the next one, if there is none with this number.

        Returns:
            The message; None if there is none.

        Raises:
            NotFoundError: There is no such stream.
            nats.errors.Error: The broker refuses, or the reply cannot be read.
            TimeoutError: No reply came.
        """
        request: dict[str, Any] = {"seq": sequence} | ({"next_by_subj": ">"} if following else {})
        fields = await self._request(f"STREAM.MSG.GET.{stream}", request)
        error = as_object(fields.get("error"))
        if error is not None:
            if error.get("err_code") == _NO_MESSAGE:
                return None
            raise _refusal(error)
        found = _message_in(as_object(fields.get("message")) or {})
        if found.sequence < sequence or (found.sequence != sequence and not following):
            raise UnreadableReplyError
        return found

    async def delete(self, stream: str, sequence: int) -> None:
        """Delete one message, which the broker overwrites; one that is gone already is no error.

        Args:
            stream: The stream.
            sequence: The message's sequence number.

        Raises:
            nats.errors.Error: The broker refuses, or the reply cannot be read.
            TimeoutError: No reply came.
        """
        fields = await self._request(f"STREAM.MSG.DELETE.{stream}", {"seq": sequence})
        if fields.get("success") is True or await self.message(stream, sequence) is None:
            return
        error = as_object(fields.get("error"))
        raise UnreadableReplyError if error is None else _refusal(error)

    async def _request(self, name: str, request: dict[str, Any]) -> dict[str, Any]:
        reply = await self._nc.request(f"{self._prefix}.{name}", json.dumps(request).encode(), timeout=self._timeout)
        return object_in(reply.data)


def object_in(data: bytes) -> dict[str, Any]:
    """Return the JSON object that a reply holds.

    Args:
        data: The reply.

    Returns:
        Its fields.

    Raises:
        UnreadableReplyError: It holds none.
    """
    try:
        fields = as_object(loads(data))
    except ValueError:
        fields = None
    if fields is None:
        raise UnreadableReplyError
    return fields


def _refusal(error: dict[str, Any]) -> nats.errors.Error:
    if error.get("err_code") == _NO_STREAM:
        return NotFoundError(code=404, err_code=_NO_STREAM, description="stream not found")
    return RefusedError(error)


def _message_in(fields: dict[str, Any]) -> StoredMessage:
    sequence, subject, data = fields.get("seq"), fields.get("subject"), fields.get("data", "")
    if type(sequence) is not int or sequence < 1 or not isinstance(subject, str) or not isinstance(data, str):
        raise UnreadableReplyError
    try:
        return StoredMessage(sequence=sequence, subject=subject, data=base64.b64decode(data, validate=True))
    except ValueError:
        raise UnreadableReplyError from None


async def _checked(asking: Awaitable[T], is_whole: Callable[[Any], bool]) -> T:
    try:
        found = await asking
    except (nats.errors.Error, OSError, TimeoutError):
        raise
    except Exception:  # noqa: BLE001 - nats-py reads what it got without a check
        raise UnreadableReplyError from None
    if not is_whole(found):
        raise UnreadableReplyError
    return found


def _is_stream(info: Any) -> bool:  # noqa: ANN401 - nats-py fills the fields with whatever came
    state, config = info.state, info.config
    if state is None or config is None or not isinstance(info.created, dt.datetime) or info.created.tzinfo is None:
        return False
    numbers = (state.messages, state.first_seq, state.last_seq)
    limits = (config.max_msg_size, config.max_age, config.duplicate_window)
    return (
        isinstance(config.name, str)
        and all(type(each) is int and each >= 0 for each in numbers)
        and all(each is None or isinstance(each, int | float) for each in limits)
        and all(isinstance(each, str) for each in config.subjects or ())
    )


def _is_consumer(info: Any) -> bool:  # noqa: ANN401 - as above
    numbers = (info.num_pending, info.num_ack_pending)
    return info.config is not None and all(type(each) is int and each >= 0 for each in numbers)
