"""What a call's end means for its item, and for the run: each is decided here, once."""

from thredfi_async import (
    APIError,
    AuthenticationError,
    ClientStateError,
    ConfigurationError,
    ConnectError,
    Customer,
    Effect,
    InvalidRequestError,
    RawResponse,
    ThredfiError,
)
from thredfi_async.bulk.errors import BulkStoppedError
from thredfi_async.bulk.items import ArchiveResult, ItemState
from thredfi_async.bulk.job import Job

_REFUSALS = range(400, 500)


def success_of(job: Job, response: RawResponse[Customer]) -> ArchiveResult:
    """Make the result of a call that succeeded."""
    # Found archived is not archived already, if an earlier call of ours can have done it.
    found = response.already_archived and not job.unsure
    state = ItemState.ALREADY_ARCHIVED if found else ItemState.ARCHIVED
    return ArchiveResult(job.item, job.index, state, response.parsed, None, job.attempts, job.elapsed)


def failure_of(job: Job, error: ThredfiError) -> ArchiveResult:
    """Make the result of an item that is given up, or whose call cannot be repeated."""
    return ArchiveResult(job.item, job.index, _state(job, error), None, error, job.attempts, job.elapsed)


def _state(job: Job, error: ThredfiError) -> ItemState:
    if error.effect is Effect.APPLIED:
        return ItemState.ARCHIVED
    if job.unsure or error.effect is Effect.UNKNOWN:
        return ItemState.UNKNOWN
    match error:
        case _ if error.transient or stops(error) is not None:
            return ItemState.FAILED
        case InvalidRequestError():
            return ItemState.REJECTED
        case APIError() if error.status in _REFUSALS:
            return ItemState.REJECTED
        case _:
            return ItemState.FAILED


def stops(error: ThredfiError) -> BulkStoppedError | None:
    """Say why a run cannot go on after this error, which would meet every other item too; None if it can."""
    if error.concerns_token and not error.transient:
        reason = f"no token can be had ({error}): mend the credentials, and resume"
        return BulkStoppedError(reason, cause="credentials_refused")
    match error:
        case AuthenticationError():
            reason = f"the API refuses the credentials ({error}): mend them, and resume"
            return BulkStoppedError(reason, cause="credentials_refused")
        case ConnectError(transient=False):
            return BulkStoppedError(f"no connection can be trusted ({error})", cause="certificate_refused")
        case ClientStateError() | ConfigurationError():
            return BulkStoppedError(f"the client cannot be used any more ({error})", cause="client_unusable")
        case _:
            return None
