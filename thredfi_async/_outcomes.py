"""What an answer or an error means for the customer: each is decided here, once."""

from typing import Final

from thredfi_async._statuses import REQUEST_TIMEOUT, SERVER_FAULT
from thredfi_async.errors import APIError, ConnectionLostError, Effect, RequestTimeoutError, ThredfiError

_ARCHIVED: Final = "ARCHIVED"


def says_archived(flag: object, status: object) -> bool:
    """Say whether a record shows its customer archived: by its `is_archived`, or by its `status`."""
    return flag is True or status == _ARCHIVED


def attempt_effect(error: ThredfiError) -> Effect:
    """Say what one attempt of an archive may have done, by the error it ended in: the only such decision."""
    match error:
        case APIError(status=status):
            return Effect.UNKNOWN if status >= SERVER_FAULT or status == REQUEST_TIMEOUT else Effect.NOT_APPLIED
        case ConnectionLostError() | RequestTimeoutError(phase="read"):
            return Effect.UNKNOWN
        case _:
            # Never sent, or decided by whoever read the answer (a ResponseDecodeError brings its own).
            return error.effect
