"""Decides what the end of a call means for its item and for the run."""

from thredfi_async import (
    AuthenticationError,
    ClientStateError,
    ConfigurationError,
    ConnectError,
    Customer,
    Effect,
    RawResponse,
    ThredfiError,
)
from thredfi_async.bulk.errors import BulkStoppedError
from thredfi_async.bulk.items import ArchiveResult, ItemState, is_refusal
from thredfi_async.bulk.job import Job


def success_of(job: Job, response: RawResponse[Customer]) -> ArchiveResult:
    """Return the result of a call that succeeded."""
    # Not `already_archived` if an earlier call of ours can have archived it.
    found = response.already_archived and not job.unsure
    state = ItemState.ALREADY_ARCHIVED if found else ItemState.ARCHIVED
    return ArchiveResult(job.item, job.index, state, response.parsed, None, job.attempts, job.elapsed)


def failure_of(job: Job, error: ThredfiError) -> ArchiveResult:
    """Return the result of an item that is given up, or whose call cannot be repeated."""
    return ArchiveResult(job.item, job.index, _state(job, error), None, error, job.attempts, job.elapsed)


def _state(job: Job, error: ThredfiError) -> ItemState:
    if error.effect is Effect.APPLIED:
        return ItemState.ARCHIVED
    if job.unsure or error.effect is Effect.UNKNOWN:
        return ItemState.UNKNOWN
    return ItemState.REJECTED if is_refusal(error) else ItemState.FAILED


def stops(error: ThredfiError) -> BulkStoppedError | None:
    """Return why a run cannot go on after this error, since other items would meet it too; None if it can."""
    if error.is_token_error and not error.transient:
        reason = f"no token could be fetched ({error}): fix the credentials, and resume"
        return BulkStoppedError(reason, cause="credentials_refused")
    match error:
        case AuthenticationError():
            reason = f"the API refuses the credentials ({error}): fix them, and resume"
            return BulkStoppedError(reason, cause="credentials_refused")
        case ConnectError(transient=False):
            return BulkStoppedError(f"no connection can be trusted ({error})", cause="certificate_refused")
        case ClientStateError() | ConfigurationError():
            return BulkStoppedError(f"the client cannot be used any more ({error})", cause="client_unusable")
        case _:
            return None
