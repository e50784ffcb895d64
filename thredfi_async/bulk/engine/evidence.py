"""What speaks for the API, or against it, since it last served a call."""

from typing import TYPE_CHECKING, Final

from thredfi_async.bulk.engine.decisions import Ask
from thredfi_async.bulk.engine.job import Job

if TYPE_CHECKING:
    from uuid import UUID

MANY: Final = 10
"""Customers who begin to fail together, against whom the answer to a question does not speak at once."""
_SEVERAL: Final = 2
_REMEMBERED: Final = 64


class Evidence:
    """Who has failed since the API last served a call, and whether it has answered a question since.

    Attributes:
        failing_since: When the first call failed since the API last served one; None if none did, or if nothing that
            failed is left.
        believed_at: When the answer to a question was last taken as a sign that the API serves others, since then.
        is_answered: Whether it has answered one since the last failure.
        businesses: The businesses of those that failed since.
        is_asked: Whether a witness was asked, or looked for, since the last failure.
        is_general: Whether all failures were of a kind that can hardly be the fault of one business.
    """

    def __init__(self) -> None:
        """Begin without any."""
        self.failing_since: float | None = None
        self.believed_at: float | None = None
        self.businesses: set[UUID] = set()
        self.is_answered: bool = False
        self.is_asked: bool = False
        self.is_general: bool = True
        self._customers: set[UUID] = set()
        self._fresh: set[UUID] = set()
        self._archived: dict[UUID, UUID] = {}

    @property
    def is_several(self) -> bool:
        """Whether several customers have failed."""
        return len(self._customers) >= _SEVERAL

    @property
    def is_one_business(self) -> bool:
        """Whether only customers of one business have failed."""
        return len(self.businesses) == 1

    @property
    def has_witness(self) -> bool:
        """Whether there is a record that this run has archived."""
        return bool(self._archived)

    @property
    def silent_since(self) -> float | None:
        """Since when nothing speaks for the API; None if no call fails."""
        return self.failing_since if self.believed_at is None else self.believed_at

    def failed(self, job: Job, now: float, *, is_general: bool) -> None:
        """Note a failure."""
        if self.failing_since is None:
            self.failing_since = now
        self.is_general = self.is_general and is_general
        self.is_asked = self.is_answered = False
        if job.answered:
            self.answered()
        if not job.rounds and len(self._fresh) < MANY:
            self._fresh.add(job.item.customer_id)
        if len(self._customers) < _REMEMBERED:
            self._customers.add(job.item.customer_id)
            self.businesses.add(job.business)
        if len(self._archived) > 1:
            self._archived.pop(job.business, None)  # another one takes its place

    def answered(self) -> None:
        """Note that the API has answered a question."""
        self.is_answered = True

    def believe(self, now: float) -> None:
        """Take the answer as a sign that the API serves others; the next failure needs another one."""
        self.believed_at, self.is_answered = now, False

    def is_believed(self, now: float, patience: float) -> bool:
        """Return whether the answer to a question shows that the API serves others.

        Where many begin to fail together, it may be the API that answers questions and serves no call. Only when that
        has lasted, and they fail as single customers may, does the answer speak against them.

        Args:
            now: The time.
            patience: Seconds for which many may fail together.
        """
        if not self.is_answered or self.failing_since is None:
            return False
        is_few = len(self._fresh) < MANY
        return is_few or (not self.is_general and now - self.failing_since >= patience)

    def clear(self) -> None:
        """Note that the API has served a call, or that nothing that failed is left."""
        if self.failing_since is not None:
            self.failing_since = self.believed_at = None
            self.is_asked = self.is_answered = False
            self.is_general = True
            self._customers.clear()
            self._fresh.clear()
            self.businesses.clear()

    def archived(self, job: Job) -> None:
        """Note that a record was archived: one of each of two businesses is remembered."""
        if len(self._archived) < _SEVERAL:
            self._archived[job.business] = job.item.customer_id

    def witness(self, within: float) -> Ask | None:
        """Return the question to ask: about a business of which no customer has failed, if there is one.

        Args:
            within: Seconds after which it is given up.
        """
        for business, customer in sorted(self._archived.items(), key=lambda each: each[0] in self.businesses):
            return Ask(business, customer, within)
        return None
