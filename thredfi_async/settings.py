"""Where the API is, and how long to wait for it."""

import enum
import sys
from typing import Any

import attrs

from thredfi_async.errors import ConfigurationError


class Environment(enum.Enum):
    """The named hosts of the Partner API; any other host is given as a URL."""

    SANDBOX = "https://sandbox.thredfi.com"
    PRODUCTION = "https://api.thredfi.com"


def check_seconds(instance: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:  # noqa: ANN401 - unchecked
    """Refuse what is no positive, finite number of seconds; an attrs validator for settings.

    Raises:
        ConfigurationError: It names the class and the field.
    """
    # Not math.isfinite: it cannot take an integer that is too large for a float.
    if type(value) not in {int, float} or not 0 < value <= sys.float_info.max:
        setting = f"{type(instance).__name__}.{attribute.name}"
        msg = f"{setting} must be a positive number of seconds, not {value!r}"
        raise ConfigurationError(msg)


def check_optional_seconds(instance: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    """Do as `check_seconds` does, and let None pass."""
    if value is not None:
        check_seconds(instance, attribute, value)


@attrs.frozen(kw_only=True)
class Timeouts:
    """How long a call may take, each bound in seconds.

    Args:
        connect: Resolving the host, connecting and TLS, for each attempt; 10 by default.
        read: Silence while an answer is awaited or read, for each attempt; 30 by default.
        deadline: The whole call from its first turn on, through attempts, waits and settling; 120 by default,
            None for no bound. It pauses while the call queues.
        queue: The sum of the call's waits for a turn; None, the default, for no bound.
            A call that never had its turn was certainly not sent. `queue` and `deadline` together bound a call.

    Raises:
        ConfigurationError: A bound is not a positive, finite number.
    """

    connect: float = attrs.field(default=10.0, validator=check_seconds)
    read: float = attrs.field(default=30.0, validator=check_seconds)
    deadline: float | None = attrs.field(default=120.0, validator=check_optional_seconds)
    queue: float | None = attrs.field(default=None, validator=check_optional_seconds)
