"""The demo itself: a mock server and a client in one event loop, and the result."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from thredfi_async import (
    Attempt,
    CallEnded,
    Customer,
    Event,
    PartnerCredentials,
    RawResponse,
    RetryPolicy,
    RetryScheduled,
    ThredfiClient,
    ThredfiError,
    Timeouts,
)
from thredfi_async.cli.demo.checks import Check, Verdicts
from thredfi_async.cli.demo.plan import READ_TIMEOUT, SLOTS, planned_faults
from thredfi_async.mock_server import FaultKind, MockServer, SeededCustomer

Result = RawResponse[Customer] | ThredfiError


@dataclass
class Tally:
    """A hook that counts what the archive calls do.

    Args:
        on_end: Called at each call's end, unless the call was cancelled.
    """

    on_end: Callable[[], None]
    requests: int = 0
    retries: int = 0
    refused: int = 0
    settled: int = 0

    def on_event(self, event: Event, /) -> None:
        """Count one event."""
        if event.operation != "customers.archive":
            return
        match event:
            case Attempt():
                self.requests += 1
                refused = event.status == 401  # noqa: PLR2004 - HTTP's own number
                self.refused += refused
                # The demo sends bodies, so that the only GET of a call is the one that settles it.
                self.settled += event.method == "GET" and not refused
            case RetryScheduled():
                self.retries += 1
            case CallEnded() if event.outcome != "cancelled":
                self.on_end()
            case _:
                pass


@dataclass(frozen=True, kw_only=True)
class Play:
    """The result of the demo.

    Args:
        customers: How many calls were made.
        seed: The seed of the run.
        results: How each ended.
        tally: What the client counted.
        thrown: What the mock server threw, by kind.
        tokens: How many tokens were issued.
        archived: How many customers the API shows archived.
        elapsed: Seconds from the first call to the last one's end.
        checks: The claims, checked against the mock server's record.
        slots: Requests at once.
    """

    customers: int
    seed: int
    results: Sequence[Result]
    tally: Tally
    thrown: Counter[FaultKind]
    tokens: int
    archived: int
    elapsed: float
    checks: Sequence[Check] = field(default_factory=tuple[Check, ...])
    slots: int = SLOTS

    @property
    def succeeded(self) -> int:
        """Calls that returned a customer."""
        return sum(isinstance(result, RawResponse) for result in self.results)

    @property
    def passed(self) -> bool:
        """Whether all claims hold."""
        return all(check.passed for check in self.checks)


async def play(customers: int, seed: int, on_end: Callable[[], None]) -> Play:
    """Archive all customers at once, then ask the API about each one, and check.

    Args:
        customers: How many.
        seed: The seed of customers, faults and jitter.
        on_end: Called at each call's end.

    Returns:
        What happened.
    """
    server = MockServer(customers, seed=seed)
    targets = list(server.customers)
    for customer_id, faults in planned_faults(targets, seed).items():
        server.queue_faults(customer_id, *faults)
    tally = Tally(on_end)
    async with server:
        async with _client(server, seed, tally) as client:
            began = time.perf_counter()
            results = await _archive(client, targets)
            elapsed = time.perf_counter() - began
        tokens = server.requests.totals["token"]
        # A client that has met no fault asks faster than one that has learned to be careful.
        async with _client(server, seed, tally) as client:
            shown = await _ask(client, targets)
            active = [customer async for customer in client.customers.list(server.business_ids[0], page_size=100)]
    verdicts = Verdicts(server=server, targets=targets, results=results, shown=shown, active=len(active))
    return Play(
        customers=customers,
        seed=seed,
        results=results,
        tally=tally,
        thrown=server.faults_thrown,
        tokens=tokens,
        archived=verdicts.archived,
        elapsed=elapsed,
        checks=verdicts.checks(),
    )


def _client(server: MockServer, seed: int, tally: Tally) -> ThredfiClient:
    return ThredfiClient(
        credentials=PartnerCredentials(server.partner_uuid, server.api_key),
        base_url=server.url,
        timeouts=Timeouts(read=READ_TIMEOUT, deadline=60.0),
        # Short waits, since the mock server recovers at once, and attempts to spare for a machine that is busy.
        retry=RetryPolicy(
            max_attempts=8,
            backoff_initial=0.2,
            throttle_initial=0.2,
            # Far more fails here than a real client's retry budget would allow.
            budget=False,
            jitter=Random(seed).random,  # noqa: S311 - it spreads retries, and keeps no secret
        ),
        max_connections=SLOTS,
        hooks=[tally],
    )


async def _archive(client: ThredfiClient, targets: Sequence[SeededCustomer]) -> list[Result]:
    archive = client.customers.with_raw_response.archive
    ended = await asyncio.gather(
        *(archive(each.business_id, each.customer_id, each.body) for each in targets), return_exceptions=True
    )
    results: list[Result] = []
    for result in ended:
        if not isinstance(result, RawResponse | ThredfiError):
            raise result
        results.append(result)
    return results


async def _ask(client: ThredfiClient, targets: Sequence[SeededCustomer]) -> list[Customer | BaseException]:
    get = client.customers.get
    return await asyncio.gather(*(get(each.business_id, each.customer_id) for each in targets), return_exceptions=True)
