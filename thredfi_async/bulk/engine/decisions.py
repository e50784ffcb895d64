"""What a scheduler may decide."""

from typing import TypeAlias
from uuid import UUID

import attrs

from thredfi_async.bulk.engine.job import Job
from thredfi_async.bulk.items import ArchiveResult


@attrs.frozen(eq=False)
class Start:
    """Make this job's call.

    Args:
        job: The job.
        within: Seconds after which the call is cut off; None for no bound but the client's own.
    """

    job: Job
    within: float | None = None


@attrs.frozen
class Ask:
    """Get this record, which the run has archived, to see whether the API answers.

    Args:
        business_id: Its business.
        customer_id: The customer.
        within: Seconds after which the question is given up.
    """

    business_id: UUID
    customer_id: UUID
    within: float


@attrs.frozen
class Read:
    """Read items.

    Args:
        count: How many at most.
    """

    count: int


@attrs.frozen(eq=False)
class Resolve:
    """Store a job's outcome.

    Args:
        job: The job.
        result: Its outcome; None for one that was not started, and stays as it was before.
    """

    job: Job
    result: ArchiveResult | None


@attrs.frozen
class Wait:
    """Nothing can be done until the state changes, or until it is that late.

    Args:
        until: The time in the clock's seconds; None if time alone changes nothing.
    """

    until: float | None = None


@attrs.frozen
class Done:
    """The run is at its end."""


Decision: TypeAlias = Start | Ask | Read | Resolve | Wait | Done
