"""Turns a refused response into its error."""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Final
from urllib.parse import SplitResult, urljoin, urlsplit

from thredfi_async._checks.json import as_object
from thredfi_async._codec.response_headers import request_id, retry_after
from thredfi_async._http_statuses import REDIRECTS, SERVER_FAULT
from thredfi_async._interfaces import Response
from thredfi_async.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    UnprocessableEntityError,
)

_MACHINE_READABLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", re.ASCII)
LONGEST_BODY: Final = 16_384
"""Bytes of a body that an error keeps."""
_MOVED: Final = frozenset({301, 302, 307, 308})
"""Redirects that say to send the same again; a 303 may come after the request was processed."""
_LOOKED_AT: Final = 8_192
_PORTS: Final = {"http": 80, "https": 443}
"""Characters of a header, and bytes of a page, that are looked at."""
_HOST: Final = re.compile(r"[a-z0-9.:_-]{1,253}", re.ASCII)


def api_error(response: Response, *, url: str = "", fields: Collection[str] = ()) -> APIError:
    """Return the error for a refused response.

    Args:
        response: The response.
        url: The URL that was asked for, to compare a redirect with.
        fields: Names of the fields that were sent; of the envelope's `details`, only these names are shown.

    Returns:
        The error. Its message has the status, the code, the names of wrong fields, and the request id. The server's
        own words, which may quote data, are in attributes only.
    """
    envelope = _json_object(response.body) if response.flaw is None else {}
    code, message, details = (envelope.get(key) for key in ("error_code", "error", "details"))
    code = code if isinstance(code, str) and code else None
    message = message if isinstance(message, str) and message else None
    is_enveloped = code is not None or message is not None
    details = as_object(details) or {}
    parts = [str(response.status)]
    if code is not None and _MACHINE_READABLE.fullmatch(code):
        parts.append(code)
    if response.status in REDIRECTS:
        parts.append(_redirect(response))
    elif not is_enveloped:
        parts.append(f"{_form(response)}, not the API's own error")
    if details:
        parts.append(_wrong_fields(details, fields))
    identifier = request_id(response)
    if identifier is not None:
        parts.append(f"request id {identifier}")
    if not is_enveloped:
        # How the framework that the API resembles would say it; it is not the documented envelope.
        message = _text(envelope.get("detail"))
    is_long = len(response.body) > LONGEST_BODY
    return error_class(response.status)(
        ", ".join(parts),
        status=response.status,
        error_code=code if code is None else code[:LONGEST_BODY],
        message=message if message is None else message[:LONGEST_BODY],
        details={} if is_long else details,
        retry_after=retry_after(response.headers),
        body=response.body[:LONGEST_BODY],
        request_id=identifier,
        is_enveloped=is_enveloped,
        is_same_path=response.status in _MOVED and _leads_to(response, url),
    )


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        # Bytes that are not UTF-8, deep nesting and numbers of 5,000 digits all fail here, with different errors.
        return as_object(json.loads(body)) or {}
    except (ValueError, RecursionError):
        return {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _form(response: Response) -> str:
    """Return what an answer is that has no envelope."""
    start = response.body[:_LOOKED_AT].lstrip().lower()
    if not start:
        return "no body"
    return "an HTML page" if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")) else "a body"


def _redirect(response: Response) -> str:
    try:
        host = urlsplit(response.headers.get("Location", "")[:_LOOKED_AT]).hostname
    except ValueError:
        host = ""
    place = "the same host" if host is None else host if _HOST.fullmatch(host) else "an invalid host"
    return f"a redirect to {place}, which is not followed: check base_url"


def _leads_to(response: Response, url: str) -> bool:
    """Return whether a redirect leads to the path that was asked for, by another scheme, host, port or slash."""
    location = response.headers.get("Location", "")
    if not location or not url or len(location) > _LOOKED_AT:
        return False
    try:
        there, here = urlsplit(urljoin(url, location)), urlsplit(url)
        is_elsewhere = (_origin(there), there.path) != (_origin(here), here.path)
    except ValueError:
        return False
    is_same_path = there.path.rstrip("/") == here.path.rstrip("/") and there.query == here.query
    return is_elsewhere and is_same_path and there.scheme in _PORTS


def _origin(url: SplitResult) -> tuple[str, str | None, int | None]:
    """Return where a URL leads, however it is spelled; an invalid port is a ValueError."""
    return url.scheme, url.hostname, url.port or _PORTS.get(url.scheme)


def _wrong_fields(details: dict[str, Any], fields: Collection[str]) -> str:
    known = [name for name in details if name in fields]
    others = len(details) - len(known)
    named = ", ".join(known)
    if not others:
        return f"wrong fields: {named}"
    return f"wrong fields: {named} and {others} more" if known else f"wrong fields: {others}, see .details"


_BY_STATUS: Final[Mapping[int, type[APIError]]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableEntityError,
    429: RateLimitedError,
}


def error_class(status: int) -> type[APIError]:
    """Return the error class for this status."""
    return _BY_STATUS.get(status, ServerError if status >= SERVER_FAULT else APIError)
