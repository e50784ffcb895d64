"""Decides what the end of a call means for its item and for the run."""

from collections.abc import Mapping
from typing import Final

from thredfi_async import Customer, Effect, RawResponse, ThredfiError
from thredfi_async._jobs.states import ItemState
from thredfi_async._outcomes import StopReason, classify
from thredfi_async.bulk.errors import BulkStoppedError
from thredfi_async.bulk.items import ArchiveResult
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
    return ItemState.REJECTED if classify(error).is_refusal else ItemState.FAILED


def stops(error: ThredfiError) -> BulkStoppedError | None:
    """Return why a run cannot go on after this error, since other items would meet it too; None if it can."""
    row = classify(error)
    if row.stops is None:
        return None
    reason = f"{_STOPPED[row.stops]} ({error}): {row.remedy.value}, and resume"
    stopped = BulkStoppedError(reason, cause=row.stops)
    stopped.__cause__ = error
    return stopped


_STOPPED: Final[Mapping[StopReason, str]] = {
    "credentials_refused": "the credentials are refused",
    "certificate_refused": "no connection can be trusted",
    "client_unusable": "the client cannot be used any more",
    "proxy_refused": "the proxy refuses every request",
    "wrong_base_url": "the base URL is not the API's",
}
