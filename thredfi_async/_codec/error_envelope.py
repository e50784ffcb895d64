"""Turns a refused response into its error."""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

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
_HOST: Final = re.compile(r"[a-z0-9.:_-]{1,253}", re.ASCII)


def api_error(response: Response, *, fields: Collection[str] = ()) -> APIError:
    """Return the error for a refused response.

    Args:
        response: The response.
        fields: Names of the fields that were sent; of the envelope's `details`, only these names are shown.

    Returns:
        The error. Its message has the status, the code, the names of wrong fields, and the request id. The server's
        own words, which may quote data, are in attributes only.
    """
    envelope = _envelope(response.body)
    code, message, details = (envelope.get(key) for key in ("error_code", "error", "details"))
    code = code if isinstance(code, str) else None
    details = as_object(details) or {}
    parts = [str(response.status)]
    if code is not None and _MACHINE_READABLE.fullmatch(code):
        parts.append(code)
    if response.status in REDIRECTS:
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
        # Bytes that are not UTF-8, deep nesting and numbers of 5,000 digits all fail here, with different errors.
        return as_object(json.loads(body)) or {}
    except (ValueError, RecursionError):
        return {}


def _redirect(response: Response) -> str:
    try:
        host = urlsplit(response.headers.get("Location", "")).hostname
    except ValueError:
        host = ""
    place = "the same host" if host is None else host if _HOST.fullmatch(host) else "an invalid host"
    return f"a redirect to {place}, which is not followed: check base_url"


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
