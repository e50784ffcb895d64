"""How a worker works, apart from where."""

import attrs

from thredfi_async import ConfigurationError


def _check_count(instance: object, attribute: "attrs.Attribute[int]", value: object) -> None:
    if type(value) is not int or value < 1:
        setting = f"{type(instance).__name__}.{attribute.name}"
        raise ConfigurationError(f"{setting} must be a whole number of at least 1, not {value!r}")


def _check_seconds(instance: object, attribute: "attrs.Attribute[float]", value: object) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < float("inf"):
        setting = f"{type(instance).__name__}.{attribute.name}"
        raise ConfigurationError(f"{setting} must be a number of seconds, not {value!r}")


@attrs.frozen(kw_only=True)
class WorkerOptions:
    """How a worker works.

    Args:
        concurrency: Messages that it holds at once, and calls that it makes at once at most; 32 by default.
        max_deliveries: How often a message is delivered before it is a dead letter; 10 by default. An outage of the
            API spends none; a worker that dies or is stopped spends one for each message that it held.
        drain: Seconds that calls under way have when the worker stops; 30 by default.
        poll: Seconds for which a request for messages waits at the broker while there are none, and so what stopping
            takes at least; 1 by default.
        name: What the broker's operators see; `thredfi-worker` by default.

    Raises:
        ConfigurationError: A number is out of range.
    """

    concurrency: int = attrs.field(default=32, validator=_check_count)
    max_deliveries: int = attrs.field(default=10, validator=_check_count)
    drain: float = attrs.field(default=30.0, validator=_check_seconds)
    poll: float = attrs.field(default=1.0, validator=_check_seconds)
    name: str = "thredfi-worker"
