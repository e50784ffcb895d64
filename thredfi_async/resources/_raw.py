"""Makes the answer that a call returns beside its result."""

from typing import TypeVar

from thredfi_async._codec.response_headers import request_id
from thredfi_async._interfaces import Outcome
from thredfi_async.models import RawResponse

T = TypeVar("T")


def raw_response(outcome: Outcome[T], *, already_archived: bool = False) -> RawResponse[T]:
    """Return the answer that decided a call.

    Args:
        outcome: How the call succeeded.
        already_archived: Whether the customer was archived, but certainly not by this call.
    """
    return RawResponse(
        parsed=outcome.value,
        status=outcome.response.status,
        headers=outcome.response.headers,
        request_id=request_id(outcome.response),
        attempts=outcome.attempts,
        elapsed=outcome.elapsed,
        already_archived=already_archived,
        idempotency_key=outcome.idempotency_key,
    )
