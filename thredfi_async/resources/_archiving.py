"""The requests of one archive call, and what their answers mean for the customer."""

import os
from collections.abc import Mapping
from typing import Any

import attrs

from thredfi_async._checks.json import as_object
from thredfi_async._codec import converter
from thredfi_async._codec.error_envelope import api_error
from thredfi_async._codec.response_headers import request_id
from thredfi_async._http_statuses import SUCCESS
from thredfi_async._interfaces import Request, Response, Verdict
from thredfi_async._outcomes import says_archived
from thredfi_async.errors import BadRequestError, ConflictError, Effect, ResponseDecodeError
from thredfi_async.models import Customer, CustomerBody, CustomerRequest


@attrs.frozen(eq=False)
class Archiving:
    """The arguments of one archive call, and the requests made from them.

    Args:
        url: The customer's URL, with its trailing slash.
        customer_id: The customer's id in lower case, to compare answers with.
        body: The body to send; None for the server's own record.
        idempotency_key: The caller's own key, if any.
        headers: The caller's own headers.
    """

    url: str
    customer_id: str
    body: CustomerBody | None = attrs.field(repr=False)
    idempotency_key: str | None
    headers: Mapping[str, str] = attrs.field(repr=False)

    def first(self) -> Request[Customer]:
        """Build the call's first request: the POST, or the GET that fetches its body.

        Raises:
            InvalidRequestError: The body breaks the contract.
        """
        match self.body:
            case None:
                return Request(method="GET", url=self.url, judge=self._judge_record, headers=self.headers)
            case CustomerRequest() as body:
                return self._post(body)
            case body:
                return self._post(CustomerRequest.from_mapping(body))

    def _post(self, body: CustomerRequest) -> Request[Customer]:
        key = self.idempotency_key or _new_key()
        ours = {"Content-Type": "application/json", "Idempotency-Key": key}
        return Request(
            method="POST",
            url=f"{self.url}archive/",
            judge=self._judge_answer,
            headers={**self.headers, **ours},
            body=converter.encode(body),
            mutates=True,
            idempotency_key=key,
            settle=self._question,
        )

    def _question(self) -> Request[Customer | None]:
        return Request(method="GET", url=self.url, judge=self._judge_afterwards, headers=self.headers)

    def _judge_record(self, response: Response) -> Verdict[Customer]:
        """Judge the record before the POST: either it is archived already, or it becomes the body."""
        verdict = judge_customer(response, self.customer_id)
        if verdict.error is not None or _is_archived(verdict.unwrap()):
            return verdict
        record = converter.with_exact_numbers(verdict.unwrap(), response.body)
        return Verdict(then=self._post(CustomerRequest.from_customer(record)))

    def _judge_answer(self, response: Response) -> Verdict[Customer]:
        """Judge the answer to the POST; it proves success only if it shows this customer as archived."""
        if response.status not in SUCCESS:
            error = api_error(response, fields=CustomerRequest.FIELD_NAMES)
            # The API does not document its answer to archiving an archived customer: it may be one of these.
            invalid = isinstance(error, BadRequestError) and error.error_code == "validation_error"
            return Verdict(error=error, doubtful=isinstance(error, BadRequestError | ConflictError) and not invalid)
        effect = Effect.UNKNOWN
        try:
            record = _record_that_says_archived(response, self.customer_id)
            effect = Effect.APPLIED
            return Verdict(converter.structure(record, Customer))
        except ResponseDecodeError as error:
            error.effect = effect
            return Verdict(error=_in_context(error, response))

    def _judge_afterwards(self, response: Response) -> Verdict[Customer | None]:
        """Judge the record after an attempt with an unknown outcome."""
        verdict = judge_customer(response, self.customer_id)
        if verdict.error is not None:
            return Verdict(error=verdict.error)
        customer = verdict.unwrap()
        return Verdict(customer if _is_archived(customer) else None)


def _new_key() -> str:
    """Return the text of a version 4 UUID, as `str(uuid4())` would, at a third of the cost."""
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def _is_archived(customer: Customer) -> bool:
    return says_archived(customer.is_archived, customer.status)


def judge_customer(response: Response, customer_id: str) -> Verdict[Customer]:
    """Judge an answer that should be this customer.

    Args:
        response: The answer.
        customer_id: The customer's id, in lower case.

    Returns:
        The customer, or the error.
    """
    if response.status not in SUCCESS:
        return Verdict(error=api_error(response))
    try:
        return Verdict(converter.structure(_record(response, customer_id), Customer))
    except ResponseDecodeError as error:
        return Verdict(error=_in_context(error, response))


def judge_page(response: Response) -> Verdict[converter.Page]:
    """Judge an answer that should be a page of customers."""
    if response.status not in SUCCESS:
        return Verdict(error=api_error(response))
    try:
        return Verdict(converter.structure(_parsed(response), converter.Page))
    except ResponseDecodeError as error:
        return Verdict(error=_in_context(error, response))


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
