"""Matches paths to endpoints."""

import re
from urllib.parse import unquote

import attrs

_PATH = re.compile(
    r"/v1/platform/(?:oauth2/(?P<token>token)/"
    r"|businesses/(?P<business>[^/]+)/customers/(?:(?P<customer>[^/]+)/(?P<archive>archive/)?)?)"
)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
METHODS = {"archive": "POST", "get": "GET", "list": "GET", "token": "POST"}
"""The one method that each endpoint accepts."""


@attrs.frozen
class Route:
    """The kind of an endpoint, and the ids of the path in canonical form."""

    kind: str
    business_id: str = ""
    customer_id: str = ""


def match_path(path: str) -> Route | None:
    """Return the route of a path, or None if there is none; the slash at the end is required."""
    found = _PATH.fullmatch(unquote(path) if "%" in path else path)
    if found is None:
        return None
    if found["token"]:
        return Route("token")
    business_id, customer_id = found["business"].lower(), (found["customer"] or "").lower()
    if not _UUID.fullmatch(business_id) or (customer_id and not _UUID.fullmatch(customer_id)):
        return None
    kind = "list" if not customer_id else "archive" if found["archive"] else "get"
    return Route(kind, business_id, customer_id)
