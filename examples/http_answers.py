"""What a web service answers when a call of the client fails; it knows no web framework, so that any can use it.

It asks about the effect first: whatever went wrong, an archived customer is what was asked for, and nobody may be told
"no" while that is not certain.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Final
from uuid import uuid4

from thredfi_async import (
    BadRequestError,
    ConflictError,
    Effect,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    RequestTimeoutError,
    ResponseDecodeError,
    ServerError,
    ThredfiError,
    Timeouts,
    TransportError,
    UnprocessableEntityError,
)

IN_A_REQUEST: Final = Timeouts(queue=1.0, connect=2.0, read=5.0, deadline=8.0)
"""A call is over after `queue` and `deadline`, 9 s; a proxy in front of the service must wait for longer than that."""

_OURS: Final = 500
"""Credentials or settings, which the caller cannot mend: let an alarm hang on this one."""
_STATUS: Final[tuple[tuple[type[ThredfiError], int], ...]] = (
    (InvalidRequestError, 422),
    (BadRequestError, 422),
    (UnprocessableEntityError, 422),
    # To the caller it is the same whether there is no such customer or it is another partner's.
    (NotFoundError, 404),
    (PermissionDeniedError, 404),
    (ConflictError, 409),
    (RateLimitedError, 503),
    # The API cannot be reached, or answers nonsense.
    (TransportError, 502),
    (ServerError, 502),
    (ResponseDecodeError, 502),
    (ThredfiError, _OURS),
)
_REQUEST_ID: Final = re.compile(r"[\w.:-]{1,128}", re.ASCII)


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, before a framework makes one of it."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


def answer_to(error: ThredfiError) -> Answer:
    """Say what to answer: `archived` is true, false, or null for "not known"."""
    if error.effect is Effect.APPLIED:
        # Only the record in the API's answer could not be read.
        return Answer(200, {"archived": True})
    if error.effect is Effect.UNKNOWN:
        # The caller can make the same request again, with this key.
        return Answer(504, {"archived": None}, {"Idempotency-Key": error.idempotency_key or ""})
    if isinstance(error, RequestTimeoutError) and error.phase == "queue":
        # The service itself has more to do than it gets done.
        return Answer(503, {"archived": False}, {"Retry-After": "1"})
    # A refusal of the token endpoint says nothing about the customer.
    is_ours = error.is_token_error and not error.transient
    status = _OURS if is_ours else next(status for kind, status in _STATUS if isinstance(error, kind))
    return Answer(status, {"archived": False, **_wrong(error)}, _later(error))


def _wrong(error: ThredfiError) -> dict[str, list[str]]:
    """Name what the caller can mend, and quote nothing: what the API says of a field may hold the customer's data."""
    if isinstance(error, InvalidRequestError):
        return {"problems": list(error.problems)}
    return {"fields": list(error.details)} if isinstance(error, BadRequestError | UnprocessableEntityError) else {}


def _later(error: ThredfiError) -> dict[str, str]:
    if isinstance(error, RateLimitedError):
        return {"Retry-After": str(ceil(error.retry_after or 1.0))}
    return {}


def request_id_of(headers: Mapping[str, str]) -> str:
    """Take over the caller's request id if it is one that logs and headers can take, or else make one."""
    given = headers.get("X-Request-Id", "")
    return given if _REQUEST_ID.fullmatch(given) else str(uuid4())
