"""The HTTP answer for a failed call of the client, for any web framework.

It checks the effect first: if the customer is archived, the request succeeded, whatever went wrong; and the answer is
"no" only when that is certain.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Final
from uuid import uuid4

from thredfi_async import (
    APIError,
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
"""Credentials or settings, which the caller cannot fix: alert on this status."""
_STATUS: Final[tuple[tuple[type[ThredfiError], int], ...]] = (
    (InvalidRequestError, 422),
    (BadRequestError, 422),
    (UnprocessableEntityError, 422),
    # For the caller a missing customer and another partner's are the same.
    (NotFoundError, 404),
    (PermissionDeniedError, 404),
    (ConflictError, 409),
    (RateLimitedError, 503),
    # The API cannot be reached, or its answer is invalid.
    (TransportError, 502),
    (ServerError, 502),
    (ResponseDecodeError, 502),
    (ThredfiError, _OURS),
)
_REQUEST_ID: Final = re.compile(r"[\w.:-]{1,128}", re.ASCII)


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, independent of a framework."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


def answer_to(error: ThredfiError) -> Answer:
    """Return the answer for an error: `archived` is true, false, or null for "not known"."""
    if error.effect is Effect.APPLIED:
        # Only the record in the API's answer could not be read.
        return Answer(200, {"archived": True})
    if error.effect is Effect.UNKNOWN:
        # The caller can repeat the request with this key.
        return Answer(504, {"archived": None}, {"Idempotency-Key": error.idempotency_key or ""})
    if isinstance(error, RequestTimeoutError) and error.phase == "queue":
        # The service itself is overloaded.
        return Answer(503, {"archived": False}, {"Retry-After": "1"})
    # A refusal of the token endpoint says nothing about the customer.
    is_ours = error.is_token_error and not error.transient
    is_gateways = isinstance(error, APIError) and not error.is_enveloped and not error.transient
    if is_gateways and not is_ours:
        # A gateway refused, which knows nothing of customers.
        return Answer(502, {"archived": False})
    status = _OURS if is_ours else next(status for kind, status in _STATUS if isinstance(error, kind))
    return Answer(status, {"archived": False, **_wrong(error)}, _later(error))


def _wrong(error: ThredfiError) -> dict[str, list[str]]:
    """Return what the caller can fix, without quotations: the API's text on a field may hold the customer's data."""
    if isinstance(error, InvalidRequestError):
        return {"problems": list(error.problems)}
    return {"fields": list(error.details)} if isinstance(error, BadRequestError | UnprocessableEntityError) else {}


def _later(error: ThredfiError) -> dict[str, str]:
    if isinstance(error, RateLimitedError):
        return {"Retry-After": str(ceil(error.retry_after or 1.0))}
    return {}


def request_id_of(headers: Mapping[str, str]) -> str:
    """Return the caller's request id if it is safe in logs and headers, or else a new one."""
    given = headers.get("X-Request-Id", "")
    return given if _REQUEST_ID.fullmatch(given) else str(uuid4())
