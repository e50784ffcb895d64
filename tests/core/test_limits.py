"""What a client has found out about an API's limit, in words."""

import pytest

from thredfi_async import Limits


@pytest.mark.parametrize(
    ("rate", "at_once", "words"),
    [
        (None, None, None),
        (198.4, None, "the API grants about 198 requests a second"),
        (12_345.0, 8, "the API grants about 12,345 requests a second"),
        (2.0, None, "the API grants about 120 requests a minute"),
        (1 / 120, None, "the API grants about one request in 120 seconds"),
        (None, 8, "the API grants about 8 requests at once"),
        (None, 1, "the API grants about 1 request at once"),
    ],
)
def test_what_was_found(rate: float | None, at_once: int | None, words: str | None) -> None:
    """Rates are told by the second, the minute or the request, and a bound on requests at once by their number."""
    limits = Limits(
        in_use=0,
        waiting=0,
        max_in_flight=100,
        rate=None,
        cooldown=0.0,
        granted_rate=rate,
        granted_at_once=at_once,
    )
    assert limits.found == words
