"""How a worker works, apart from where."""

import attrs

from thredfi_async._checks.numbers import must_be, seconds_or_zero, whole_number


@attrs.frozen(kw_only=True)
class WorkerOptions:
    """How a worker works.

    Args:
        concurrency: Messages that it holds at once, and calls that it makes at once at most; 32 by default.
        max_deliveries: How often a message is delivered before it is a dead letter; 10 by default. An outage of the
            API spends none; a worker that dies or is stopped spends one for each message that it holds.
        grace_period: Seconds that calls under way have when the worker stops; 30 by default.
        poll: Seconds for which a request for messages waits at the broker while there are none, and so what stopping
            takes at least; 1 by default.
        name: What the broker's operators see; `thredfi-worker` by default.

    Raises:
        ConfigurationError: A number is out of range.
    """

    concurrency: int = attrs.field(default=32, validator=must_be(whole_number))
    max_deliveries: int = attrs.field(default=10, validator=must_be(whole_number))
    grace_period: float = attrs.field(default=30.0, validator=must_be(seconds_or_zero))
    poll: float = attrs.field(default=1.0, validator=must_be(seconds_or_zero))
    name: str = "thredfi-worker"
