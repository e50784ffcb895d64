"""The API's hosts, and the time limits of a call."""

import enum

import attrs

from thredfi_async._checks.numbers import must_be, positive_seconds

__all__ = ["Environment", "Timeouts"]


class Environment(enum.Enum):
    """The named hosts of the Partner API; pass any other host as a URL."""

    SANDBOX = "https://sandbox.thredfi.com"
    PRODUCTION = "https://api.thredfi.com"


@attrs.frozen(kw_only=True)
class Timeouts:
    """How long a call may take, each bound in seconds.

    Args:
        connect: Resolving the host, connecting and TLS, for each attempt; 10 by default.
        read: Silence while waiting for or reading an answer, for each attempt; 30 by default.
        deadline: The whole call from its first turn on, including attempts, waits and settling; 120 by default,
            None for no bound. It pauses while the call queues, but ends a call that waits for another turn while the
            API refuses everything for so long.
        queue: The sum of the call's waits for turns; None, the default, for no bound.
            A call that never had its turn was certainly not sent. `queue` and `deadline` together bound a call.

    Raises:
        ConfigurationError: A bound is not a positive, finite number.
    """

    connect: float = attrs.field(default=10.0, validator=must_be(positive_seconds))
    read: float = attrs.field(default=30.0, validator=must_be(positive_seconds))
    deadline: float | None = attrs.field(default=120.0, validator=must_be(positive_seconds, optional=True))
    queue: float | None = attrs.field(default=None, validator=must_be(positive_seconds, optional=True))
