"""When a run stops before its end, and when a single business is held back."""

from collections import deque
from uuid import UUID

import attrs

from thredfi_async import PermissionDeniedError, ThredfiError
from thredfi_async._checks.numbers import must_be, part_of_one, seconds_or_zero, whole_number
from thredfi_async.bulk.errors import BulkStoppedError, BusinessSkippedError
from thredfi_async.bulk.items import ArchiveResult


@attrs.frozen(kw_only=True)
class StopPolicy:
    """When a run stops before its end. Refused credentials stop it always, and at once.

    Args:
        failure_ratio: Stops the run when more than this part of the last `min_items` items that were sent have failed,
            rejections included; 0.5 by default, None for never.
        min_items: The window for `failure_ratio`; 100 by default.
        max_failures: Stops the run at this many failures, rejections included; None, the default, for never.
        outage_timeout: Seconds for which a run waits for an API that is down, probing it; 600 by default.
        skip_business_after: Holds a business back after this many 403s in a row; 20 by default, None for never.

    Raises:
        ConfigurationError: A number is out of range.
    """

    failure_ratio: float | None = attrs.field(default=0.5, validator=must_be(part_of_one, optional=True))
    min_items: int = attrs.field(default=100, validator=must_be(whole_number))
    max_failures: int | None = attrs.field(default=None, validator=must_be(whole_number, optional=True))
    outage_timeout: float = attrs.field(default=600.0, validator=must_be(seconds_or_zero))
    skip_business_after: int | None = attrs.field(default=20, validator=must_be(whole_number, optional=True))


class Watch:
    """Checks a run's results against a policy.

    Args:
        policy: The policy.
    """

    def __init__(self, policy: StopPolicy) -> None:
        """Begin without results."""
        self._policy = policy
        self._window: deque[bool] = deque(maxlen=policy.min_items)
        self._failed_of_late = 0
        self._failures = 0
        self._refused: dict[UUID, int] = {}
        self._skipped: dict[UUID, str] = {}

    def skipped(self, business_id: UUID) -> BusinessSkippedError | None:
        """Return the error for an item of a business that is held back; None if it is not."""
        if not self._skipped or business_id not in self._skipped:
            return None
        return BusinessSkippedError(self._skipped[business_id], business_id=business_id)

    def sees(self, result: ArchiveResult) -> BulkStoppedError | None:
        """Note the result of an item that was sent; return why the run has to stop, if it has to."""
        failed = not result.state.is_success
        self._count_refusals(result)
        if len(self._window) == self._window.maxlen:
            self._failed_of_late -= self._window[0]
        self._window.append(failed)
        self._failed_of_late += failed
        if not failed:
            return None
        self._failures += 1
        return self._too_many(result.error)

    def _too_many(self, error: ThredfiError | None) -> BulkStoppedError | None:
        policy, last = self._policy, f"the last one: {error}"
        if policy.max_failures is not None and self._failures >= policy.max_failures:
            reason = f"{self._failures} items have failed (StopPolicy.max_failures); {last}"
            return BulkStoppedError(reason, cause="max_failures")
        full = len(self._window) == self._window.maxlen
        if policy.failure_ratio is not None and full and self._failed_of_late > policy.failure_ratio * policy.min_items:
            reason = (
                f"{self._failed_of_late} of the last {policy.min_items} items have failed "
                f"(StopPolicy.failure_ratio is {policy.failure_ratio:g}); {last}"
            )
            return BulkStoppedError(reason, cause="failure_ratio")
        return None

    def _count_refusals(self, result: ArchiveResult) -> None:
        business = result.item.business_id
        if not isinstance(result.error, PermissionDeniedError):
            if self._refused and result.state.is_success:
                self._refused.pop(business, None)
            return
        count = self._refused[business] = self._refused.get(business, 0) + 1
        if self._policy.skip_business_after is not None and count >= self._policy.skip_business_after:
            self._skipped[business] = (
                f"the API refused the business {business} {count} times in a row (403): its items are held back "
                "unsent; look at the partner's access, and resume"
            )
