"""Hides, in the bodies of refused responses, our own credentials and the secret part of URLs."""

import base64
import re
from typing import Final

_HIDDEN: Final = b"[hidden]"
_SHORTEST: Final = 8
# JSON, and JSON inside JSON, may escape slashes. Every quantifier here is possessive or ends where it cannot go on, and
# the search continues behind what was looked at: the work is linear in the body's size.
_SCHEME: Final = re.compile(rb"https?:(?:\\*+/){2}", re.IGNORECASE)
_UP_TO_QUERY: Final = re.compile(rb"""(?:[^\s"'<>?\\]|\\++/)*+""")
_QUERY: Final = re.compile(rb"""(?:\?|\\++u003f)(?:[^\s"'<>\\]|\\++[/u])*+""", re.IGNORECASE)


def redacted(body: bytes, authorization: str) -> bytes:
    """Hide our credentials and the queries of URLs in a body.

    Args:
        body: The body of a refused response: it is kept on an error, and errors are logged and sent anywhere.
        authorization: The Authorization header that the request carried.

    Returns:
        The body, with `[hidden]` in their place; JSON stays JSON.
    """
    for secret in _secrets(authorization):
        # A shorter string is not secret, and may be an ordinary word.
        if len(secret) >= _SHORTEST:
            body = body.replace(secret, _HIDDEN).replace(secret.replace(b"/", b"\\/"), _HIDDEN)
    return _without_queries(body)


def _without_queries(body: bytes) -> bytes:
    """Hide the query of each URL: in a presigned one, it is the secret."""
    kept: list[bytes] = []
    done = at = 0
    while (scheme := _SCHEME.search(body, at)) is not None:
        path = _UP_TO_QUERY.match(body, scheme.end())
        at = path.end() if path is not None else scheme.end()
        # A URL that begins within the path ends where the path does, and has the same query.
        query = _QUERY.match(body, at)
        if query is not None:
            kept += body[done:at], b"?", _HIDDEN
            done = at = query.end()
    return body if not kept else b"".join([*kept, body[done:]])


def _secrets(authorization: str) -> list[bytes]:
    scheme, _, credentials = authorization.partition(" ")
    secrets = [credentials.encode()]
    if scheme == "Basic":
        secrets.append(base64.b64decode(credentials).partition(b":")[2])
    return secrets
