"""The customers of a business: archive, get and list."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from thredfi_async._checks.identifiers import Identifier
from thredfi_async._codec.response_headers import request_id
from thredfi_async._engine.pipeline import AS_THE_CLIENT, CallOptions, Pipeline
from thredfi_async._interfaces import Outcome
from thredfi_async.errors import Effect
from thredfi_async.models import Customer, CustomerBody, RawResponse
from thredfi_async.resources._requests import CustomerRequests
from thredfi_async.retry import RetryPolicy
from thredfi_async.settings import Timeouts

__all__ = ["Customers", "RawCustomers"]


class Customers:
    """What the API offers for a business's customers; reached as `client.customers`.

    Args:
        pipeline: Carries the calls.
        base_url: Where the API is, without a slash at the end.
    """

    def __init__(self, pipeline: Pipeline, base_url: str) -> None:
        """Keep where to send and how."""
        self._requests = CustomerRequests(pipeline, base_url)

    @property
    def with_raw_response(self) -> "RawCustomers":
        """The same calls, returning a `RawResponse` that holds the answer's status and headers too."""
        return RawCustomers(self._requests)

    async def archive(  # noqa: PLR0913 - two ids, the body, and what a call may bring of its own by name
        self,
        business_id: Identifier,
        customer_id: Identifier,
        customer: CustomerBody | None = None,
        *,
        settle: bool = True,
        timeouts: Timeouts | None = None,
        retry: RetryPolicy | None = None,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Customer:
        """Archive one customer (contract: "Archive a customer").

        Assume that the body's fields overwrite the record's: nobody documents that they do not. Without a body the
        server's own record is fetched and sent, and an edit made between the two can be lost; a customer that this
        shows archived already is returned as it is, and nothing is posted.

        Args:
            business_id: The business's UUID.
            customer_id: The customer's UUID.
            customer: The body, as a `CustomerRequest` or a mapping of its fields; None for the server's own record.
            settle: Whether to ask for the record once when the outcome is not known; true by default.
            timeouts: Bounds for this call, in the place of the client's.
            retry: A policy for this call, in the place of the client's.
            idempotency_key: The key that all attempts carry; a new UUID by default.
            headers: Further headers for this call.

        Returns:
            The archived customer.

        Raises:
            InvalidRequestError: An id, the body, the key or a header is wrong; nothing was sent.
            APIError: The server refused; `.effect` is NOT_APPLIED unless an earlier attempt may have been applied.
            TransportError: No whole answer came; `.effect` says whether a request may have been applied.
            ResponseDecodeError: A success whose body is no proof (UNKNOWN), or cannot be read whole (APPLIED).
            ClientStateError: The client is closed, or belongs to another event loop or process.
        """
        options = _options(timeouts, retry, settle=settle)
        outcome = await self._requests.archive(
            business_id, customer_id, customer, options, idempotency_key=idempotency_key, headers=headers
        )
        return outcome.value

    async def get(
        self,
        business_id: Identifier,
        customer_id: Identifier,
        *,
        timeouts: Timeouts | None = None,
        retry: RetryPolicy | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Customer:
        """Get one customer, archived or not (contract: "Get and list").

        Args:
            business_id: The business's UUID.
            customer_id: The customer's UUID.
            timeouts: Bounds for this call, in the place of the client's.
            retry: A policy for this call, in the place of the client's.
            headers: Further headers for this call.

        Returns:
            The customer, with its documents.

        Raises:
            ThredfiError: As for `archive`; the effect is always NOT_APPLIED.
        """
        options = _options(timeouts, retry)
        return (await self._requests.get(business_id, customer_id, options, headers)).value

    def list(  # noqa: PLR0913 - one business, the filters, and what a call may bring of its own by name
        self,
        business_id: Identifier,
        *,
        include_archived: bool = False,
        external_id: str | None = None,
        page_size: int | None = None,
        timeouts: Timeouts | None = None,
        retry: RetryPolicy | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Customer]:
        """Iterate over a business's customers, page by page (contract: "Get and list").

        Args:
            business_id: The business's UUID.
            include_archived: Whether archived customers are listed too; false by default.
            external_id: Only the customer with exactly this external id.
            page_size: Customers a page; the server's choice by default.
            timeouts: Bounds for each page, in the place of the client's.
            retry: A policy for each page, in the place of the client's.
            headers: Further headers for each page.

        Returns:
            An async iterator that fetches a page when it comes to it; its customers have no documents.

        Raises:
            InvalidRequestError: An argument is wrong; raised at once, before anything is sent.
            ResponseDecodeError: While iterating: a page cannot be read, or its next link leads to another origin.
            ThredfiError: While iterating, as for `get`.
        """
        options = _options(timeouts, retry)
        filters: dict[str, Any] = {"external_id": external_id, "page_size": page_size}
        if include_archived:
            filters["include_archived"] = "true"
        return self._requests.list(business_id, filters, options, headers)


class RawCustomers:
    """`Customers`, with the answer beside the result."""

    def __init__(self, requests: CustomerRequests) -> None:
        """Share the other side's requests."""
        self._requests = requests

    async def archive(  # noqa: PLR0913 - as Customers.archive
        self,
        business_id: Identifier,
        customer_id: Identifier,
        customer: CustomerBody | None = None,
        *,
        settle: bool = True,
        timeouts: Timeouts | None = None,
        retry: RetryPolicy | None = None,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> RawResponse[Customer]:
        """Archive one customer, as `Customers.archive` does.

        Returns:
            The customer, the answer that settled the call, and whether the customer was archived already.
        """
        options = _options(timeouts, retry, settle=settle)
        outcome = await self._requests.archive(
            business_id, customer_id, customer, options, idempotency_key=idempotency_key, headers=headers
        )
        return _raw(outcome, already_archived=outcome.effect is Effect.NOT_APPLIED)

    async def get(
        self,
        business_id: Identifier,
        customer_id: Identifier,
        *,
        timeouts: Timeouts | None = None,
        retry: RetryPolicy | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> RawResponse[Customer]:
        """Get one customer, as `Customers.get` does.

        Returns:
            The customer and the answer.
        """
        options = _options(timeouts, retry)
        return _raw(await self._requests.get(business_id, customer_id, options, headers), already_archived=False)


def _options(timeouts: Timeouts | None, retry: RetryPolicy | None, *, settle: bool = True) -> CallOptions:
    if timeouts is None and retry is None and settle:
        return AS_THE_CLIENT
    return CallOptions(timeouts=timeouts, retry=retry, settle=settle)


def _raw(outcome: Outcome[Customer], *, already_archived: bool) -> RawResponse[Customer]:
    return RawResponse(
        parsed=outcome.value,
        status=outcome.response.status,
        headers=outcome.response.headers,
        request_id=request_id(outcome.response),
        attempts=outcome.attempts,
        elapsed=outcome.elapsed,
        already_archived=already_archived,
        idempotency_key=outcome.idempotency_key,
    )
