"""A snapshot of a client's limits, for its user."""

from typing import Final

import attrs

_SLOW: Final = 10.0
"""Requests a second below which they are told by the minute."""


@attrs.frozen(kw_only=True)
class Limits:
    """A snapshot of a client's limits.

    Args:
        in_use: Requests in flight.
        waiting: Calls that wait for their turn; one that was cancelled counts until its turn would have come.
        max_in_flight: Requests that may be in flight at once, at present.
        rate: Requests a second that the client allows itself at present; None while any number is.
        cooldown: Seconds that the API has asked every call to wait from now on; 0 if it has not.
        granted_rate: Requests a second that the API seems to grant this client; None while it seems to grant any.
        granted_at_once: Requests at once that it seems to grant; None while it seems to grant any number.
    """

    in_use: int
    waiting: int
    max_in_flight: int
    rate: float | None
    cooldown: float
    granted_rate: float | None = None
    granted_at_once: int | None = None

    @property
    def found(self) -> str | None:
        """What the client has found out about the API's limit, in words; None if it has met none."""
        if self.granted_rate is not None:
            return f"the API grants about {_amount(self.granted_rate)}"
        if self.granted_at_once is not None:
            noun = "request" if self.granted_at_once == 1 else "requests"
            return f"the API grants about {self.granted_at_once:,} {noun} at once"
        return None


def _amount(rate: float) -> str:
    if rate >= _SLOW:
        return f"{rate:,.0f} requests a second"
    return f"{rate * 60:,.3g} requests a minute" if rate * 60 >= 1 else f"one request in {1 / rate:,.0f} seconds"
