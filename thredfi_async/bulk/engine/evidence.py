"""Who has failed since the API last served a call, and whose record may be asked for as a witness."""

from typing import TYPE_CHECKING, Final

from thredfi_async.bulk.engine.decisions import Ask
from thredfi_async.bulk.engine.job import Job

if TYPE_CHECKING:
    from uuid import UUID

_SEVERAL: Final = 2
_REMEMBERED: Final = 64


class Evidence:
    """What speaks for the API, or against it.

    Attributes:
        failing_since: When the first call failed since the API last served one; None if none did.
        businesses: The businesses of those that failed since.
        is_answered: Whether the API has answered a question about one that failed.
        is_asked: Whether a witness was asked, or looked for, since the last failure.
    """

    def __init__(self) -> None:
        """Begin without any."""
        self.failing_since: float | None = None
        self.businesses: set[UUID] = set()
        self.is_answered: bool = False
        self.is_asked: bool = False
        self._customers: set[UUID] = set()
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
    def has_other_witness(self) -> bool:
        """Whether there is one of a business of which no customer has failed."""
        return any(business not in self.businesses for business in self._archived)

    def failed(self, job: Job, now: float) -> None:
        """Note a failure."""
        if self.failing_since is None:
            self.failing_since = now
        self.is_asked = False
        self.is_answered = self.is_answered or job.answered
        if len(self._customers) < _REMEMBERED:
            self._customers.add(job.item.customer_id)
            self.businesses.add(job.business)

    def clear(self) -> None:
        """Note that the API has served a call."""
        if self.failing_since is not None:
            self.failing_since = None
            self.is_answered = self.is_asked = False
            self._customers.clear()
            self.businesses.clear()

    def archived(self, job: Job) -> None:
        """Note that a record was archived: the latest of two businesses are remembered."""
        if job.business not in self._archived and len(self._archived) >= _SEVERAL:
            del self._archived[next(iter(self._archived))]
        self._archived[job.business] = job.item.customer_id

    def witness(self) -> Ask | None:
        """Return the question to ask: about a business of which no customer has failed, if there is one."""
        for business, customer in sorted(self._archived.items(), key=lambda each: each[0] in self.businesses):
            return Ask(business, customer)
        return None
