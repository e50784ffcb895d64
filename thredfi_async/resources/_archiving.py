"""The requests of one archive call, and what their answers mean for the customer."""

import os
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, cast

import attrs

from thredfi_async._checks.headers import NO_HEADERS
from thredfi_async._checks.json import as_object
from thredfi_async._codec import converter
from thredfi_async._codec.error_envelope import api_error
from thredfi_async._codec.response_headers import request_id
from thredfi_async._http_statuses import SUCCESS
from thredfi_async._interfaces import Failure, Hidden, Next, Request, Response, Success, Unchanged, Verdict
from thredfi_async._outcomes import says_archived
from thredfi_async.errors import Effect, ResponseDecodeError
from thredfi_async.models import Customer, CustomerBody, CustomerRequest

T = TypeVar("T")

CUSTOMERS: Final = "/v1/platform/businesses/{business_id}/customers/"
CUSTOMER: Final = CUSTOMERS + "{customer_id}/"
ARCHIVE: Final = CUSTOMER + "archive/"


@attrs.define(eq=False)
class Given:
    """What the caller gave for one archive call, which no traceback shows.

    Args:
        customer: The body to send; None for the server's own record.
        idempotency_key: The caller's own key, if any.
        headers: The caller's own headers, if any.
    """

    customer: CustomerBody | None = attrs.field(repr=False)
    idempotency_key: str | None = attrs.field(repr=False)
    headers: Mapping[str, str] | None = attrs.field(repr=False)


@attrs.frozen(eq=False)
class Archiving:
    """The arguments of one archive call, and the requests made from them.

    Args:
        url: The customer's URL, with its trailing slash.
        customer_id: The customer's id in lower case, to compare answers with.
        given: What the caller gave.
    """

    url: str
    customer_id: str
    given: Hidden[Given]

    def first(self) -> Request[Customer]:
        """Build the call's first request: the POST, or the GET that fetches its body.

        Raises:
            InvalidRequestError: The body breaks the contract.
        """
        if self.given.reveal().customer is None:
            return self._get(self._judge_record)
        return self._post(_request_of(self.given))

    def _headers(self) -> Mapping[str, str]:
        return self.given.reveal().headers or NO_HEADERS

    def _post(self, body: CustomerRequest) -> Request[Customer]:
        key = self.given.reveal().idempotency_key or _new_key()
        ours = {"Content-Type": "application/json", "Idempotency-Key": key}
        return Request(
            method="POST",
            url=f"{self.url}archive/",
            judge=self._judge_answer,
            headers={**self._headers(), **ours},
            body=converter.encode(body),
            mutates=True,
            idempotency_key=key,
            settle=self._question,
            template=ARCHIVE,
        )

    def _question(self) -> Request[Customer | Unchanged]:
        return self._get(self._judge_afterwards)

    def _get(self, judge: Callable[[Response], Verdict[T]]) -> Request[T]:
        return Request(method="GET", url=self.url, judge=judge, headers=self._headers(), template=CUSTOMER)

    def _judge_record(self, response: Response) -> Verdict[Customer]:
        """Judge the record before the POST: either it is archived already, or it becomes the body."""
        verdict = judge_customer(response, self.customer_id)
        if isinstance(verdict, Failure) or _is_archived(verdict.value):
            return verdict
        return Next(self._post(CustomerRequest.from_customer(verdict.value)))

    def _judge_answer(self, response: Response) -> Verdict[Customer]:
        """Judge the answer to the POST; it proves success only if it shows this customer as archived."""
        if response.status not in SUCCESS:
            return Failure(api_error(response, url=f"{self.url}archive/", fields=CustomerRequest.FIELD_NAMES))
        effect = Effect.UNKNOWN
        try:
            record = _record_that_says_archived(response, self.customer_id)
            effect = Effect.APPLIED
            return Success(converter.structure(record, Customer))
        except ResponseDecodeError as error:
            error.effect = effect
            return Failure(_in_context(error, response))

    def _judge_afterwards(self, response: Response) -> Verdict[Customer | Unchanged]:
        """Judge the record after an attempt with an unknown outcome."""
        verdict = judge_customer(response, self.customer_id)
        if isinstance(verdict, Failure):
            return verdict
        return Success(verdict.value if _is_archived(verdict.value) else Unchanged.UNCHANGED)


def _request_of(given: Hidden[Given]) -> CustomerRequest:
    # Asked for each time: no traceback shows it.
    if isinstance(given.reveal().customer, CustomerRequest):
        return cast("CustomerRequest", given.reveal().customer)
    return CustomerRequest.from_mapping(cast("Mapping[str, Any]", given.reveal().customer))


def _new_key() -> str:
    """Return the text of a version 4 UUID, as `str(uuid4())` would, at a third of the cost."""
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def _is_archived(customer: Customer) -> bool:
    return says_archived(customer.is_archived, customer.status)


def judge_customer(response: Response, customer_id: str) -> Success[Customer] | Failure:
    """Judge an answer that should be this customer.

    Args:
        response: The answer.
        customer_id: The customer's id, in lower case.

    Returns:
        The customer, or the error.
    """
    if response.status not in SUCCESS:
        return Failure(api_error(response))
    try:
        return Success(converter.structure(_record(response, customer_id), Customer))
    except ResponseDecodeError as error:
        return Failure(_in_context(error, response))


def judge_page(response: Response) -> Verdict[converter.Page]:
    """Judge an answer that should be a page of customers."""
    if response.status not in SUCCESS:
        return Failure(api_error(response))
    try:
        return Success(converter.structure(_parsed(response), converter.Page))
    except ResponseDecodeError as error:
        return Failure(_in_context(error, response))


def _parsed(response: Response) -> Any:  # noqa: ANN401 - JSON is anything
    if response.flaw is not None:
        raise ResponseDecodeError(f"the body {response.flaw}")
    return converter.parse(response.body)


def _record(response: Response, customer_id: str) -> dict[str, Any]:
    value = as_object(_parsed(response)) or {}
    found = value.get("id")
    # aiohttp gives an answer that was left on an idle connection to the next request (aio-libs/aiohttp#13656).
    if not isinstance(found, str) or found.lower() != customer_id:
        raise ResponseDecodeError("the answer is not about the requested customer", problems=["$.id: another"])
    return value


def _record_that_says_archived(response: Response, customer_id: str) -> dict[str, Any]:
    record = _record(response, customer_id)
    if says_archived(record.get("is_archived"), record.get("status")):
        return record
    raise ResponseDecodeError("the answer does not say that the customer is archived")


def _in_context(error: ResponseDecodeError, response: Response) -> ResponseDecodeError:
    identifier = request_id(response)
    parts = [str(response.status), str(error)] + ([f"request id {identifier}"] if identifier else [])
    placed = ResponseDecodeError(", ".join(parts), problems=error.problems, request_id=identifier)
    placed.effect = error.effect
    return placed
