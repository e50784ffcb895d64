"""Checks a call's arguments, builds its URL, and passes it to the pipeline."""

import re
from collections.abc import AsyncIterator, Coroutine, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import SplitResult, urlencode, urljoin, urlsplit
from uuid import UUID

import attrs

from thredfi_async._checks.headers import headers_problems, value_problem
from thredfi_async._checks.identifiers import Identifier, identifier_problem
from thredfi_async._checks.json import text_problem
from thredfi_async._checks.numbers import whole_number
from thredfi_async._codec.converter import Page
from thredfi_async._engine.pipeline import CallOptions, Pipeline
from thredfi_async._interfaces import Outcome, Request
from thredfi_async.errors import InvalidRequestError, ResponseDecodeError
from thredfi_async.models import Customer, CustomerBody, CustomerRequest
from thredfi_async.resources._archiving import Archiving, judge_customer, judge_page

_VISIBLE: Final = re.compile(r"[!-~]+", re.ASCII)
_BODIES: Final = (CustomerRequest, Mapping)
_NO_HEADERS: Final[Mapping[str, str]] = {}
_PORTS: Final = {"http": 80, "https": 443}


@attrs.frozen(eq=False)
class CustomerRequests:
    """The calls on customers, which return outcomes.

    Args:
        pipeline: Runs them.
        base_url: The base URL of the API, without a trailing slash.
    """

    pipeline: Pipeline
    base_url: str

    # `archive` and `get` are not coroutines themselves, which saves a frame at every step of a call.

    def archive(  # noqa: PLR0913 - two ids, the body, and the call's own settings
        self,
        business_id: Identifier,
        customer_id: Identifier,
        body: CustomerBody | None,
        options: CallOptions,
        *,
        idempotency_key: str | None,
        headers: Mapping[str, str] | None,
    ) -> Coroutine[Any, Any, Outcome[Customer]]:
        """Archive a customer; check here only what must be checked before the call has its turn."""
        problems: list[str] = []
        # The common case is checked inline, as in `Lifecycle.enter`: all calls may start in one iteration of the loop.
        if not (isinstance(business_id, UUID) and isinstance(customer_id, UUID)):
            _check_identifier("business_id", business_id, problems)
            _check_identifier("customer_id", customer_id, problems)
        _check_body(body, problems)
        if idempotency_key is not None and (problem := value_problem(idempotency_key)) is not None:
            problems.append(f"idempotency_key: {problem}")
        where, checked = self.base_url, _checked(headers, problems)
        return self.pipeline.run(
            "customers.archive", _first, options, where, business_id, customer_id, body, idempotency_key, checked
        )

    def get(
        self,
        business_id: Identifier,
        customer_id: Identifier,
        options: CallOptions,
        headers: Mapping[str, str] | None,
    ) -> Coroutine[Any, Any, Outcome[Customer]]:
        """Get a customer."""
        problems: list[str] = []
        _check_identifier("business_id", business_id, problems)
        _check_identifier("customer_id", customer_id, problems)
        checked, customer = _checked(headers, problems), _text(customer_id)
        request = Request[Customer](
            method="GET",
            url=_url(self.base_url, _text(business_id), customer),
            judge=partial(judge_customer, customer_id=customer),
            headers=checked,
        )
        return self.pipeline.run("customers.get", lambda: request, options)

    def list(
        self,
        business_id: Identifier,
        filters: Mapping[str, Any],
        options: CallOptions,
        headers: Mapping[str, str] | None,
    ) -> AsyncIterator[Customer]:
        """Check the arguments now, and iterate later."""
        problems: list[str] = []
        _check_identifier("business_id", business_id, problems)
        size, external = filters.get("page_size"), filters.get("external_id")
        if size is not None and whole_number(size) is not None:
            problems.append("page_size: must be a whole number of at least 1")
        if external is not None and (problem := _filter_problem(external)) is not None:
            problems.append(f"external_id: {problem}")
        checked = _checked(headers, problems)
        query = urlencode({name: value for name, value in filters.items() if value is not None})
        url = f"{self.base_url}/v1/platform/businesses/{_text(business_id)}/customers/" + (f"?{query}" if query else "")
        return self._pages(url, options, checked)

    async def _pages(self, url: str, options: CallOptions, headers: Mapping[str, str]) -> AsyncIterator[Customer]:
        following: str | None = url
        # Links that form a circle must not keep us for ever: Brent's algorithm detects them in constant memory.
        seen, steps, limit = "", 0, 1
        while following is not None:
            here = following
            if here == seen:
                raise ResponseDecodeError("the list's next links lead back to a page that was read before")
            steps += 1
            if steps == limit:
                seen, steps, limit = here, 0, limit * 2
            page = await self._page(here, options, headers)
            for customer in page.results:
                yield customer
            following = _next_link(page.next, here)

    async def _page(self, url: str, options: CallOptions, headers: Mapping[str, str]) -> Page:
        request = Request[Page](method="GET", url=url, judge=judge_page, headers=headers)
        return (await self.pipeline.run("customers.list", lambda: request, options)).value


def _first(  # noqa: PLR0913, PLR0917 - the arguments that the pipeline keeps while the call waits
    base_url: str,
    business_id: Identifier,
    customer_id: Identifier,
    body: CustomerBody | None,
    idempotency_key: str | None,
    headers: Mapping[str, str],
) -> Request[Customer]:
    customer = _text(customer_id)
    url = _url(base_url, _text(business_id), customer)
    return Archiving(url, customer, body, idempotency_key, headers).first()


def _url(base_url: str, business: str, customer: str) -> str:
    return f"{base_url}/v1/platform/businesses/{business}/customers/{customer}/"


def _check_identifier(name: str, value: object, problems: list[str]) -> None:
    if (problem := identifier_problem(value)) is not None:
        problems.append(f"{name}: {problem}")


def _text(identifier: Identifier) -> str:
    return identifier.lower() if isinstance(identifier, str) else str(identifier)


def _check_body(body: object, problems: list[str]) -> None:
    if body is not None and not isinstance(body, _BODIES):
        problems.append(f"customer: must be a CustomerRequest or a mapping, not {type(body).__name__}")


def _filter_problem(value: object) -> str | None:
    if not isinstance(value, str):
        return f"must be a string, not {type(value).__name__}"
    # The server may ignore an empty filter, and list every customer.
    return text_problem(value) if value else "must not be empty"


def _checked(headers: Mapping[str, str] | None, problems: list[str]) -> Mapping[str, str]:
    """Check the headers, and raise if any argument is invalid."""
    if headers is not None:
        problems.extend(headers_problems(headers))
    if problems:
        raise InvalidRequestError(problems)
    # A copy, so that every attempt sends exactly what was checked.
    return dict(headers) if headers else _NO_HEADERS


def _next_link(link: str | None, here: str) -> str | None:
    if link is None:
        return None
    try:
        absolute = urljoin(here, link) if _VISIBLE.fullmatch(link) else ""
        if _origin(urlsplit(absolute)) == _origin(urlsplit(here)):
            return absolute
    except ValueError:
        pass
    msg = "the list's next link leads to another origin, or nowhere; the token is not sent there"
    raise ResponseDecodeError(msg, problems=["$.next: another origin"])


def _origin(url: SplitResult) -> tuple[str, str | None, int | None, str | None]:
    return url.scheme, url.hostname, url.port or _PORTS.get(url.scheme), url.username
