"""The customers of a business: archive, get and list."""

from collections.abc import Mapping
from typing import Any

from thredfi_async._checks.headers import NO_HEADERS
from thredfi_async._checks.identifiers import Identifier
from thredfi_async._engine.pipeline import Pipeline
from thredfi_async._interfaces import Hidden
from thredfi_async.errors import Effect
from thredfi_async.models import Customer, CustomerBody, RawResponse
from thredfi_async.resources._archiving import Given
from thredfi_async.resources._listing import CustomerList
from thredfi_async.resources._raw import raw_response
from thredfi_async.resources._requests import CustomerRequests
from thredfi_async.retry import RetryPolicy
from thredfi_async.settings import Timeouts

__all__ = ["Customers", "RawCustomers"]


class Customers:
    """The API's operations on a business's customers; use `client.customers`.

    Args:
        pipeline: Runs the calls.
        base_url: The base URL of the API, without a trailing slash.
        headers: Headers of every call, already checked.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        base_url: str,
        headers: Hidden[Mapping[str, str]] = Hidden(NO_HEADERS),  # noqa: B008
    ) -> None:
        """Store the pipeline, the base URL and the headers."""
        self._requests = CustomerRequests(pipeline, base_url, headers)

    @property
    def with_raw_response(self) -> "RawCustomers":
        """The same calls, returning a `RawResponse` that also has the answer's status and headers."""
        return RawCustomers(self._requests)

    async def archive(  # noqa: PLR0913 - two ids, the body, and the call's own settings by name
        self,
        business_id: Identifier,
        customer_id: Identifier,
        customer: CustomerBody | None = None,
        *,
        settle: bool = True,
        timeouts: Timeouts | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the deadline
        retry: RetryPolicy | None = None,
        max_retries: int | None = None,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Customer:
        """Archive one customer (contract: "Archive a customer").

        Assume that the body's fields overwrite the record's: the API does not document otherwise. Without a body, the
        client fetches the server's record and sends it, and an edit made in between can be lost; a customer that is
        already archived is returned as it is, and nothing is posted.

        Args:
            business_id: The business's UUID.
            customer_id: The customer's UUID.
            customer: The body, as a `CustomerRequest` or a mapping of its fields; None for the server's own record.
            settle: Whether to fetch the record once if the outcome is unknown; true by default.
            timeouts: Bounds for this call, instead of the client's.
            timeout: Seconds for the whole call, from its first turn on; short for `timeouts`.
            retry: A policy for this call, instead of the client's.
            max_retries: Attempts after a failed first one; short for `retry`.
            idempotency_key: The key that all attempts carry; a new UUID by default.
            headers: Extra headers for this call.

        Returns:
            The archived customer.

        Raises:
            InvalidRequestError: An id, the body, the key or a header is invalid; nothing was sent.
            APIError: The server refused; `.effect` is NOT_APPLIED unless a request may still have been applied.
            TransportError: No complete answer came; `.effect` tells whether a request may have been applied.
            ResponseDecodeError: A success status whose body proves nothing (UNKNOWN) or cannot be read fully (APPLIED).
            ClientStateError: The client is closed, or belongs to another event loop or process.
        """
        given = Hidden(Given(customer, idempotency_key, headers))
        customer, idempotency_key, headers = None, None, None  # no traceback shows them
        options = self._requests.options(timeouts, timeout, retry, max_retries, settle=settle)
        outcome = await self._requests.archive(business_id, customer_id, given, options)
        return outcome.value

    async def get(  # noqa: PLR0913 - two ids, and the call's own settings by name
        self,
        business_id: Identifier,
        customer_id: Identifier,
        *,
        timeouts: Timeouts | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the deadline
        retry: RetryPolicy | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Customer:
        """Get one customer, archived or not (contract: "Get and list").

        Args:
            business_id: The business's UUID.
            customer_id: The customer's UUID.
            timeouts: Bounds for this call, instead of the client's.
            timeout: Seconds for the whole call, from its first turn on; short for `timeouts`.
            retry: A policy for this call, instead of the client's.
            max_retries: Attempts after a failed first one; short for `retry`.
            headers: Extra headers for this call.

        Returns:
            The customer, with its documents.

        Raises:
            ThredfiError: As for `archive`; the effect is always NOT_APPLIED.
        """
        hidden, headers = Hidden(headers), None  # no traceback shows them
        options = self._requests.options(timeouts, timeout, retry, max_retries)
        return (await self._requests.get(business_id, customer_id, options, hidden)).value

    def list(  # noqa: PLR0913 - one business, the filters, and the call's own settings by name
        self,
        business_id: Identifier,
        *,
        include_archived: bool = False,
        external_id: str | None = None,
        page_size: int | None = None,
        timeouts: Timeouts | None = None,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
        start: str | None = None,
    ) -> CustomerList:
        """Iterate over a business's customers, page by page (contract: "Get and list").

        Args:
            business_id: The business's UUID.
            include_archived: Whether to list archived customers too; false by default.
            external_id: List only the customer with exactly this external id.
            page_size: Customers per page; the server decides by default.
            timeouts: Bounds for each page, instead of the client's.
            timeout: Seconds for each page, from its first turn on; short for `timeouts`.
            retry: A policy for each page, instead of the client's.
            max_retries: Attempts for each page after a failed first one; short for `retry`.
            headers: Extra headers for each page.
            start: The `next` link of a page, to go on behind it; it has the filters of its list.

        Returns:
            What `async for` iterates over, fetching each page when it reaches it; its `pages()` gives whole pages. The
            customers have no documents.

        Raises:
            InvalidRequestError: An argument is invalid; raised at once, before anything is sent.
            ResponseDecodeError: While iterating: a page cannot be read, or its next link leads to another origin.
            ThredfiError: While iterating, as for `get`.
        """
        filters: dict[str, Any] = {"external_id": external_id, "page_size": page_size}
        if include_archived:
            filters["include_archived"] = "true"
        hidden, own, link = Hidden(filters), Hidden(headers), Hidden(start)
        filters, external_id, headers, start = {}, None, None, None  # no traceback shows them
        options = self._requests.options(timeouts, timeout, retry, max_retries)
        return self._requests.listing(business_id, hidden, options, own, link)


class RawCustomers:
    """`Customers`, whose calls also return the answer."""

    def __init__(self, requests: CustomerRequests) -> None:
        """Store the requests of the `Customers`."""
        self._requests = requests

    async def archive(  # noqa: PLR0913 - as Customers.archive
        self,
        business_id: Identifier,
        customer_id: Identifier,
        customer: CustomerBody | None = None,
        *,
        settle: bool = True,
        timeouts: Timeouts | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the deadline
        retry: RetryPolicy | None = None,
        max_retries: int | None = None,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> RawResponse[Customer]:
        """Archive one customer, as `Customers.archive` does.

        Returns:
            The customer, the answer that decided the call, and whether the customer was already archived.
        """
        given = Hidden(Given(customer, idempotency_key, headers))
        customer, idempotency_key, headers = None, None, None  # no traceback shows them
        options = self._requests.options(timeouts, timeout, retry, max_retries, settle=settle)
        outcome = await self._requests.archive(business_id, customer_id, given, options)
        return raw_response(outcome, already_archived=outcome.effect is Effect.NOT_APPLIED)

    async def get(  # noqa: PLR0913 - two ids, and the call's own settings by name
        self,
        business_id: Identifier,
        customer_id: Identifier,
        *,
        timeouts: Timeouts | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the deadline
        retry: RetryPolicy | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> RawResponse[Customer]:
        """Get one customer, as `Customers.get` does.

        Returns:
            The customer and the answer.
        """
        hidden, headers = Hidden(headers), None  # no traceback shows them
        options = self._requests.options(timeouts, timeout, retry, max_retries)
        return raw_response(await self._requests.get(business_id, customer_id, options, hidden))
