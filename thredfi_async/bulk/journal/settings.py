"""The settings of a run, as its journal keeps them: a resumed run goes on at the same pace."""

import json
from collections.abc import Mapping
from typing import Final, Self

import attrs

from thredfi_async import ConfigurationError, Timeouts
from thredfi_async._checks.json import as_object
from thredfi_async._checks.numbers import positive, seconds_or_zero, whole_number

KEY: Final = "settings"
"""Where they stand among the facts about a run."""
_CHECKS: Final = {"rate": positive("calls a second"), "concurrency": whole_number, "outage_timeout": seconds_or_zero}

Number = int | float


@attrs.frozen
class RunSettings:
    """How fast a run goes, and how long it waits.

    Args:
        rate: Calls that begin in a second at most; None for no limit.
        concurrency: Items in flight at most; None for the default.
        outage_timeout: Seconds that the run waits for an API that is unavailable; None for the default.
        timeouts: The client's timeouts by name, in seconds; None is no timeout, and a missing one the default.
    """

    rate: Number | None = None
    concurrency: int | None = None
    outage_timeout: Number | None = None
    timeouts: Mapping[str, Number | None] = attrs.field(factory=dict[str, Number | None])

    def as_fact(self) -> str:
        """Return them as the journal keeps them."""
        return json.dumps(attrs.asdict(self))

    @classmethod
    def of(cls, fact: str | None) -> Self:
        """Read them.

        Args:
            fact: What the journal keeps; None where that is nothing.

        Returns:
            The settings.

        Raises:
            ValueError: It is not what a run writes.
        """
        if fact is None:
            return cls()
        found = as_object(json.loads(fact))
        if found is None or found.keys() != {*_CHECKS, "timeouts"}:
            raise ValueError(KEY)
        timeouts = as_object(found["timeouts"])
        if timeouts is None or any(found[name] is not None and check(found[name]) for name, check in _CHECKS.items()):
            raise ValueError(KEY)
        try:
            Timeouts(**timeouts)
        except (ConfigurationError, TypeError):
            raise ValueError(KEY) from None
        return cls(found["rate"], found["concurrency"], found["outage_timeout"], timeouts)
