"""The options of a worker."""

import attrs

from thredfi_async._checks.numbers import must_be, positive_seconds, seconds_between, seconds_or_zero, whole_number
from thredfi_async.worker.handler import DELAY, MAX_RETRY_AFTER


@attrs.frozen(kw_only=True)
class WorkerOptions:
    """The options of a worker.

    Args:
        concurrency: The maximum of calls in flight, and of messages that wait for one; 32 by default. As many again may
            wait until their outcome is stored.
        max_deliveries: How often a message is delivered before it becomes a dead letter; 10 by default. An outage of
            the API uses up none; a worker that dies or is stopped uses up one for each message that it holds.
        max_retry_after: The longest wait that the API may ask for with Retry-After, in seconds; 300 by default. A
            longer one counts as this one.
        grace_period: Seconds that calls in flight get when the worker stops; 30 by default.
        poll: Seconds that a request for messages waits at the broker while there are none, and so the least time
            that stopping takes, from 0.01 to 30; 1 by default.
        connect_timeout: Seconds in which NATS must be reached and the queue be ready at the start; None, the default,
            goes on trying, as the worker does later.
        name: The connection's name at the broker; `thredfi-worker` by default.

    Raises:
        ConfigurationError: A number is out of range.
    """

    concurrency: int = attrs.field(default=32, validator=must_be(whole_number))
    max_deliveries: int = attrs.field(default=10, validator=must_be(whole_number))
    max_retry_after: float = attrs.field(default=MAX_RETRY_AFTER, validator=must_be(DELAY))
    grace_period: float = attrs.field(default=30.0, validator=must_be(seconds_or_zero))
    poll: float = attrs.field(default=1.0, validator=must_be(seconds_between(0.01, 30.0, "from 0.01 to 30")))
    connect_timeout: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(must_be(positive_seconds))
    )
    name: str = "thredfi-worker"
