"""nats-py's client, which no message from outside can stop."""

import logging
from typing import Any, Final

from nats.aio.client import Client
from nats.aio.msg import Msg

_STATUS: Final = b"NATS/1.0 "
"""Begins what the broker says of a request, such as that no one responds."""
_STATUS_SIZE: Final = len(_STATUS)

_TRACEPARENT: Final = b"traceparent"
_TRACE_HEADERS: Final = frozenset({_TRACEPARENT, b"tracestate"})
_LONGEST_HEADERS: Final = 16 * 1024

logger: logging.Logger = logging.getLogger("thredfi_async.worker")


class TolerantClient(Client):
    """Reads no headers but the broker's own and a trace context, and whatever subject there is.

    Before this, a header or a subject that is not UTF-8 ended nats-py's task that reads from the socket, while the
    connection went on looking connected: one such message in a queue stopped every worker in turn. The broker checks
    neither. The overridden methods are private to nats-py; `tests/worker/test_tolerant_client.py` notices if a new
    version has none of them.
    """

    async def _process_headers(self, headers: Any) -> dict[str, str] | None:  # noqa: ANN401 - as nats-py has it
        if not headers or bytes(headers[:_STATUS_SIZE]) != _STATUS:
            return _trace_context(bytes(headers or b""))
        parent: Any = super()  # nats-py's annotations are partly missing
        try:
            found: dict[str, str] | None = await parent._process_headers(headers)  # noqa: SLF001 - overridden here
        except Exception as error:  # noqa: BLE001 - whatever it is, the message goes on without them
            logger.warning("the headers of a message cannot be read (%s), and are left out", type(error).__name__)
            return None
        return found

    def _build_message(self, sid: int, subject: Any, reply: Any, data: bytes, headers: Any) -> Any:  # noqa: ANN401 - as nats-py has it
        return Msg(self, _readable(subject), _readable(reply), data, headers, _sid=sid)


def _trace_context(headers: bytes) -> dict[str, str] | None:
    """Return of a message's own headers those that name a trace; nothing here uses the others."""
    if _TRACEPARENT not in headers.lower() or len(headers) > _LONGEST_HEADERS:
        return None
    found: dict[str, str] = {}
    for line in headers.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() in _TRACE_HEADERS and value.isascii():
            found[name.decode().lower()] = value.strip().decode()
    return found


def _readable(name: bytes) -> str:
    """Return a subject as text, whatever it is."""
    return name.decode(errors="backslashreplace")
