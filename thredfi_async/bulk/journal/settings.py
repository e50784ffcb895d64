"""The settings of a run, as its journal keeps them: a resumed run goes on at the same pace."""

import json
from collections.abc import Mapping
from typing import Final, Self

import attrs

from thredfi_async._checks.json import as_object

KEY: Final = "settings"
"""Where they stand among the facts about a run."""
_NUMBERS: Final = ("rate", "concurrency", "outage_timeout")

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
        if found is None or found.keys() != {*_NUMBERS, "timeouts"}:
            raise ValueError(KEY)
        timeouts = as_object(found["timeouts"])
        if timeouts is None or not all(map(_is_setting, [*timeouts.values(), *(found[name] for name in _NUMBERS)])):
            raise ValueError(KEY)
        if isinstance(found["concurrency"], float):
            raise ValueError(KEY)  # noqa: TRY004 - a value of the journal, not an argument
        return cls(found["rate"], found["concurrency"], found["outage_timeout"], timeouts)


def _is_setting(value: object) -> bool:
    """Return whether a value is None or a number that a setting may have, which no NaN and no infinity is."""
    if value is None:
        return True
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _MOST


_MOST: Final = 10**12
