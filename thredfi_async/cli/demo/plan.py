"""Plans which customer meets which faults, so that every kind is certain to be thrown."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Final
from uuid import UUID

from thredfi_async.mock_server import Fault, FaultKind, SeededCustomer

SLOTS: Final = 32
"""Requests at once: a fraction of the customers, so that the demo shows calls waiting for their turn, too."""
READ_TIMEOUT: Final = 1.5
"""Seconds of silence after which a request is given up; the hanging ones cost this much."""
_APART: Final = 5 * SLOTS
_SCRIPTS: Final[Sequence[tuple[int, Sequence[Fault]]]] = (
    # How many customers of a thousand, and what their first archive requests meet, in order.
    # Few of these: each holds back every call, and not its own alone.
    (2, [Fault(FaultKind.THROTTLE, retry_after=1)]),
    (20, [Fault(FaultKind.THROTTLE, retry_after=0.02, form="ms")]),
    (24, [Fault(FaultKind.SERVER_ERROR)]),
    (10, [Fault(FaultKind.SERVER_ERROR, html=True), Fault(FaultKind.RESET_BEFORE)]),
    (40, [Fault(FaultKind.RESET_BEFORE)]),
    (60, [Fault(FaultKind.RESET_AFTER)]),
    (10, [Fault(FaultKind.RESET_AFTER), Fault(FaultKind.SERVER_ERROR)]),
    (60, [Fault(FaultKind.LATENCY, seconds=0.3)]),
    (8, [Fault(FaultKind.HANG)]),
    (8, [Fault(FaultKind.HANG, applied=False)]),
    (20, [Fault(FaultKind.TRUNCATED)]),
    (20, [Fault(FaultKind.NOT_JSON)]),
    (20, [Fault(FaultKind.WRONG_ID)]),
    (20, [Fault(FaultKind.NULL_FIELDS)]),
)


def planned_faults(customers: Sequence[SeededCustomer], seed: int) -> Mapping[UUID | str, Sequence[Fault]]:
    """Assign the faults to customers.

    Expired tokens are the exception to chance. The client replays a request once after a 401, as the contract's guides
    advise; a second token that dies while such replays are on their way would rightly fail them. So they are far apart:
    calls have their turns in order, and before the second such customer has its own, each slot has carried several
    requests since the first.

    Args:
        customers: All customers, in the order of their calls; at least 20.
        seed: The seed of the assignment.

    Returns:
        By customer, the faults of its archive requests in order.
    """
    expiring = range(SLOTS // 2, len(customers), _APART)
    others = [position for position in range(len(customers)) if position not in expiring]
    Random(seed).shuffle(others)  # noqa: S311 - which customer meets a fault is no secret
    plan: dict[UUID | str, Sequence[Fault]] = {
        customers[position].customer_id: [Fault(FaultKind.EXPIRED_TOKEN)] for position in expiring
    }
    for share, script in _SCRIPTS:
        for _ in range(max(1, share * len(customers) // 1000)):
            plan[customers[others.pop()].customer_id] = script
    return plan
