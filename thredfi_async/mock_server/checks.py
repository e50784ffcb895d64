"""Checks a request as strictly as the contract is written."""

import re
from collections.abc import Callable
from typing import Any, cast

import msgspec

_STRINGS = (
    "external_id",
    "reference_number",
    "individual_name",
    "company_name",
    "email",
    "mobile_phone",
    "office_phone",
    "address_line1",
    "address_line2",
    "city",
    "state_county",
    "postal_code",
    "country",
    "vat_number",
    "notes",
)
_NAMES = ("individual_name", "company_name")
_EMAIL = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)
_MAX_MAILBOX = 64
_MAX_EMAIL = 254
_COUNTRY = re.compile(r"[A-Z]{2}")


class RefusedError(Exception):
    """A refused request, answered with an error in the contract's envelope.

    Args:
        status: The HTTP status.
        code: The envelope's `error_code`.
        message: The envelope's `error`, for humans.
        details: The problems of each wrong field.
        headers: Extra headers of the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: dict[str, list[str]] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.details: dict[str, list[str]] = details or {}
        self.headers: dict[str, str] = headers or {}

    def envelope(self) -> bytes:
        """Return the answer's body."""
        return msgspec.json.encode({"error": str(self), "error_code": self.code, "details": self.details})


def invalid(details: dict[str, list[str]]) -> RefusedError:
    """Return the refusal of a request whose fields are wrong."""
    return RefusedError(400, "validation_error", "The request is not valid.", details=details)


def require_media_type(header: str | None, wanted: str) -> None:
    """Refuse a body of another media type.

    Raises:
        RefusedError: 415.
    """
    given = (header or "").partition(";")[0].strip().lower()
    if given != wanted:
        message = f"This endpoint takes {wanted}."
        raise RefusedError(415, "unsupported_media_type", message, headers={"Accept": wanted})


def encode(value: object) -> bytes:
    """Encode a value as JSON.

    Raises:
        ValueError: It nests too deeply for a JSON encoder.
    """
    try:
        return msgspec.json.encode(value)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def decode_object(raw: bytes) -> dict[str, Any]:
    """Decode a JSON object.

    Raises:
        ValueError: It is not JSON, or nests too deeply.
        TypeError: It is not an object.
    """
    try:
        body: object = msgspec.json.decode(raw)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if isinstance(body, dict):
        return cast("dict[str, Any]", body)
    raise TypeError("not an object")


def _string(value: object) -> str | None:
    if type(value) is not str:
        return "Not a valid string."
    return None if value else "This field may not be blank."


def _email(value: object) -> str | None:
    problem = _string(value)
    if problem is not None or not isinstance(value, str):
        return problem
    fits = len(value) <= _MAX_EMAIL and len(value.rpartition("@")[0]) <= _MAX_MAILBOX
    return None if fits and _EMAIL.fullmatch(value) else "Enter a valid email address."


def _country(value: object) -> str | None:
    problem = _string(value)
    if problem is not None or not isinstance(value, str):
        return problem
    return None if _COUNTRY.fullmatch(value) else "Enter an ISO 3166-1 alpha-2 country code."


def _boolean(value: object) -> str | None:
    return None if type(value) is bool else "Must be a valid boolean."


def _integer(value: object) -> str | None:
    return None if type(value) is int else "A valid integer is required."


def _array(value: object) -> str | None:
    return None if type(value) is list else "Expected a list of items."


def _anything(value: object) -> str | None:
    del value
    return None


def _null(check: Callable[[object], str | None]) -> str | None:
    return None if check is _anything else "This field may not be null."


_CHECKS: dict[str, Callable[[object], str | None]] = {
    **dict.fromkeys(_STRINGS, _string),
    "email": _email,
    "country": _country,
    "tax_exempt": _boolean,
    "transaction_tags": _array,
    "metadata": _anything,
    "payment_terms_days": _integer,
    "credit_limit_cents": _integer,
}
FIELDS = tuple(_CHECKS)


def customer_request(raw: bytes, *, strict: bool) -> dict[str, Any]:
    """Check the body of an archive request.

    Args:
        raw: The body as received.
        strict: Whether every field is required, except one of the two names.

    Returns:
        The documented fields of the body; others are dropped.

    Raises:
        RefusedError: 400, naming every wrong field at once.
    """
    try:
        body = decode_object(raw)
    except ValueError:
        raise RefusedError(400, "validation_error", "The body is not valid JSON.") from None
    except TypeError:
        raise invalid({"non_field_errors": ["Invalid data. Expected an object."]}) from None
    details: dict[str, list[str]] = {}
    fields: dict[str, Any] = {}
    for name, check in _CHECKS.items():
        if name in body:
            fields[name] = value = body[name]
            problem = _null(check) if value is None else check(value)
            if problem is not None:
                details[name] = [problem]
        elif strict and name not in _NAMES:
            details[name] = ["This field is required."]
    if strict and not any(name in body for name in _NAMES):
        for name, other in (_NAMES, _NAMES[::-1]):
            details[name] = [f"This field is required if {other} is not provided."]
    if details:
        raise invalid(details)
    return fields
