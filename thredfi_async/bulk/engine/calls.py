"""Calls the API for one item; asks about it first if an earlier request may have archived it."""

import re
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol
from uuid import UUID

import attrs

from thredfi_async import Customer, Effect, RawResponse, RetryPolicy, ThredfiClient, ThredfiError
from thredfi_async._jobs.metrics import Metrics
from thredfi_async._outcomes import classify, says_archived
from thredfi_async.bulk.engine.job import Job
from thredfi_async.bulk.engine.outcomes import failure_of, found_archived, success_of
from thredfi_async.bulk.errors import StillActiveError
from thredfi_async.bulk.items import ArchiveResult

_ATTEMPTS: Final = 2
"""Attempts of a call's requests; a run sends an item again later, when others have had their turn."""
# As `Call.annotate` writes it.
_NOTE: Final = re.compile(r"with effect (NOT_APPLIED|UNKNOWN|APPLIED), attempts (\d{1,9}), idempotency key (\S+)")


class ArchiveClient(Protocol):
    """The part of a client that a run uses: `customers` with `with_raw_response.archive` and `get`."""

    @property
    def customers(self) -> Any:  # noqa: ANN401 - a stand-in for a test has two methods of it
        """The resource for customers."""
        ...


def base_url_of(client: ArchiveClient) -> str | None:
    """Return where a client sends to; None for a stand-in, which does not say."""
    return client.base_url if isinstance(client, ThredfiClient) else None


class MakesCalls(Protocol):
    """Makes the calls of a run."""

    async def make(self, job: Job) -> ArchiveResult:
        """Make an item's call; it updates the job, and raises what `Calls.make` does."""
        ...

    async def ask(self, business_id: UUID, customer_id: UUID) -> None:
        """Get a record, to see whether the API answers."""
        ...


class Calls:
    """Makes the calls of a run that archives.

    Args:
        client: The client.
        settle: Whether a call asks about its own outcome when that is not known.
        lifetime: Seconds for which a request that was not answered may still be on its way.
        now: Tells the time, in monotonic seconds.
        metrics: Counts requests.
    """

    def __init__(
        self, client: ArchiveClient, *, settle: bool, lifetime: float, now: Callable[[], float], metrics: Metrics
    ) -> None:
        """Look the methods up once."""
        self._archive = client.customers.with_raw_response.archive
        policy = getattr(client, "retry", None)
        if isinstance(policy, RetryPolicy) and policy.max_attempts > _ATTEMPTS:
            # More of them would hold a place of the run's concurrency while they wait.
            self._archive = partial(self._archive, retry=attrs.evolve(policy, max_attempts=_ATTEMPTS))
        self._get = client.customers.get
        self._settle = settle
        self._lifetime = lifetime
        self._now = now
        self._metrics = metrics

    async def make(self, job: Job) -> ArchiveResult:
        """Archive the item.

        Args:
            job: The item; updated with what its call sent, and whether its outcome is in doubt.

        Returns:
            The result of a success.

        Raises:
            ThredfiError: The call failed.
        """
        began = time.monotonic()
        response: RawResponse[Customer] | None = None
        try:
            found = await self._ask_about(job) if job.doubt_since is not None else None
            if found is None:
                response = await self._send(job)
        finally:
            job.elapsed += time.monotonic() - began
        if found is not None:
            return found_archived(job, found)
        assert response is not None  # noqa: S101 - it was not found, so it was sent
        return success_of(job, response)

    async def ask(self, business_id: UUID, customer_id: UUID) -> None:
        """Get a record, to see whether the API answers.

        Raises:
            ThredfiError: As `get` does.
        """
        await _get(self._get, business_id, customer_id, self._metrics)

    async def _send(self, job: Job) -> RawResponse[Customer]:
        item, first = job.item, job.error is None
        try:
            response: RawResponse[Customer] = await self._archive(
                item.business_id, item.customer_id, item.customer, settle=self._settle, idempotency_key=job.key
            )
        except ThredfiError as error:
            self._count(job, error.attempts, first=first, asked=self._settle and error.effect is Effect.UNKNOWN)
            job.key = job.key or error.idempotency_key
            if error.effect is Effect.UNKNOWN:
                job.doubt_since = self._now()
            raise
        except BaseException as error:
            effect, attempts = effect_of(error)
            self._count(job, attempts, first=first, asked=False)
            if effect is Effect.UNKNOWN:
                job.doubt_since = self._now()
            raise
        self._count(job, response.attempts, first=first, asked=response.already_archived and item.customer is not None)
        return response

    def _count(self, job: Job, requests: int, *, first: bool, asked: bool) -> None:
        """Count a call's requests: the GET of a call without a body, and one that settles a call, repeat nothing."""
        job.attempts += requests
        self._metrics.sent(requests, max(0, requests - first - (job.item.customer is None) - asked))

    async def _ask_about(self, job: Job) -> Customer | None:
        """Get the record; return it if it shows the customer archived."""
        customer: Customer | None = None
        job.answered = False
        try:
            customer = await _get(self._get, job.item.business_id, job.item.customer_id, self._metrics)
        except ThredfiError as error:
            job.attempts += error.attempts
            if error.transient or classify(error).stops is not None:
                raise
            # A refusal: the archive call will show whether the customer can be archived.
        else:
            job.attempts += 1
        job.answered = True
        if customer is not None and says_archived(customer.is_archived, customer.status):
            return customer
        if customer is not None and job.doubt_since is not None and self._now() - job.doubt_since >= self._lifetime:
            # What was sent would have arrived by now.
            job.doubt_since = None
        return None


class Questions:
    """Makes the calls of a run that only asks about records, and changes none.

    Args:
        client: The client.
        metrics: Counts requests.
    """

    def __init__(self, client: ArchiveClient, *, metrics: Metrics) -> None:
        """Look the method up once."""
        self._get = client.customers.get
        self._metrics = metrics

    async def make(self, job: Job) -> ArchiveResult:
        """Ask about the item.

        Args:
            job: The item; updated with what its call sent.

        Returns:
            What the record shows: archived, or active, which leaves it unknown.

        Raises:
            ThredfiError: The call failed.
        """
        began = time.monotonic()
        try:
            customer = await self._record(job)
        finally:
            job.elapsed += time.monotonic() - began
        if says_archived(customer.is_archived, customer.status):
            return found_archived(job, customer)
        error = StillActiveError("the record shows the customer active, and a request may still be on its way")
        return failure_of(job, error)

    async def ask(self, business_id: UUID, customer_id: UUID) -> None:
        """Get a record, to see whether the API answers; raise as `get` does."""
        await _get(self._get, business_id, customer_id, self._metrics)

    async def _record(self, job: Job) -> Customer:
        try:
            customer = await _get(self._get, job.item.business_id, job.item.customer_id, self._metrics)
        except ThredfiError as error:
            job.attempts += error.attempts
            raise
        job.attempts += 1
        return customer


async def _get(get: Callable[..., Any], business_id: UUID, customer_id: UUID, metrics: Metrics) -> Customer:
    """Get a record, and count the requests."""
    try:
        customer: Customer = await get(business_id, customer_id)
    except ThredfiError as error:
        metrics.sent(error.attempts, max(0, error.attempts - 1))
        raise
    metrics.sent(1, 0)
    return customer


def effect_of(error: BaseException) -> tuple[Effect, int]:
    """Return what a call that was cut off has done, and how many requests it sent, as the client notes on it."""
    for note in getattr(error, "__notes__", ()):
        if (found := _NOTE.search(note)) is not None:
            return Effect[found[1]], int(found[2])
    # Whatever it was, it may have sent something.
    return Effect.UNKNOWN, 0
