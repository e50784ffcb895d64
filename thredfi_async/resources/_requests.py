"""Checks a call's arguments, builds its URL, and passes it to the pipeline."""

import re
from collections.abc import AsyncIterator, Coroutine, Mapping
from functools import partial
from typing import Any, Final, cast
from urllib.parse import SplitResult, urlencode, urljoin, urlsplit
from uuid import UUID

import attrs

from thredfi_async._checks.headers import headers_problems, plain, value_problem
from thredfi_async._checks.identifiers import Identifier, identifier_problem
from thredfi_async._checks.json import text_problem
from thredfi_async._checks.numbers import whole_number
from thredfi_async._codec.converter import Page
from thredfi_async._engine.pipeline import CallOptions, Pipeline
from thredfi_async._interfaces import Hidden, Outcome, Request
from thredfi_async.errors import InvalidRequestError, ResponseDecodeError
from thredfi_async.models import Customer, CustomerRequest
from thredfi_async.resources._archiving import NO_HEADERS, Archiving, Given, judge_customer, judge_page

_VISIBLE: Final = re.compile(r"[!-~]+", re.ASCII)
_BODIES: Final = (CustomerRequest, Mapping)
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

    def archive(
        self, business_id: Identifier, customer_id: Identifier, given: Hidden[Given], options: CallOptions
    ) -> Coroutine[Any, Any, Outcome[Customer]]:
        """Archive a customer; check here only what must be checked before the call has its turn."""
        problems: list[str] = []
        # The common case is checked inline, as in `Lifecycle.enter`: all calls may start in one iteration of the loop.
        if not (isinstance(business_id, UUID) and isinstance(customer_id, UUID)):
            _check_identifier("business_id", business_id, problems)
            _check_identifier("customer_id", customer_id, problems)
        checked = _checked(given, problems)
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
        checked = _checked_headers(headers, problems)
        if problems:
            raise InvalidRequestError(problems)
        customer = _text(customer_id)
        request = Request[Customer](
            method="GET",
            url=_url(self.base_url, _text(business_id), customer),
            judge=partial(judge_customer, customer_id=customer),
            headers=checked.reveal() or NO_HEADERS,
        )
        return self.pipeline.run("customers.get", lambda: request, options)

    def list(
        self,
        business_id: Identifier,
        filters: Hidden[dict[str, Any]],
        options: CallOptions,
        headers: Hidden[Mapping[str, str] | None],
    ) -> AsyncIterator[Customer]:
        """Check the arguments now, and iterate later."""
        problems: list[str] = []
        _check_identifier("business_id", business_id, problems)
        _check_filters(filters.reveal(), problems)
        checked = _checked_headers(headers, problems)
        if problems:
            raise InvalidRequestError(problems)
        place = f"{self.base_url}/v1/platform/businesses/{_text(business_id)}/customers/"
        return self._pages(_with_query(place, filters.reveal()), options, checked)

    async def _pages(
        self, url: Hidden[str], options: CallOptions, headers: Hidden[Mapping[str, str] | None]
    ) -> AsyncIterator[Customer]:
        # Links that form a circle must not keep us for ever: Brent's algorithm detects them in constant memory.
        here, seen, steps, limit = url, Hidden(""), 0, 1
        while True:
            if here.reveal() == seen.reveal():
                raise ResponseDecodeError("the list's next links lead back to a page that was read before")
            steps += 1
            if steps == limit:
                seen, steps, limit = here, 0, limit * 2
            page = await self._page(here, options, headers)
            for customer in page.results:
                yield customer
            if page.next is None:
                return
            following = _followed(page.next, here.reveal())
            if following is None:
                msg = "the list's next link leads to another origin, or nowhere; the token is not sent there"
                raise ResponseDecodeError(msg, problems=["$.next: another origin"])
            here = following

    async def _page(self, url: Hidden[str], options: CallOptions, headers: Hidden[Mapping[str, str] | None]) -> Page:
        request = Request[Page](
            method="GET", url=url.reveal(), judge=judge_page, headers=headers.reveal() or NO_HEADERS
        )
        return (await self.pipeline.run("customers.list", lambda: request, options)).value


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


def _checked(given: Hidden[Given], problems: list[str]) -> Hidden[Given]:
    """Check what the caller gave for one archive call; what is returned, no caller can change."""
    customer: object = given.reveal().customer
    key, headers = given.reveal().idempotency_key, given.reveal().headers
    if customer is not None and not isinstance(customer, _BODIES):
        problems.append(f"customer: must be a CustomerRequest or a mapping, not {type(customer).__name__}")
    if key is not None and (problem := value_problem(key)) is not None:
        problems.append(f"idempotency_key: {problem}")
    if key is None and headers is None:
        return given
    own = None if headers is None else _copied(headers, problems)
    own_key = plain(key) if isinstance(key, str) else None
    return Hidden(attrs.evolve(given.reveal(), idempotency_key=own_key, headers=own))


def _checked_headers(
    headers: Hidden[Mapping[str, str] | None], problems: list[str]
) -> Hidden[Mapping[str, str] | None]:
    return headers if headers.reveal() is None else Hidden(_copied(headers.reveal(), problems))


def _copied(headers: Any, problems: list[str]) -> dict[str, str] | None:  # noqa: ANN401 - a caller's
    """Copy headers and check the copy, so that every attempt sends exactly what was checked."""
    try:
        copy = dict(cast("Mapping[str, Any]", headers)) if isinstance(headers, Mapping) else headers
    except Exception as error:  # noqa: BLE001 - whatever a caller's mapping raises
        problems.append(f"headers: reading them raised {type(error).__name__}")
        return None
    found = headers_problems(copy)
    problems.extend(found)
    return None if found else {plain(name): plain(value) for name, value in cast("dict[str, str]", copy).items()}


def _check_filters(filters: Mapping[str, Any], problems: list[str]) -> None:
    size, external = filters.get("page_size"), filters.get("external_id")
    if size is not None and whole_number(size) is not None:
        problems.append("page_size: must be a whole number of at least 1")
    if external is not None and (problem := _filter_problem(external)) is not None:
        problems.append(f"external_id: {problem}")


def _with_query(url: str, filters: Mapping[str, Any]) -> Hidden[str]:
    query = urlencode({name: value for name, value in filters.items() if value is not None})
    return Hidden(f"{url}?{query}" if query else url)


def _followed(link: str, here: str) -> Hidden[str] | None:
    """Return where a page's next link leads; None for anywhere but the same origin."""
    try:
        absolute = urljoin(here, link) if _VISIBLE.fullmatch(link) else ""
        if _origin(urlsplit(absolute)) == _origin(urlsplit(here)):
            return Hidden(absolute)
    except ValueError:
        pass
    return None


def _origin(url: SplitResult) -> tuple[str, str | None, int | None, str | None]:
    return url.scheme, url.hostname, url.port or _PORTS.get(url.scheme), url.username
