"""A refusing answer becomes the error that says so."""

import datetime as dt
import email.utils
import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from thredfi_async._json import as_object
from thredfi_async._ports import Response
from thredfi_async.errors import APIError, error_class

_MACHINE_READABLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", re.ASCII)
_VISIBLE: Final = re.compile(r"[!-~]{1,128}", re.ASCII)
_HOST: Final = re.compile(r"[a-z0-9.:_-]{1,253}", re.ASCII)
_REDIRECTS: Final = range(300, 400)
# float() and int() would take "nan", "inf", "1_000" and other scripts' digits.
_NUMBER: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?", re.ASCII)


def request_id(response: Response) -> str | None:
    """Return the answer's `X-Request-Id`, if it is one that can be shown."""
    value = response.headers.get("X-Request-Id")
    return value if value is not None and _VISIBLE.fullmatch(value) else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read how long the server asks to wait.

    Args:
        headers: The answer's headers: `retry-after-ms`, or `Retry-After` in seconds or as an HTTP-date.

    Returns:
        Seconds, never negative, or None where there is nothing to go by. A date counts from the answer's own `Date`,
        so that a wrong clock on either side does no harm.
    """
    milliseconds = headers.get("retry-after-ms", "").strip()
    if _NUMBER.fullmatch(milliseconds):
        return float(milliseconds) / 1000
    value = headers.get("Retry-After", "").strip()
    if _NUMBER.fullmatch(value):
        return float(value)
    until = _date(value)
    if until is None:
        return None
    now = _date(headers.get("Date", "")) or dt.datetime.now(dt.UTC)
    return max(0.0, (until - now).total_seconds())


def _date(value: str) -> dt.datetime | None:
    try:
        date = email.utils.parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo is not None else None


def api_error(response: Response, *, fields: Collection[str] = ()) -> APIError:
    """Turn an answer that is no success into its error.

    Args:
        response: The answer.
        fields: Names of fields that were sent; of the envelope's `details`, only these names are shown.

    Returns:
        The error. Its sentence holds the status, the code, names of wrong fields, and the request id; the server's
        own words, which may quote data, are in attributes only.
    """
    envelope = _envelope(response.body)
    code, message, details = (envelope.get(key) for key in ("error_code", "error", "details"))
    code = code if isinstance(code, str) else None
    details = as_object(details) or {}
    parts = [str(response.status)]
    if code is not None and _MACHINE_READABLE.fullmatch(code):
        parts.append(code)
    if response.status in _REDIRECTS:
        parts.append(_redirect(response))
    if details:
        parts.append(_wrong_fields(details, fields))
    identifier = request_id(response)
    if identifier is not None:
        parts.append(f"request id {identifier}")
    return error_class(response.status)(
        ", ".join(parts),
        status=response.status,
        error_code=code,
        message=message if isinstance(message, str) else None,
        details=details,
        retry_after=retry_after(response.headers),
        body=response.body,
        request_id=identifier,
    )


def _envelope(body: bytes) -> dict[str, Any]:
    try:
        # bytes that are no UTF-8, deep nesting and numbers of 5,000 digits all fail here, each in its own way.
        return as_object(json.loads(body)) or {}
    except (ValueError, RecursionError):
        return {}


def _redirect(response: Response) -> str:
    try:
        host = urlsplit(response.headers.get("Location", "")).hostname
    except ValueError:
        host = ""
    place = "the same host" if host is None else host if _HOST.fullmatch(host) else "a host that is none"
    return f"a redirect to {place}, which is not followed: check base_url"


def _wrong_fields(details: dict[str, Any], fields: Collection[str]) -> str:
    known = [name for name in details if name in fields]
    others = len(details) - len(known)
    named = ", ".join(known)
    if not others:
        return f"wrong fields: {named}"
    return f"wrong fields: {named} and {others} more" if known else f"wrong fields: {others}, see .details"
