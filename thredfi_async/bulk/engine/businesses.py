"""Which businesses are set aside: their customers are refused, or fail, in a row, and no other business's are."""

import random
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Final, Literal
from uuid import UUID

from thredfi_async.bulk.engine.job import Job
from thredfi_async.bulk.errors import BusinessSkippedError

_WAIT_INITIAL: Final = 1.0
_WAIT_MAX: Final = 30.0
_REMEMBERED: Final = 10_000
"""Businesses without success of which something is known."""
_LAST_PROBES: Final = 3
"""Probes that must have failed before what is left of a business is given up at the end."""
_OWN: Final = 3
"""Failures in a row that count as the items' own; more of them say something of their business."""


class Business:
    """What is known of a business that was refused, or failed, since its last success.

    Attributes:
        aside: Why it is set aside; None while it is not.
        refused: Refusals in a row (403).
        failing: Its customers that failed in a row, one after the other.
        served: How many calls the API had served when the first of these failed.
        numbers: The places of its failed items among first calls.
        tried: Its jobs that were sent before and wait, set aside.
        new: Its jobs that were never sent and wait.
        is_probing: Whether one of them is in flight.
        probe_at: When the next one may be sent.
        probes: How many have failed.
        wait: Seconds before the next one.
    """

    def __init__(self) -> None:
        """Begin without failures."""
        self.aside: Literal["refused", "failing"] | None = None
        self.refused: int = 0
        self.failing: int = 0
        self.served: int = 0
        self.numbers: list[int] = []
        self.tried: deque[Job] = deque()
        self.new: deque[Job] = deque()
        self.is_probing: bool = False
        self.probe_at: float = 0.0
        self.probes: int = 0
        self.wait: float = _WAIT_INITIAL

    def __len__(self) -> int:
        """Count its jobs that wait, set aside."""
        return len(self.tried) + len(self.new)

    @property
    def is_at_fault(self) -> bool:
        """Whether a failure of a customer now is rather its business's than its own."""
        return self.aside is not None or max(self.refused, self.failing) > _OWN

    @property
    def is_given_up(self) -> bool:
        """Whether its probes have failed so often that nothing is to be expected soon."""
        return not self.is_probing and self.probes >= _LAST_PROBES

    def take(self) -> Job:
        """Take a job to probe with: one that was sent before in every second probe, if there is one.

        Those that were never sent are taken from both ends, since customers that always fail may be neighbours.
        """
        if self.tried and (self.probes % 2 or not self.new):
            return self.tried.popleft()
        return self.new.popleft() if self.probes % 4 else self.new.pop()


class Businesses:
    """Keeps what is known of businesses.

    Args:
        limit: Customers in a row after which a business is set aside; None for never.
        jitter: Draws a number from 0 to 1.

    Attributes:
        waiting: Jobs that wait, set aside.
        new: Those of them that were never sent.
    """

    def __init__(self, limit: int | None, jitter: Callable[[], float] = random.random) -> None:
        """Begin without any."""
        self._limit = limit
        self._jitter = jitter
        self._known: OrderedDict[UUID, Business] = OrderedDict()
        self._failing: set[UUID] = set()
        self._suspects: set[UUID] = set()
        self.waiting: int = 0
        self.new: int = 0

    # -- what happens

    def served(self, business: UUID) -> list[Job]:
        """Note a success; return the jobs that were set aside, and may go now."""
        known = self._known.pop(business, None) if self._known else None
        if known is None:
            return []
        self._suspects.discard(business)
        self._failing.discard(business)
        return self.take_all(known)

    def refused(self, business: UUID) -> bool:
        """Note a 403; return whether it sets the business aside."""
        known = self._of(business)
        known.refused += 1
        return known.aside != "refused" and self._limit is not None and known.refused >= self._limit

    def failed(self, business: UUID, served: int) -> bool:
        """Note a customer that failed for the first time; return whether that sets its business aside.

        Args:
            business: The business.
            served: How many calls the API has served.
        """
        known = self._of(business)
        if known.aside is not None:
            return False
        if not known.failing:
            known.served = served
        known.failing += 1
        if self._limit is None or known.failing < self._limit:
            return False
        self._suspects.add(business)
        return served > known.served

    def suspects(self, other: UUID | None) -> list[UUID]:
        """Return the businesses that are at fault, now that the API has served this one, or answers."""
        return [business for business in self._suspects if business != other] if self._suspects else []

    # -- set aside

    def set_aside(self, business: UUID, now: float) -> Business:
        """Set a business aside whose customers are refused, or fail."""
        known = self._of(business)
        self._suspects.discard(business)
        if self._limit is not None and known.refused >= self._limit:
            known.aside = "refused"
            self._failing.discard(business)
            return known
        known.aside = "failing"
        self._failing.add(business)
        known.probe_at = now + self._next_wait(known)
        return known

    def get(self, business: UUID) -> Business | None:
        """Return what is known of a business; None if it is in good standing."""
        return self._known.get(business) if self._known else None

    def put(self, known: Business, job: Job) -> None:
        """Let a job of a business wait."""
        (known.tried if job.calls else known.new).append(job)
        self.waiting += 1
        self.new += not job.calls

    def take_probe(self, now: float | None) -> Job | None:
        """Take a job of a business whose probe is due, or of any if no time is given."""
        for business in self._failing:
            known = self._known[business]
            if len(known) and not known.is_probing and (now is None or known.probe_at <= now):
                self.waiting -= 1
                known.is_probing = True
                job = known.take()
                self.new -= not job.calls
                job.is_trial = True
                return job
        return None

    def probe_ended(self, job: Job, now: float, *, is_sent: bool = True) -> None:
        """Note that a job ended without success; if it was the probe of its business, the next one waits.

        Args:
            job: The job.
            now: The time.
            is_sent: Whether anything was sent: the next one goes at once if not.
        """
        known = self._known.get(job.business) if job.is_trial else None
        job.is_trial = False
        if known is not None:
            known.is_probing = False
            known.probes += is_sent
            known.probe_at = now + self._next_wait(known) if is_sent else now

    @property
    def probing(self) -> int:
        """Probes of businesses in flight."""
        return sum(self._known[business].is_probing for business in self._failing)

    def next_probes(self) -> Iterator[float]:
        """Return when the next probes are due."""
        for business in self._failing:
            known = self._known[business]
            if len(known) and not known.is_probing:
                yield known.probe_at

    def given_up(self) -> list[Job]:
        """Take the jobs of businesses whose probes have failed too often."""
        known = [self._known[business] for business in self._failing]
        return [job for each in known if each.is_given_up for job in self.take_all(each)]

    def clear(self) -> list[Job]:
        """Take all jobs."""
        return [job for business in self._failing for job in self.take_all(self._known[business])]

    def error_of(self, business: UUID) -> BusinessSkippedError:
        """Return the error of a job that is not sent, since its business is set aside."""
        known = self._of(business)
        if known.aside == "refused":
            text = f"was refused {known.refused} times in a row (403): look at the partner's access, and resume"
        else:
            text = "failed customer after customer, and no other business did: resume later"
        return BusinessSkippedError(
            f"the business {business} {text}; this item of it was not sent", business_id=business
        )

    def take_new(self, known: Business) -> list[Job]:
        """Take a business's jobs that wait, set aside, and were never sent."""
        taken = [*known.new]
        known.new.clear()
        self.waiting -= len(taken)
        self.new -= len(taken)
        return taken

    def take_all(self, known: Business) -> list[Job]:
        """Take a business's jobs that wait, set aside."""
        taken = [*known.tried]
        known.tried.clear()
        self.waiting -= len(taken)
        return [*taken, *self.take_new(known)]

    def _next_wait(self, known: Business) -> float:
        wait = known.wait * (0.5 + 0.5 * self._jitter())
        known.wait = min(_WAIT_MAX, known.wait * 2.0)
        return wait

    def _of(self, business: UUID) -> Business:
        known = self._known.get(business)
        if known is None:
            known = self._known[business] = Business()
            self._forget()
        return known

    def _forget(self) -> None:
        """Forget the oldest one of which nothing depends, if they are many."""
        if len(self._known) > _REMEMBERED:
            for business, known in self._known.items():
                if not len(known) and not known.is_probing:
                    del self._known[business]
                    self._suspects.discard(business)
                    self._failing.discard(business)
                    return
