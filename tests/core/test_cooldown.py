"""The shared cooldown, over real sockets: which calls it holds back, for how long, and how they resume."""

import asyncio
import math
from collections.abc import Callable
from typing import Any

import pytest
from clocks import LoopClock

from thredfi_async import (
    Attempt,
    Customer,
    Effect,
    Event,
    PartnerCredentials,
    RateLimitedError,
    RequestTimeoutError,
    RetryPolicy,
    ServerError,
    ThredfiClient,
    Timeouts,
)
from thredfi_async.mock_server import Fault, FaultKind, Faults, MockServer, SeededCustomer

HOLD = 0.15
THROTTLED = Fault(FaultKind.THROTTLE, retry_after=HOLD, form="ms")
UNAVAILABLE = Fault(FaultKind.SERVER_ERROR, status=503, retry_after=HOLD, form="ms")
LONG = Fault(FaultKind.THROTTLE, retry_after=100)
FAILURE = Fault(FaultKind.SERVER_ERROR, status=500)
ONCE = RetryPolicy(max_attempts=1)


class Watcher:
    """A hook that inspects the client when an answer with one of these statuses arrives."""

    def __init__(self, *statuses: int, then: Callable[[], object] = lambda: None) -> None:
        self.answered = 0
        self.seen = asyncio.Event()
        self.in_use = self.answered_before = 0
        self.begins = self.rate = self.told = 0.0
        self._statuses = statuses or (429, 503)
        self._then = then
        self.client: ThredfiClient | None = None

    def now(self) -> float:
        """Tell the limiter's own time, once there is one: two clocks round differently."""
        return LoopClock().monotonic() if self.client is None else self.client._limiter._time()

    def on_event(self, event: Event, /) -> None:
        if not isinstance(event, Attempt):
            return
        self.answered += 1
        assert self.client is not None
        limiter = self.client._limiter
        if self.seen.is_set() and self.told < self.begins:
            # What was in flight may still be granted, which tells more about the pace to continue at.
            self.told, self.rate = self.now(), limiter.limits().rate or 0.0
        if event.status not in self._statuses or self.seen.is_set():
            return
        self.in_use, self.answered_before = limiter.in_use, self.answered
        # The limiter's own value: this test's clock would be slightly later.
        self.begins = limiter._controller._held_until
        self.rate = limiter.limits().rate or 0.0
        self.seen.set()
        self._then()


def client_of(server: MockServer, *hooks: Watcher, **settings: Any) -> ThredfiClient:
    """Return a client, with hooks that may inspect it."""
    if "credentials" not in settings:
        settings["token"] = server.token
    settings = {"retry": RetryPolicy(jitter=lambda: 0.0), "clock": LoopClock(), **settings}
    client = ThredfiClient(base_url=server.url, hooks=hooks, **settings)
    for hook in hooks:
        hook.client = client
    return client


async def archived(client: ThredfiClient, customer: SeededCustomer, **options: Any) -> Customer:
    """Archive one of the mock server's customers."""
    return await client.customers.archive(customer.business_id, customer.customer_id, customer.body, **options)


def arrivals(server: MockServer) -> list[float]:
    """Return when archive requests reached the server."""
    return [when for when, kind in server.requests.arrivals if kind == "archive"]


def histogram(times: list[float], begins: float, width: float, count: int) -> list[int]:
    """Count the arrivals in each of so many intervals, from a given time on."""
    pieces = [0] * count
    for when in times:
        if 0 <= (piece := int((when - begins) // width)) < count:
            pieces[piece] += 1
    return pieces


async def test_one_429_holds_back_two_hundred_calls_and_they_resume_gradually() -> None:
    """During the cooldown only requests in flight arrive, and afterwards no more than the pace allows."""
    asyncio.get_running_loop().set_debug(False)  # so slow that arrivals would not look like a burst
    watcher = Watcher()
    async with MockServer(200, latency=0.02, keep_arrivals=True, clock=watcher.now) as server:
        server.queue_faults(server.customers[20].customer_id, THROTTLED)
        async with client_of(server, watcher, max_connections=40) as client:
            ends = await asyncio.gather(*(archived(client, customer) for customer in server.customers))
        times = arrivals(server)
    assert all(end.is_archived for end in ends)
    assert len(times) == 201
    assert watcher.begins
    # Calls that already had a slot may still arrive, on a busy machine even after the cooldown.
    before = sum(when < watcher.begins for when in times)
    assert before <= watcher.answered_before + watcher.in_use - 1 < 100
    late = watcher.answered_before + watcher.in_use - 1 - before
    after = sorted(when for when in times if when >= watcher.begins)
    # From then on, the pace rules, and not how many have waited.
    assert 0 < watcher.rate < math.inf
    tenths = histogram(after, watcher.begins, HOLD / 10, 10)
    # Missed turns are made up for, those of 20 ms at most.
    spare = late + 2 + 0.02 * watcher.rate
    assert all(sum(tenths[: n + 1]) <= spare + 1.5 * watcher.rate * HOLD * (n + 1) / 10 for n in range(10))


@pytest.mark.parametrize("fault", [THROTTLED, UNAVAILABLE], ids=["429", "503"])
async def test_cooldown_outlives_the_call_that_was_told_of_it(fault: Fault) -> None:
    """The throttled call has one attempt and fails at once; another one still waits."""
    watcher = Watcher()
    async with MockServer(2, keep_arrivals=True, clock=watcher.now) as server:
        first, second = server.customers
        server.queue_faults(first.customer_id, fault)
        async with client_of(server, watcher) as client:
            with pytest.raises((RateLimitedError, ServerError)) as caught:
                await archived(client, first, retry=ONCE, settle=False)
            assert asyncio.get_running_loop().time() < watcher.begins
            await archived(client, second)
        assert caught.value.retry_after == HOLD
        assert watcher.begins
        assert min(arrivals(server)[1:]) >= watcher.begins


async def test_cooldown_outlives_the_cancellation_of_the_call_that_was_told_of_it() -> None:
    """The throttled call is cancelled in the same moment; another one still waits."""
    calls: list[asyncio.Task[Customer]] = []
    watcher = Watcher(then=lambda: [call.cancel() for call in calls])
    async with MockServer(2, keep_arrivals=True, clock=watcher.now) as server:
        first, second = server.customers
        server.queue_faults(first.customer_id, THROTTLED)
        async with client_of(server, watcher) as client:
            calls.append(asyncio.create_task(archived(client, first)))
            with pytest.raises(asyncio.CancelledError):
                await calls[0]
            await archived(client, second)
        assert len(arrivals(server)) == 2
        assert arrivals(server)[1] >= watcher.begins


async def test_call_that_was_told_to_wait_comes_back_after_the_wait_and_succeeds() -> None:
    """A throttled call waits for its Retry-After, and then succeeds."""
    watcher = Watcher()
    async with MockServer(1, keep_arrivals=True, clock=watcher.now) as server:
        customer = server.customers[0]
        server.queue_faults(customer.customer_id, THROTTLED)
        async with client_of(server, watcher) as client:
            assert (await archived(client, customer)).is_archived
        assert arrivals(server)[1] >= watcher.begins


async def test_longer_retry_after_than_is_waited_for_starts_no_cooldown() -> None:
    """A Retry-After that is too long ends its own call, with the number, and starts no cooldown for others."""
    async with MockServer(2) as server:
        first, second = server.customers
        server.queue_faults(first.customer_id, LONG)
        async with client_of(server, retry=RetryPolicy(max_retry_after=99.0)) as client:
            with pytest.raises(RateLimitedError) as caught:
                await archived(client, first)
            assert client._limiter.cooldown() == 0.0
            assert (await archived(client, second, timeouts=Timeouts(queue=0.1))).is_archived
    assert caught.value.retry_after == 100.0
    assert caught.value.__notes__ == ["not tried again: the server asked to wait 100 s, and max_retry_after is 99 s"]


async def test_call_that_has_not_started_waits_under_queue() -> None:
    """If `queue` is shorter than the cooldown, a call fails, certainly unsent; otherwise it waits and succeeds."""
    async with MockServer(2) as server:
        first, second = server.customers
        server.queue_faults(first.customer_id, THROTTLED)
        async with client_of(server) as client:
            with pytest.raises(RateLimitedError):
                await archived(client, first, retry=ONCE)
            with pytest.raises(RequestTimeoutError) as caught:
                await archived(client, second, timeouts=Timeouts(queue=0.02))
            assert server.requests.of(second.customer_id).requests == 0
            # The deadline has not begun: it may be shorter than the cooldown.
            assert (await archived(client, second, timeouts=Timeouts(deadline=0.1, queue=2.0))).is_archived
    error = caught.value
    assert (error.phase, error.effect, error.attempts) == ("queue", Effect.NOT_APPLIED, 0)
    assert client._limiter.in_use == 0


async def test_started_call_whose_deadline_ends_before_the_cooldown_fails_at_once() -> None:
    """A call between two attempts fails with the time that the API asked every call to wait."""
    async with MockServer(2) as server:
        first, second = server.customers
        server.queue_faults(first.customer_id, FAILURE)
        server.queue_faults(second.customer_id, LONG)
        failed, throttled = Watcher(500), Watcher(429)
        retry = RetryPolicy(backoff_initial=0.1, jitter=lambda: 1.0)
        async with client_of(server, failed, throttled, retry=retry) as client:
            sleeping = asyncio.create_task(archived(client, first, timeouts=Timeouts(deadline=5.0), settle=False))
            await failed.seen.wait()
            with pytest.raises(RateLimitedError):
                await archived(client, second, retry=ONCE)
            began = asyncio.get_running_loop().time()
            with pytest.raises(
                RequestTimeoutError, match=r"^the API asked every call to wait .* s, and the deadline ends in"
            ) as caught:
                await sleeping
            assert asyncio.get_running_loop().time() - began < 1.0
        assert server.requests.of(first.customer_id).requests == 1
    assert (caught.value.phase, caught.value.effect, caught.value.attempts) == ("deadline", Effect.UNKNOWN, 1)


async def test_started_call_that_fails_during_a_cooldown_beyond_its_deadline_is_not_tried_again() -> None:
    """Its own error is raised, with a note."""
    async with MockServer(2) as server:
        first, second = server.customers
        server.queue_faults(first.customer_id, Fault(FaultKind.HANG, applied=False))
        server.queue_faults(second.customer_id, LONG)
        async with client_of(server) as client:
            timeouts = Timeouts(read=0.1, deadline=5.0)
            hanging = asyncio.create_task(archived(client, first, timeouts=timeouts, settle=False))
            with pytest.raises(RateLimitedError):
                await archived(client, second, retry=ONCE)
            with pytest.raises(RequestTimeoutError) as caught:
                await hanging
    assert caught.value.phase == "read"
    assert "would pass the deadline" in caught.value.__notes__[0]


async def test_question_is_left_out_when_the_api_wants_peace_for_longer_than_is_left() -> None:
    """The call stays UNKNOWN, and a note says why the outcome was not checked."""
    async with MockServer(1) as server:
        customer = server.customers[0]
        server.queue_faults(customer.customer_id, Fault(FaultKind.SERVER_ERROR, status=503, retry_after=100))
        async with client_of(server, retry=ONCE, timeouts=Timeouts(deadline=5.0)) as client:
            with pytest.raises(ServerError) as caught:
                await archived(client, customer)
        assert server.requests.of(customer.customer_id).reads == 0
    assert caught.value.effect is Effect.UNKNOWN
    assert "the server asked to wait 100 s" in caught.value.__notes__[0]


async def test_a_refused_attempt_tells_what_is_known_of_the_limit() -> None:
    """The event of a 429 or 503 says what the API grants, once that was found; events of other attempts do not."""
    seen: list[tuple[int | None, str | None]] = []

    class Seen(Watcher):
        def on_event(self, event: Event, /) -> None:
            if isinstance(event, Attempt):
                seen.append((event.status, event.limit))

    async with MockServer(2) as server:
        for customer in server.customers:
            server.queue_faults(customer.customer_id, THROTTLED)
        async with client_of(server, Seen()) as client:
            await archived(client, server.customers[0])
            client._limiter._controller.pace.found(200.0)
            await archived(client, server.customers[1])
    assert seen == [(429, None), (200, None), (429, "the API grants about 200 requests a second"), (200, None)]


async def test_token_endpoint_that_throttles_holds_back_every_call() -> None:
    """No call is sent before the token endpoint's wait has passed, since every call needs a token."""
    async with MockServer(
        3, faults=Faults(token=[THROTTLED]), keep_arrivals=True, clock=LoopClock().monotonic
    ) as server:
        credentials = PartnerCredentials(server.partner_uuid, server.api_key)
        async with client_of(server, credentials=credentials) as client:
            await asyncio.gather(*(archived(client, customer) for customer in server.customers))
        first, *later = [when for when, _ in server.requests.arrivals]
    assert min(later) >= first + HOLD
    assert server.requests.totals == {"token": 2, "archive": 3}


async def test_without_waiting_no_cooldown_begins() -> None:
    """With `no_wait`, no cooldown starts, not even after a Retry-After."""
    async with MockServer(1) as server:
        customer = server.customers[0]
        server.queue_faults(customer.customer_id, LONG)
        async with client_of(server, retry=RetryPolicy(no_wait=True)) as client:
            async with asyncio.timeout(2):
                assert (await archived(client, customer)).is_archived
            assert client._limiter.cooldown() == 0.0
