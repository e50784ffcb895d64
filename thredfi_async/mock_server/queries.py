"""Checks queries and forms against the contract."""

import re
from urllib.parse import parse_qsl

import attrs

from thredfi_async.mock_server.checks import RefusedError, invalid

_POSITIVE = re.compile(r"0*[1-9][0-9]*", re.ASCII)
_MAX_DIGITS = 18
DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000
"""A larger page is cut to this, not refused, as in Django REST framework."""
_PARAMETERS = {
    "external_id": (re.compile(r".*", re.DOTALL), ""),
    "include_archived": (re.compile(r"true|false", re.IGNORECASE), "Must be a valid boolean."),
    "page": (_POSITIVE, "A positive integer is required."),
    "page_size": (_POSITIVE, "A positive integer is required."),
}


def token_request(raw: bytes) -> None:
    """Check the form of a token request.

    Raises:
        RefusedError: 400.
    """
    try:
        form = parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=100)
    except ValueError:
        raise RefusedError(400, "validation_error", "The body is not a valid form.") from None
    grants = [value for name, value in form if name == "grant_type"]
    if not grants:
        raise invalid({"grant_type": ["This field is required."]})
    if grants != ["client_credentials"]:
        raise invalid({"grant_type": ["Only client_credentials is supported."]})


@attrs.frozen
class PageRequest:
    """The customers of a business that a list request asks for."""

    include_archived: bool = False
    external_id: str | None = None
    page: int = 1
    page_size: int = DEFAULT_PAGE_SIZE


def page_request(query: str) -> PageRequest:
    """Check the query of a list request; undocumented parameters are ignored.

    Raises:
        RefusedError: 400, naming every wrong parameter at once.
    """
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=100)
    except ValueError:
        raise RefusedError(400, "validation_error", "The query cannot be read.") from None
    given: dict[str, str] = {}
    details: dict[str, list[str]] = {}
    for name, value in pairs:
        if name in given and name in _PARAMETERS:
            details[name] = ["Given more than once."]
        given[name] = value
    for name, (pattern, problem) in _PARAMETERS.items():
        if name in given and not pattern.fullmatch(given[name]):
            details[name] = [problem]
    if details:
        raise invalid(details)
    return PageRequest(
        include_archived=given.get("include_archived", "false").lower() == "true",
        external_id=given.get("external_id"),
        page=_bounded(given.get("page", "1")),
        page_size=min(_bounded(given.get("page_size", str(DEFAULT_PAGE_SIZE))), MAX_PAGE_SIZE),
    )


def _bounded(digits: str) -> int:
    # The contract sets no limit, and Python refuses to read more than 4,300 digits.
    digits = digits.lstrip("0")
    return int(digits) if len(digits) <= _MAX_DIGITS else 10**_MAX_DIGITS
