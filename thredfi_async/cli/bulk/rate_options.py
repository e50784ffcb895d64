"""How fast a run may go, and when it gives up."""

from dataclasses import dataclass
from typing import Final

_CONCURRENCY: Final = 100
_OUTAGE_TIMEOUT: Final = 600.0


@dataclass(frozen=True, kw_only=True)
class RateOptions:
    """How fast a run may go, and when it gives up; None is the default of each.

    Args:
        concurrency: Customers at a time at most; 100.
        rate: Customers begun a second at most; no bound.
        outage_timeout: Seconds that an API may be down; 600.
        max_failures: How many customers may fail; no bound.
    """

    concurrency: int | None = None
    rate: float | None = None
    outage_timeout: float | None = None
    max_failures: int | None = None

    @property
    def at_a_time(self) -> int:
        """Customers at a time at most."""
        return self.concurrency or _CONCURRENCY

    @property
    def waits(self) -> float:
        """Seconds that an API may be down."""
        return _OUTAGE_TIMEOUT if self.outage_timeout is None else self.outage_timeout

    def __str__(self) -> str:
        """Return it in words."""
        rate = "" if self.rate is None else f", at most {self.rate:,.4g} a second"
        return f"at most {self.at_a_time:,} at a time{rate}"
