"""What an answer or an error means for the customer; every such decision is made here."""

import enum
import traceback
from typing import Final

from thredfi_async._http_statuses import BAD_REQUEST, CONFLICT, NOT_PROCESSED, REDIRECTS, REQUEST_TIMEOUT, SERVER_FAULT
from thredfi_async.errors import APIError, ConnectionLostError, Effect, RequestTimeoutError, ThredfiError

_ARCHIVED: Final = "ARCHIVED"
_WRONG_FIELDS: Final = "validation_error"


class Standing(enum.IntEnum):
    """What one archive attempt may have done; a call's standing is the highest over its attempts."""

    NOT_APPLIED = 0
    """Not sent, or refused by the API itself."""
    IN_DOUBT = 1
    """Answered, but not by the API for certain: a gateway may have forwarded the request and refused the answer.

    The request is no longer on its way, so that the record tells: if it is active, nothing was applied.
    """
    UNKNOWN = 2
    """Not answered, or answered with a server's failure: the request may still be on its way."""
    APPLIED = 3
    """The server's own answer says that it is done."""

    @property
    def effect(self) -> Effect:
        """What a caller may be told of it."""
        return _EFFECTS[self]


_EFFECTS: Final = {
    Standing.NOT_APPLIED: Effect.NOT_APPLIED,
    Standing.IN_DOUBT: Effect.UNKNOWN,
    Standing.UNKNOWN: Effect.UNKNOWN,
    Standing.APPLIED: Effect.APPLIED,
}
_STANDINGS: Final = {
    Effect.NOT_APPLIED: Standing.NOT_APPLIED,
    Effect.UNKNOWN: Standing.UNKNOWN,
    Effect.APPLIED: Standing.APPLIED,
}


def is_answer(status: int) -> bool:
    """Return whether a status is an answer, and no failure of a server on the way."""
    return status < SERVER_FAULT and status != REQUEST_TIMEOUT


def says_archived(flag: object, status: object) -> bool:
    """Return whether a record shows its customer as archived, by its `is_archived` or its `status`."""
    return flag is True or status == _ARCHIVED


def attempt_standing(error: ThredfiError) -> Standing:
    """Return what one archive attempt may have done, judged by the error it ended in."""
    match error:
        case APIError():
            return _answered(error)
        case ConnectionLostError() | RequestTimeoutError(phase="read"):
            return Standing.UNKNOWN
        case _:
            # Never sent, or decided by the code that read the answer (a ResponseDecodeError carries its own effect).
            return _STANDINGS[error.effect]


def _answered(error: APIError) -> Standing:
    status = error.status
    if not is_answer(status):
        return Standing.UNKNOWN
    if status in NOT_PROCESSED:
        return Standing.NOT_APPLIED
    if status in REDIRECTS:
        return Standing.NOT_APPLIED if error.is_same_path else Standing.IN_DOUBT
    if not error.is_enveloped:
        return Standing.IN_DOUBT
    # No one documents what archiving an archived customer answers: it may be one of these.
    open_ = status == CONFLICT or (status == BAD_REQUEST and error.error_code != _WRONG_FIELDS)
    return Standing.IN_DOUBT if open_ else Standing.NOT_APPLIED


def raised_at(error: Exception) -> str:
    """Return an exception's class and where it was raised: all that may be shown, since its words may quote data."""
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    return f"{type(error).__name__} ({frame.f_code.co_filename}, line {line})"
