"""What the HTTP statuses that matter here are called: one home for each number."""

from typing import Final

SUCCESS: Final = range(200, 300)
REDIRECTS: Final = range(300, 400)
UNAUTHORIZED: Final = 401
REQUEST_TIMEOUT: Final = 408
TOO_MANY_REQUESTS: Final = 429
SERVER_FAULT: Final = 500
"""From here on it is the server's, or a proxy's, fault."""
UNAVAILABLE: Final = 503
THROTTLING: Final = frozenset({TOO_MANY_REQUESTS, UNAVAILABLE})
"""Statuses with which an API says that it gets too much."""
TRANSIENT: Final = frozenset({REQUEST_TIMEOUT, TOO_MANY_REQUESTS, 500, 502, UNAVAILABLE, 504})
"""Statuses after which the same request may well succeed."""
