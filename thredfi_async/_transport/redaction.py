"""What a refusal's body may not keep: the credentials that it was sent, and the secret part of URLs."""

import base64
import re
from typing import Final

_HIDDEN: Final = b"[hidden]"
_SHORTEST: Final = 8
# A URL up to its query, which in a presigned one is the secret. JSON, and JSON inside JSON, may escape slashes.
_QUERY: Final = re.compile(
    rb"""(https?:(?:\\*/){2}(?:[^\s"'<>?\\]|\\+/)*)(?:\?|\\+u003f)(?:[^\s"'<>\\]|\\+[/u])*""", re.IGNORECASE
)


def redacted(body: bytes, authorization: str) -> bytes:
    """Hide what a server or a proxy quotes of our credentials, and the queries of URLs.

    Args:
        body: The body of an answer that is no success: it goes onto an error, and with that wherever errors go.
        authorization: The Authorization header that the request carried.

    Returns:
        The body, with `[hidden]` in their place; JSON stays JSON.
    """
    for secret in _secrets(authorization):
        # A shorter one is nobody's secret, and may be a word that the server has uses of its own for.
        if len(secret) >= _SHORTEST:
            body = body.replace(secret, _HIDDEN).replace(secret.replace(b"/", b"\\/"), _HIDDEN)
    return _QUERY.sub(rb"\1?" + _HIDDEN, body)


def _secrets(authorization: str) -> list[bytes]:
    scheme, _, credentials = authorization.partition(" ")
    secrets = [credentials.encode()]
    if scheme == "Basic":
        secrets.append(base64.b64decode(credentials).partition(b":")[2])
    return secrets
