"""Says what to do about customers that are not archived, from what a journal keeps: a state, and a reason."""

import re
from collections.abc import Mapping
from typing import Final

from thredfi_async import APIError, RequestTimeoutError
from thredfi_async._http_statuses import BAD_REQUEST, FORBIDDEN, NOT_FOUND, UNAUTHORIZED
from thredfi_async._jobs.states import ItemState
from thredfi_async._outcomes import TABLE, Remedy
from thredfi_async.bulk.errors import BusinessSkippedError, CallInterruptedError, StillActiveError
from thredfi_async.bulk.line_counts import PENDING

_ROWS: Final = (BusinessSkippedError.row, CallInterruptedError.row, StillActiveError.row)
"""What a bulk run's own codes mean."""
_ASKED_FIRST: Final[Mapping[str, str]] = {
    # Not "settle": that changes nothing for a customer that was asked about and is still active.
    ItemState.UNKNOWN: "Resume the run; it asks the API first, and sends again only who is still active.",
    PENDING: "Resume the run; it asks the API about these first.",
}
"""Whatever the reason is, only the API can tell."""
_AGAIN: Final = "run the same again"
"""What remedies say of a call, which a run does when it is resumed."""
_STATUSES: Final = {
    "authentication_required": UNAUTHORIZED,
    "invalid_token": UNAUTHORIZED,
    "not_found": NOT_FOUND,
    "permission_denied": FORBIDDEN,
    "validation_error": BAD_REQUEST,
}
"""The status with which each of the API's own codes comes, as far as they are known."""
_STATUS: Final = re.compile(r"http_([1-9][0-9]{2})", re.ASCII)


def advice_on(state: str, code: str | None) -> str:
    """Return what to do about customers, as a sentence.

    Args:
        state: Their state.
        code: The machine-readable reason, if there is one.
    """
    if state in _ASKED_FIRST:
        return _ASKED_FIRST[state]
    refused = state == ItemState.REJECTED
    words = (remedy_of(code, enveloped=refused) or (Remedy.FIX_INPUT if refused else Remedy.RUN_AGAIN)).value
    if not refused:
        words = words.replace(_AGAIN, "resume the run") if _AGAIN in words else f"{words}, then resume the run"
    return f"{words[0].upper()}{words[1:]}."


def remedy_of(code: str | None, *, enveloped: bool) -> Remedy | None:
    """Return what to do about an error of which only its machine-readable reason was kept.

    Args:
        code: The reason, as `code_of` gives it.
        enveloped: Whether the API itself refused the customer, and no gateway.

    Returns:
        The remedy of the first row that fits; None for a reason that says too little.
    """
    if code is None:
        return None
    if code.startswith("timeout_"):
        return next(row.remedy for row in TABLE if row.kind is RequestTimeoutError)
    named = _STATUS.fullmatch(code)
    status = _STATUSES.get(code) if named is None else int(named[1])
    if status is not None:
        error = APIError("", status=status, is_enveloped=enveloped or named is None)
        return next(row.remedy for row in TABLE if row.fits(error))
    return next(
        (row.remedy for row in (*_ROWS, *TABLE) if row.code == code and not row.token and row.transient is not False),
        None,
    )
