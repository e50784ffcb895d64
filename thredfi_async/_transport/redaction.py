"""Removes secrets from the body of a refusal: the credentials of the request, and the queries of URLs."""

import base64
import re
from typing import Final

_HIDDEN: Final = b"[hidden]"
_SHORTEST: Final = 8
# A URL up to its query, which is the secret of a presigned one. JSON, and JSON inside JSON, may escape slashes.
_QUERY: Final = re.compile(
    rb"""(https?:(?:\\*/){2}(?:[^\s"'<>?\\]|\\+/)*)(?:\?|\\+u003f)(?:[^\s"'<>\\]|\\+[/u])*""", re.IGNORECASE
)


def redacted(body: bytes, authorization: str) -> bytes:
    """Hide our credentials where a server or a proxy quotes them, and the queries of URLs.

    Args:
        body: The body of a refusal; it is stored on an error, and so goes wherever errors go.
        authorization: The Authorization header that the request carried.

    Returns:
        The body with `[hidden]` instead of them; JSON stays JSON.
    """
    for secret in _secrets(authorization):
        # A shorter one is not a real secret, and may be a word that the server uses itself.
        if len(secret) >= _SHORTEST:
            body = body.replace(secret, _HIDDEN).replace(secret.replace(b"/", b"\\/"), _HIDDEN)
    return _QUERY.sub(rb"\1?" + _HIDDEN, body)


def _secrets(authorization: str) -> list[bytes]:
    scheme, _, credentials = authorization.partition(" ")
    secrets = [credentials.encode()]
    if scheme == "Basic":
        secrets.append(base64.b64decode(credentials).partition(b":")[2])
    return secrets
