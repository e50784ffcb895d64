"""The failure-rate monitor: whether too many items fail."""

from typing import Final

from thredfi_async import ThredfiError
from thredfi_async.bulk.engine.job import Job
from thredfi_async.bulk.errors import BulkStoppedError
from thredfi_async.bulk.policy import StopPolicy

_REMEMBERED: Final = 65_536
"""First calls of which it is known whether their items have failed since, at one byte each."""


class FailureRate:
    """Holds the outcomes of items against a policy.

    The ratio is that of items whose first calls began one after the other. Failures that are put off, or are slow, and
    then come together, do not change an item's place: a few customers who always fail never look like many.

    Args:
        policy: The policy.
    """

    def __init__(self, policy: StopPolicy) -> None:
        """Begin without items."""
        self._policy = policy
        self._size = max(_REMEMBERED, 4 * policy.min_items) if policy.failure_ratio is not None else 0
        self._failed = bytearray()
        self._begun = 0
        self._failures = 0

    def first_call_begins(self, job: Job) -> None:
        """Give a job its place."""
        job.number = self._begun
        if self._size:
            if self._begun < self._size:
                self._failed.append(0)
            else:
                self._failed[self._begun % self._size] = 0
        self._begun += 1

    def failed(self, job: Job, error: ThredfiError | None, *, is_business: bool) -> BulkStoppedError | None:
        """Note that an item which was sent has failed; return why the run has to stop, if it has to.

        Args:
            job: The item.
            error: Why.
            is_business: Whether its business is at fault, which no ratio counts.
        """
        self._failures += 1
        policy, last = self._policy, f"the last one: {error}"
        if policy.max_failures is not None and self._failures >= policy.max_failures:
            reason = f"{self._failures} items have failed (StopPolicy.max_failures); {last}"
            return BulkStoppedError(reason, cause="max_failures")
        if is_business or policy.failure_ratio is None or job.number is None:
            return None
        if job.number <= self._begun - self._size:
            return None
        self._failed[job.number % self._size] = 1
        limit = policy.failure_ratio * policy.min_items
        worst = self._worst(job.number, limit)
        if worst <= limit:
            return None
        reason = (
            f"{worst} of the last {policy.min_items} items have failed "
            f"(StopPolicy.failure_ratio is {policy.failure_ratio:g}); {last}"
        )
        return BulkStoppedError(reason, cause="failure_ratio")

    def forgive(self, numbers: "list[int]") -> None:
        """Forget failures that turn out to be a business's."""
        for number in numbers:
            if self._size and number > self._begun - self._size:
                self._failed[number % self._size] = 0

    def _worst(self, number: int, limit: float) -> int:
        """Return the most failures among as many items in a row as the policy looks at, this one among them."""
        size, width = self._size, self._policy.min_items
        first = max(0, number - width + 1, self._begun - size + 1)
        last = min(self._begun, number + width) - 1
        if last - first + 1 < width:
            return 0
        start, end = first % size, last % size + 1
        near = self._failed[start:end] if start < end else self._failed[start:] + self._failed[:end]
        if (count := sum(near)) <= limit:
            return count
        count = worst = sum(near[:width])
        for at in range(width, len(near)):
            count += near[at] - near[at - width]
            worst = max(worst, count)
        return worst
