"""When a run stops before its end, and when a single business is set aside."""

import attrs

from thredfi_async._checks.numbers import must_be, part_of_one, seconds_or_zero, whole_number


@attrs.frozen(kw_only=True)
class StopPolicy:
    """When a run stops before its end. Refused credentials stop it always, and at once.

    Args:
        failure_ratio: Stops the run when more than this part of `min_items` items that were first sent one after the
            other have failed, rejections included; of a business whose customers fail in a row, the first three count.
            0.5 by default, None for never.
        min_items: The window for `failure_ratio`; 100 by default.
        max_failures: Stops the run at this many failures, rejections included; None, the default, for never.
        outage_timeout: Seconds for which a run waits for an API that is down, probing it; 600 by default.
        skip_business_after: Sets a business aside after this many of its customers in a row were refused with 403, or
            failed while other businesses were served; 20 by default, None for never.

    Raises:
        ConfigurationError: A number is out of range.
    """

    failure_ratio: float | None = attrs.field(default=0.5, validator=must_be(part_of_one, optional=True))
    min_items: int = attrs.field(default=100, validator=must_be(whole_number))
    max_failures: int | None = attrs.field(default=None, validator=must_be(whole_number, optional=True))
    outage_timeout: float = attrs.field(default=600.0, validator=must_be(seconds_or_zero))
    skip_business_after: int | None = attrs.field(default=20, validator=must_be(whole_number, optional=True))
