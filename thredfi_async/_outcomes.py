"""What an answer or an error means for the customer; every such decision is made here."""

from typing import Final

from thredfi_async._http_statuses import REQUEST_TIMEOUT, SERVER_FAULT
from thredfi_async.errors import APIError, ConnectionLostError, Effect, RequestTimeoutError, ThredfiError

_ARCHIVED: Final = "ARCHIVED"


def says_archived(flag: object, status: object) -> bool:
    """Return whether a record shows its customer as archived, by its `is_archived` or its `status`."""
    return flag is True or status == _ARCHIVED


def attempt_effect(error: ThredfiError) -> Effect:
    """Return what one archive attempt may have done, judged by the error it ended in."""
    match error:
        case APIError(status=status):
            return Effect.UNKNOWN if status >= SERVER_FAULT or status == REQUEST_TIMEOUT else Effect.NOT_APPLIED
        case ConnectionLostError() | RequestTimeoutError(phase="read"):
            return Effect.UNKNOWN
        case _:
            # Never sent, or decided by the code that read the answer (a ResponseDecodeError carries its own effect).
            return error.effect
