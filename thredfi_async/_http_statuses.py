"""Names for the HTTP statuses that the client distinguishes."""

from typing import Final

SUCCESS: Final = range(200, 300)
REDIRECTS: Final = range(300, 400)
UNAUTHORIZED: Final = 401
FORBIDDEN: Final = 403
NOT_FOUND: Final = 404
PROXY_AUTHENTICATION: Final = 407
REQUEST_TIMEOUT: Final = 408
TOO_MANY_REQUESTS: Final = 429
SERVER_FAULT: Final = 500
"""From this status up, the server or a proxy is at fault."""
UNAVAILABLE: Final = 503
THROTTLING: Final = frozenset({TOO_MANY_REQUESTS, UNAVAILABLE})
"""Statuses with which an API reports overload."""
NOT_PROCESSED: Final = frozenset({407, 411, 413, 414, 417, 421, 426, 428, TOO_MANY_REQUESTS, 431})
"""Statuses that say by themselves that the request was not processed, whichever server or proxy sends them.

That holds if no gateway repeats a POST by itself, nor replaces an answer by one of these: docs/contract.md states it.
"""
CONFLICT: Final = 409
BAD_REQUEST: Final = 400
TRANSIENT: Final = frozenset({REQUEST_TIMEOUT, TOO_MANY_REQUESTS, 500, 502, UNAVAILABLE, 504})
"""Statuses after which the same request may succeed."""
