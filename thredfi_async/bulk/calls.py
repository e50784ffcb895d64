"""Calls the API for one item; asks about it first if an earlier request may have archived it."""

import time
from typing import Any, Protocol

from thredfi_async import Customer, Effect, RawResponse, ThredfiError
from thredfi_async._jobs.states import ItemState
from thredfi_async._outcomes import says_archived
from thredfi_async.bulk.items import ArchiveResult
from thredfi_async.bulk.job import Job
from thredfi_async.bulk.judgement import stops, success_of


class ArchiveClient(Protocol):
    """The part of a client that a run uses: `customers` with `with_raw_response.archive` and `get`."""

    @property
    def customers(self) -> Any:  # noqa: ANN401 - a stand-in for a test has two methods of it
        """The resource for customers."""
        ...


class UnexpectedError(Exception):
    """An exception from a call that is not one of this library's errors.

    Args:
        reason: The exception.
    """

    def __init__(self, reason: Exception) -> None:
        super().__init__(reason)
        self.reason = reason


class Calls:
    """Makes the calls of a run.

    Args:
        client: The client.
        settle: Whether a call asks about its own outcome when that is not known.
    """

    def __init__(self, client: ArchiveClient, *, settle: bool) -> None:
        """Look the methods up once."""
        self._archive = client.customers.with_raw_response.archive
        self._get = client.customers.get
        self._settle = settle

    async def make(self, job: Job) -> ArchiveResult:
        """Archive the item.

        Args:
            job: The item; updated with what its call sent, and whether its outcome is in doubt.

        Returns:
            The result of a success.

        Raises:
            ThredfiError: The call failed.
            UnexpectedError: The call raised anything else.
        """
        began = time.monotonic()
        try:
            found = await self._ask(job) if job.unsure else None
            if found is not None:
                return ArchiveResult(
                    job.item, job.index, ItemState.ARCHIVED, found, None, job.attempts, time.monotonic() - began
                )
            item = job.item
            response: RawResponse[Customer] = await self._archive(
                item.business_id, item.customer_id, item.customer, settle=self._settle, idempotency_key=job.key
            )
        except ThredfiError as error:
            job.attempts += error.attempts
            job.key = job.key or error.idempotency_key
            job.unsure = job.unsure or error.effect is Effect.UNKNOWN
            raise
        except Exception as error:
            raise UnexpectedError(error) from error
        else:
            job.attempts += response.attempts
            job.elapsed += time.monotonic() - began
            began = time.monotonic()
            return success_of(job, response)
        finally:
            job.elapsed += time.monotonic() - began

    async def _ask(self, job: Job) -> Customer | None:
        """Get the record; return it if it shows the customer archived."""
        customer: Customer | None = None
        job.answered = False
        try:
            customer = await self._get(job.item.business_id, job.item.customer_id)
        except ThredfiError as error:
            if error.transient or stops(error) is not None:
                raise
            # A refusal: the archive call will show whether the customer can be archived.
            job.attempts += error.attempts
        else:
            job.attempts += 1
        job.answered = True
        if customer is not None and says_archived(customer.is_archived, customer.status):
            return customer
        if job.inherited:
            # What an earlier session sent would have arrived by now.
            job.inherited = job.unsure = False
        return None
