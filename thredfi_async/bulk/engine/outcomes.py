"""What the end of a call means for its item and for the run, as the table in `_outcomes` says of its error."""

from collections.abc import Mapping
from typing import Final

from thredfi_async import APIError, Customer, Effect, RawResponse, ThredfiError
from thredfi_async._jobs.states import ItemState
from thredfi_async._outcomes import StopReason, classify
from thredfi_async.bulk.engine.job import Job
from thredfi_async.bulk.errors import BulkStoppedError
from thredfi_async.bulk.items import ArchiveResult

_KEPT_BODY: Final = 2_048
_KEPT_WORDS: Final = 512


def success_of(job: Job, response: RawResponse[Customer]) -> ArchiveResult:
    """Return the result of a call that succeeded."""
    # Not `already_archived` if an earlier call of ours can have archived it.
    is_ours = job.doubt_since is not None or job.before is ItemState.ARCHIVED
    state = ItemState.ALREADY_ARCHIVED if response.already_archived and not is_ours else ItemState.ARCHIVED
    return ArchiveResult(job.item, job.index, state, response.parsed, None, job.attempts, job.elapsed)


def found_archived(job: Job, customer: Customer) -> ArchiveResult:
    """Return the result of an item whose record shows that an earlier request of ours can have archived it."""
    return ArchiveResult(job.item, job.index, ItemState.ARCHIVED, customer, None, job.attempts, job.elapsed)


def failure_of(job: Job, error: ThredfiError) -> ArchiveResult:
    """Return the result of an item that is given up, or whose call cannot be repeated."""
    return ArchiveResult(job.item, job.index, _state(job, error), None, error, job.attempts, job.elapsed)


def _state(job: Job, error: ThredfiError) -> ItemState:
    if job.before is not None and job.before.is_success:
        # It was sent again by request: whatever became of that, nothing takes its archiving back.
        return job.before
    if error.effect is Effect.APPLIED:
        return ItemState.ARCHIVED
    if error.effect is Effect.UNKNOWN or job.doubt_since is not None:
        # No refusal takes a doubt away: only a record that is active does, once nothing can still be on its way.
        return ItemState.UNKNOWN
    return ItemState.REJECTED if classify(error).is_refusal else ItemState.FAILED


_STOPPED: Final[Mapping[StopReason, str]] = {
    "credentials_refused": "the credentials are refused",
    "certificate_refused": "no connection can be trusted",
    "client_unusable": "the client cannot be used any more",
    "proxy_refused": "the proxy refuses every request",
    "wrong_base_url": "the base URL is not the API's",
}


def stop_for(error: ThredfiError) -> BulkStoppedError | None:
    """Return why a run cannot go on after this error, since other items would meet it too; None if it can."""
    row = classify(error)
    if row.stops is None:
        return None
    stopped = BulkStoppedError(f"{_STOPPED[row.stops]} ({error}): {row.remedy.value}, and resume", cause=row.stops)
    stopped.__cause__ = error
    return stopped


def asked_to_wait(error: ThredfiError) -> float:
    """Return the seconds that the API asked to wait."""
    return (error.retry_after or 0.0) if isinstance(error, APIError) else 0.0


def slim(error: ThredfiError) -> ThredfiError:
    """Let go of what an error holds beside its values, since a run may hold a window of errors.

    Its traceback holds the frames of the call, and with them the answer; a page may have 16 KiB.
    """
    error.__traceback__ = error.__context__ = None
    if error.__cause__ is not None:
        error.__cause__.__traceback__ = None
    if isinstance(error, APIError):
        if len(error.body) > _KEPT_BODY:
            error.body, error.details = error.body[:_KEPT_BODY], {}
        if error.message is not None:
            error.message = error.message[:_KEPT_WORDS]
    return error
