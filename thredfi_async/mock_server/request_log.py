"""The record of what a mock server received and applied: counts, keys and digests, never a body."""

import time
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from uuid import UUID

import attrs

MAX_DISTINCT = 100
"""Keys and digests kept for one customer: enough to show that they differ, and bounded."""


@attrs.define
class CustomerRecord:
    """The requests received for one customer, and applied.

    Args:
        requests: Archive requests received, including refused and repeated ones.
        reads: Retrievals of the customer.
        keys: The first 100 distinct idempotency keys of its archive requests.
        digests: The SHA-256 of the first 100 distinct bodies, in hexadecimal.
        applied: Archive requests that took effect.
        first_applied: When the first one took effect, by the mock server's monotonic clock; None if none did.
    """

    requests: int = 0
    reads: int = 0
    keys: set[str] = attrs.field(factory=set[str])
    digests: set[str] = attrs.field(factory=set[str])
    applied: int = 0
    first_applied: float | None = None


@attrs.define
class RequestLog:
    """All requests that a mock server received.

    Args:
        keep_arrivals: Whether to keep the time of every request, which grows without bound.
        clock: Monotonic seconds.
        totals: Requests received, by kind: archive, get, list, token, other.
        statuses: Answers, by status; requests that were reset or left hanging do not count.
        applied: Archive requests that took effect.
        arrivals: When each request arrived, and its kind; empty unless kept.
    """

    keep_arrivals: bool = False
    clock: Callable[[], float] = time.monotonic
    totals: Counter[str] = attrs.field(factory=Counter[str], init=False)
    statuses: Counter[int] = attrs.field(factory=Counter[int], init=False)
    applied: int = attrs.field(default=0, init=False)
    arrivals: list[tuple[float, str]] = attrs.field(factory=list[tuple[float, str]], init=False)
    _customers: dict[str, CustomerRecord] = attrs.field(factory=dict[str, CustomerRecord], init=False, repr=False)

    def of(self, customer_id: UUID | str) -> CustomerRecord:
        """Return the record of a customer; an empty one if no request came for it."""
        return self._customers.get(str(customer_id)) or CustomerRecord()

    def arrived(self, kind: str) -> None:
        """Count a request."""
        self.totals[kind] += 1
        if self.keep_arrivals:
            self.arrivals.append((self.clock(), kind))

    def read(self, customer_id: str) -> None:
        """Count a retrieval of a customer."""
        self._customer(customer_id).reads += 1

    def posted(self, customer_id: str, key: str | None, body: bytes | None) -> None:
        """Count an archive request; its body is None if it was not read."""
        customer = self._customer(customer_id)
        customer.requests += 1
        if key is not None and len(customer.keys) < MAX_DISTINCT:
            customer.keys.add(key)
        if body is not None and len(customer.digests) < MAX_DISTINCT:
            customer.digests.add(sha256(body).hexdigest())

    def took_effect(self, customer_id: str) -> None:
        """Count an archive request that was applied."""
        customer = self._customer(customer_id)
        self.applied += 1
        customer.applied += 1
        if customer.first_applied is None:
            customer.first_applied = self.clock()

    def _customer(self, customer_id: str) -> CustomerRecord:
        customer = self._customers.get(customer_id)
        if customer is None:
            customer = self._customers[customer_id] = CustomerRecord()
        return customer
