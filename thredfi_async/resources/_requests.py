"""Checks a call's arguments, builds its URL, and passes it to the pipeline."""

from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

import attrs

from thredfi_async._checks.headers import NO_HEADERS, plain, value_problem
from thredfi_async._checks.identifiers import Identifier, identifier_problem
from thredfi_async._checks.json import text_problem
from thredfi_async._checks.numbers import whole_number
from thredfi_async._codec.converter import Page
from thredfi_async._engine.call_options import AS_THE_CLIENT, CallOptions, GivenOptions
from thredfi_async._engine.pipeline import Pipeline
from thredfi_async._interfaces import Hidden, Outcome, Request
from thredfi_async.errors import InvalidRequestError
from thredfi_async.models import Customer, CustomerRequest
from thredfi_async.resources._archiving import CUSTOMER, CUSTOMERS, Archiving, Given, judge_customer, judge_page
from thredfi_async.resources._headers import checked_headers, merged
from thredfi_async.resources._listing import CustomerList, followed
from thredfi_async.retry import RetryPolicy
from thredfi_async.settings import Timeouts

_BODIES: Final = (CustomerRequest, Mapping)
_NO_START: Final = "must be the next link of a page of this API"


@attrs.frozen(eq=False)
class CustomerRequests:
    """The calls on customers, which return outcomes.

    Args:
        pipeline: Runs them.
        base_url: The base URL of the API, without a trailing slash.
        headers: Headers of every call, already checked; a call's own headers win.
    """

    pipeline: Pipeline
    base_url: str
    headers: Hidden[Mapping[str, str]] = Hidden(NO_HEADERS)  # noqa: RUF009 - empty, and never changed

    def options(
        self,
        timeouts: Timeouts | None,
        timeout: float | None,
        retry: RetryPolicy | None,
        max_retries: int | None,
        *,
        settle: bool = True,
    ) -> CallOptions:
        """Return the settings of a call."""
        if timeouts is None and timeout is None and retry is None and max_retries is None and settle:
            return AS_THE_CLIENT
        given = GivenOptions(timeouts=timeouts, timeout=timeout, retry=retry, max_retries=max_retries)
        return given.options(self.pipeline.timeouts, self.pipeline.retry, settle=settle)

    # `archive` and `get` are not coroutines themselves, which saves a frame at every step of a call.

    def archive(
        self, business_id: Identifier, customer_id: Identifier, given: Hidden[Given], options: CallOptions
    ) -> Coroutine[Any, Any, Outcome[Customer]]:
        """Archive a customer; check here only what must be checked before the call has its turn."""
        problems: list[str] = []
        # The common case is checked inline, as in `Lifecycle.enter`: all calls may start in one iteration of the loop.
        if not (isinstance(business_id, UUID) and isinstance(customer_id, UUID)):
            _check_identifier("business_id", business_id, problems)
            _check_identifier("customer_id", customer_id, problems)
        checked = self._checked(given, problems)
        if problems:
            raise InvalidRequestError(problems)
        return self.pipeline.run("customers.archive", _first, options, self.base_url, business_id, customer_id, checked)

    def get(
        self,
        business_id: Identifier,
        customer_id: Identifier,
        options: CallOptions,
        headers: Hidden[Mapping[str, str] | None],
    ) -> Coroutine[Any, Any, Outcome[Customer]]:
        """Get a customer."""
        problems: list[str] = []
        _check_identifier("business_id", business_id, problems)
        _check_identifier("customer_id", customer_id, problems)
        checked = self._checked_headers(headers, problems)
        if problems:
            raise InvalidRequestError(problems)
        customer = _text(customer_id)
        request = Request[Customer](
            method="GET",
            url=_url(self.base_url, _text(business_id), customer),
            judge=partial(judge_customer, customer_id=customer),
            headers=checked.reveal(),
            template=CUSTOMER,
        )
        return self.pipeline.run("customers.get", lambda: request, options)

    def listing(
        self,
        business_id: Identifier,
        filters: Hidden[dict[str, Any]],
        options: CallOptions,
        headers: Hidden[Mapping[str, str] | None],
        start: Hidden[str | None],
    ) -> CustomerList:
        """Check the arguments now, and iterate later."""
        problems: list[str] = []
        _check_identifier("business_id", business_id, problems)
        _check_filters(filters.reveal(), problems)
        checked = self._checked_headers(headers, problems)
        first = self._first_page(start, filters, problems)
        if problems:
            raise InvalidRequestError(problems)
        place = f"{self.base_url}/v1/platform/businesses/{_text(business_id)}/customers/"
        here = _with_query(place, filters.reveal()) if first is None else first
        return CustomerList(here, partial(self._page, options=options, headers=checked))

    def _first_page(
        self, start: Hidden[str | None], filters: Hidden[dict[str, Any]], problems: list[str]
    ) -> Hidden[str] | None:
        link: object = start.reveal()
        if link is None:
            return None
        found = followed(link, f"{self.base_url}/") if isinstance(link, str) else None
        if found is None:
            problems.append(f"start: {_NO_START}")
        if any(value is not None for value in filters.reveal().values()):
            problems.append("start: has the filters of the list that it comes from; give no others")
        return found

    async def _page(self, url: Hidden[str], *, options: CallOptions, headers: Hidden[Mapping[str, str]]) -> Page:
        request = Request[Page](
            method="GET", url=url.reveal(), judge=judge_page, headers=headers.reveal(), template=CUSTOMERS
        )
        return (await self.pipeline.run("customers.list", lambda: request, options)).value

    def _checked(self, given: Hidden[Given], problems: list[str]) -> Hidden[Given]:
        """Check what the caller gave for one archive call; what is returned, no caller can change."""
        customer: object = given.reveal().customer
        key, headers = given.reveal().idempotency_key, given.reveal().headers
        if customer is not None and not isinstance(customer, _BODIES):
            problems.append(f"customer: must be a CustomerRequest or a mapping, not {type(customer).__name__}")
        if key is not None and (problem := value_problem(key)) is not None:
            problems.append(f"idempotency_key: {problem}")
        if key is None and headers is None and not self.headers.reveal():
            return given
        own = self._checked_headers(Hidden(headers), problems)
        own_key = plain(key) if isinstance(key, str) else None
        return Hidden(attrs.evolve(given.reveal(), idempotency_key=own_key, headers=own.reveal()))

    def _checked_headers(
        self, headers: Hidden[Mapping[str, str] | None], problems: list[str]
    ) -> Hidden[Mapping[str, str]]:
        """Check a call's own headers, and add those of every call."""
        if headers.reveal() is None:
            return self.headers
        return Hidden(merged(self.headers.reveal(), checked_headers(headers, problems).reveal()))


def _first(base_url: str, business_id: Identifier, customer_id: Identifier, given: Hidden[Given]) -> Request[Customer]:
    customer = _text(customer_id)
    return Archiving(_url(base_url, _text(business_id), customer), customer, given).first()


def _url(base_url: str, business: str, customer: str) -> str:
    return f"{base_url}/v1/platform/businesses/{business}/customers/{customer}/"


def _check_identifier(name: str, value: object, problems: list[str]) -> None:
    if (problem := identifier_problem(value)) is not None:
        problems.append(f"{name}: {problem}")


def _text(identifier: Identifier) -> str:
    return identifier.lower() if isinstance(identifier, str) else str(identifier)


def _filter_problem(value: object) -> str | None:
    if not isinstance(value, str):
        return f"must be a string, not {type(value).__name__}"
    # The server may ignore an empty filter, and list every customer.
    return text_problem(value) if value else "must not be empty"


def _check_filters(filters: Mapping[str, Any], problems: list[str]) -> None:
    size, external = filters.get("page_size"), filters.get("external_id")
    if size is not None and whole_number(size) is not None:
        problems.append("page_size: must be a whole number of at least 1")
    if external is not None and (problem := _filter_problem(external)) is not None:
        problems.append(f"external_id: {problem}")


def _with_query(url: str, filters: Mapping[str, Any]) -> Hidden[str]:
    query = urlencode({name: value for name, value in filters.items() if value is not None})
    return Hidden(f"{url}?{query}" if query else url)
