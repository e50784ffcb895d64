"""An API that answers no one: one call after another finds out, and none is lost that can be saved."""

import asyncio
import math
import random
from collections import Counter
from collections.abc import Callable
from copy import copy
from random import Random
from typing import Literal, TypeVar

import attrs
import limited_apis
import pytest
from clocks import LoopClock
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict
from virtual_time import run_virtually

from thredfi_async import (
    ConnectError,
    ConnectionLostError,
    Effect,
    RequestTimeoutError,
    RetryBudget,
    RetryPolicy,
    ThredfiError,
    Timeouts,
)
from thredfi_async._codec.error_envelope import api_error
from thredfi_async._engine.access_tokens import StaticToken
from thredfi_async._engine.availability import MANY, Availability
from thredfi_async._engine.call_options import CallOptions
from thredfi_async._engine.lifecycle import Lifecycle
from thredfi_async._engine.limiter import Limiter
from thredfi_async._engine.pipeline import Pipeline
from thredfi_async._interfaces import (
    Failure,
    Hidden,
    Progress,
    Request,
    Response,
    Secret,
    Send,
    Success,
    Unchanged,
    Verdict,
)

# Coverage would triple their time, and the other simulations reach the same lines.
LONG = pytest.mark.long

T = TypeVar("T")
Mode = Literal["503", "reset", "closed"]
MODES: tuple[Mode, ...] = ("503", "reset", "closed")
BACKOFFS = 0.5 + 1.0 + 2.0
"""What the default policy's three backoffs take at most."""


@attrs.define(kw_only=True)
class Api:
    """A simulated API that is away now and then.

    Args:
        mode: How it fails while it is away.
        outages: When it is away: from and until.
        latency: Seconds that an answer takes.
        poisoned: Requests, by their number, that it never answers well.
        hanging: Requests, by their number, that it accepts and never answers.
    """

    mode: Mode = "503"
    outages: tuple[tuple[float, float], ...] = ()
    latency: float = 0.01
    poisoned: frozenset[int] = frozenset()
    hanging: frozenset[int] = frozenset()
    posts: int = 0
    questions: int = 0
    retry_after: str | None = None
    """What its 503s say while it is away."""
    archived: set[int] = attrs.field(factory=set[int])
    caught: int = 0
    """Requests in flight when an outage began."""

    def is_away(self) -> bool:
        """Return whether it is away now."""
        now = asyncio.get_running_loop().time()
        return any(begin <= now < end for begin, end in self.outages)

    async def send(
        self, request: Request[T], authorization: Secret, timeouts: Timeouts, progress: Progress
    ) -> Response:
        """Answer one request as the transport would report it."""
        del authorization, timeouts
        number = int(request.url)
        self.posts += request.mutates
        self.questions += not request.mutates
        if self.mode == "closed" and self.is_away():
            await asyncio.sleep(0)
            raise ConnectError("refused")
        progress.sent = True
        was_away = self.is_away()
        await asyncio.sleep(30.0 if number in self.hanging and not was_away else self.latency)
        if number in self.hanging:
            raise RequestTimeoutError("silence", phase="read")
        if self.is_away() or number in self.poisoned:
            self.caught += self.is_away() and not was_away
            if self.mode == "503" or number in self.poisoned:
                status = 500 if number in self.poisoned else 503
                headers = {} if self.retry_after is None else {"Retry-After": self.retry_after}
                return Response(status, CIMultiDict(headers), b'{"error": "away", "error_code": "away"}')
            raise ConnectionLostError("reset")
        if request.mutates:
            self.archived.add(number)
        return Response(200, {}, b"{}")


@attrs.define(kw_only=True)
class Bucket(Api):
    """An API with a token bucket in front of it."""

    rate: float
    burst: float
    status: int = 429
    _tokens: float = math.nan
    _filled_at: float = 0.0

    async def send(
        self, request: Request[T], authorization: Secret, timeouts: Timeouts, progress: Progress
    ) -> Response:
        """Refuse the request if the bucket is empty."""
        now = asyncio.get_running_loop().time()
        tokens = self.burst if math.isnan(self._tokens) else self._tokens + (now - self._filled_at) * self.rate
        self._tokens, self._filled_at = min(self.burst, tokens), now
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return await super().send(request, authorization, timeouts, progress)
        progress.sent = True
        await asyncio.sleep(self.latency / 10)
        headers = {} if self.retry_after is None else {"Retry-After": self.retry_after}
        return Response(self.status, CIMultiDict(headers), b'{"error": "slow down", "error_code": "throttled"}')


@attrs.define(kw_only=True)
class Gateway(Api):
    """An API behind a gateway that has a limit.

    Args:
        limit: The limit.
        status: What it answers beyond that, and nothing more.
        refused: Requests, by their number, that it never lets through.
    """

    limit: limited_apis.Api
    status: int = 429
    refused: frozenset[int] = frozenset()

    async def send(
        self, request: Request[T], authorization: Secret, timeouts: Timeouts, progress: Progress
    ) -> Response:
        """Refuse the request at once if the limit does not grant it."""
        if self.limit.arrives(asyncio.get_running_loop().time(), 0) >= 0 and int(request.url) not in self.refused:
            return await super().send(request, authorization, timeouts, progress)
        progress.sent = True
        await asyncio.sleep(0.0005)
        return Response(self.status, {}, b"<html>no</html>")


@attrs.define
class Ends:
    """How the calls of a run ended."""

    api: Api
    lost: dict[int, ThredfiError] = attrs.field(factory=dict[int, ThredfiError])
    ended: dict[int, float] = attrs.field(factory=dict[int, float])
    in_use: int = 0
    waiting: int = 0


def judge(response: Response) -> Verdict[None]:
    """Judge an answer."""
    return Success(None) if response.status == 200 else Failure(api_error(response))


def seeded(policy: RetryPolicy, seed: int) -> RetryPolicy:
    """Return the policy with a jitter that is the same in each run, unless it has its own."""
    return attrs.evolve(policy, jitter=random.Random(seed).random) if policy.jitter is random.random else policy


def pipeline_of(
    send: Send, limiter: Limiter, timeouts: Timeouts, policy: RetryPolicy | None = None, budget: int = 500
) -> Pipeline:
    """Return a pipeline around a stand-in for the transport, in the running loop's time."""
    clock = LoopClock()
    return Pipeline(
        send=send,
        authenticator=StaticToken(Hidden("token")),
        limiter=limiter,
        availability=Availability(clock, limiter),
        lifecycle=Lifecycle(),
        timeouts=timeouts,
        retry=policy or seeded(RetryPolicy(), 1),
        budget=RetryBudget(budget),
        clock=clock,
    )


def run(  # noqa: PLR0917 - what may differ from run to run
    api: Api,
    calls: int,
    connections: int = 100,
    policy: RetryPolicy | None = None,
    timeouts: Timeouts | None = None,
    seed: int = 0,
    gap: float = 0.0,
    own: Callable[[int], CallOptions] = lambda _: CallOptions(),
    budget: int = 500,
    starts: Callable[[int], float] | None = None,
) -> Ends:
    """Run calls against a simulated API, each `gap` seconds after the one before, or when `starts` says."""
    policy = seeded(policy or RetryPolicy(), seed)
    ends = Ends(api)

    async def main() -> None:
        clock = LoopClock()
        limiter = Limiter(connections, clock.monotonic, vary=Random(1).random)
        pipeline = pipeline_of(api.send, limiter, timeouts or Timeouts(), policy, budget)

        def prepare(number: int) -> Request[None]:
            def question() -> Request[Unchanged | None]:
                def found(response: Response) -> Verdict[Unchanged | None]:
                    if response.status != 200:
                        return Failure(api_error(response))
                    return Success(None if number in api.archived else Unchanged.UNCHANGED)

                return Request(method="GET", url=str(number), judge=found)

            return Request(method="POST", url=str(number), judge=judge, mutates=True, settle=question)

        async def one(number: int) -> None:
            await asyncio.sleep(starts(number) if starts is not None else gap * number)
            try:
                await pipeline.run("operation", prepare, own(number), number)
            except ThredfiError as error:
                ends.lost[number] = error
            ends.ended[number] = clock.monotonic()

        async with asyncio.TaskGroup() as group:
            for number in range(calls):
                group.create_task(one(number))
        ends.in_use, ends.waiting = limiter.in_use, limiter.waiting

    run_virtually(main())
    assert len(ends.ended) == calls
    assert (ends.in_use, ends.waiting) == (0, 0)
    for number, error in ends.lost.items():
        # What is said of each is true.
        assert error.effect is not Effect.APPLIED
        assert error.effect is Effect.UNKNOWN or number not in api.archived
    return ends


# A blip


@LONG
@pytest.mark.parametrize("mode", ["503", "reset"])
@pytest.mark.parametrize("connections", [1, 2, 9, 10, 11, 100, 1000])
@pytest.mark.parametrize("attempts", [2, 4])
def test_a_blip_costs_no_call(mode: Mode, connections: int, attempts: int) -> None:
    """If everything in flight fails once, every call succeeds, with one retry for each that failed."""
    calls = min(5000, 50 * connections)
    api = Api(mode=mode, outages=((0.045, 0.0501),))
    ends = run(api, calls, connections, RetryPolicy(max_attempts=attempts))
    assert not ends.lost
    assert api.posts <= calls + connections + 1


def test_a_blip_costs_no_call_that_may_only_ask() -> None:
    """With a single attempt, the question settles every call, as soon as one was answered."""
    api = Api(mode="reset", outages=((0.095, 0.1001),))
    ends = run(api, 2500, 200, RetryPolicy(max_attempts=1))
    assert api.caught == 200
    assert api.questions == 200
    # Nothing was applied, and a request that was lost may still be on its way.
    assert {error.effect for error in ends.lost.values()} == {Effect.UNKNOWN}
    assert all("the server shows no change" in "".join(error.__notes__) for error in ends.lost.values())


# A dead API


@LONG
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("connections", [20, 100, 500])
def test_a_dead_api_costs_little_more_than_an_attempt_each(mode: Mode, connections: int) -> None:
    """500 calls send at most 550 requests, and end when their own backoffs would have ended at the latest."""
    api = Api(mode=mode, outages=((0.0, 1e9),))
    ends = run(api, 500, connections)
    assert len(ends.lost) == 500
    assert api.posts + api.questions <= 550
    # The first 503s narrow the window, so that the last calls take a little longer.
    assert max(ends.ended.values()) <= BACKOFFS + 4 * 500 / connections * api.latency + 0.5
    effect = Effect.NOT_APPLIED if mode == "closed" else Effect.UNKNOWN
    assert {error.effect for error in ends.lost.values()} == {effect}


@pytest.mark.parametrize("attempts", [1, 2, 8])
def test_a_dead_api_costs_little_whatever_the_policy(attempts: int) -> None:
    """Calls of another policy wait for as long as its own backoffs."""
    api = Api(mode="reset", outages=((0.0, 1e9),))
    policy = RetryPolicy(max_attempts=attempts)
    ends = run(api, 500, 100, policy)
    backoffs = sum(min(20.0, 0.5 * 2.0**number) for number in range(attempts - 1))
    assert api.posts + api.questions <= 550
    assert max(ends.ended.values()) <= backoffs + 1.0


@pytest.mark.parametrize("attempts", [2, 4])
def test_calls_that_wait_for_a_dead_api_wake_seldom(attempts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that waits wakes for its own end and for what probes find, whether it may be a probe or not."""
    naps, ends_at = [0], 400.0
    sleep = LoopClock.sleep

    async def counted(clock: LoopClock, seconds: float) -> None:
        naps[0] += 1
        await sleep(clock, seconds)

    monkeypatch.setattr(LoopClock, "sleep", counted)
    policy = RetryPolicy(max_attempts=attempts, backoff_initial=300.0, backoff_max=300.0)
    api = Api(mode="503", outages=((0.0, ends_at),))
    ends = run(api, 100, 100, policy, Timeouts(deadline=None))
    assert max(ends.ended.values()) > ends_at / 2
    assert naps[0] <= 20 * 100


def test_a_lone_call_makes_all_its_attempts() -> None:
    """One call waits for no other: it is sent as often as its policy says, and asks in the end."""
    api = Api(outages=((0.0, 1e9),))
    ends = run(api, 1)
    assert (ends.lost[0].attempts, api.posts, api.questions) == (5, 4, 1)


def test_calls_that_arrive_at_a_dead_api() -> None:
    """A call each 50 ms for a minute: each ends within its own backoffs, and the probes stay few."""
    api = Api(outages=((0.0, 1e9),))
    ends = run(api, 1200, gap=0.05)
    assert all(ended - 0.05 * number <= BACKOFFS + 0.5 for number, ended in ends.ended.items())
    assert api.posts + api.questions <= 1.1 * 1200


def test_calls_with_a_bound_for_their_turn_are_sent_within_it() -> None:
    """A call that may queue for 1 s is not told that no turn came, when only the API is away."""
    api = Api(mode="reset", outages=((0.0, 1e9),))
    ends = run(api, 500, 50, timeouts=Timeouts(queue=1.0))
    assert {type(error) for error in ends.lost.values()} == {ConnectionLostError}
    assert api.posts + api.questions <= 550


# An outage


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(3))
def test_a_short_outage_costs_no_call(mode: Mode, seed: int) -> None:
    """4,000 calls lose none when the API is away for 0.3 s."""
    ends = run(Api(mode=mode, outages=((0.2, 0.5),)), 4_000, seed=seed)
    assert not ends.lost


@LONG
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(3))
def test_an_outage_costs_no_more_than_was_in_flight(mode: Mode, seed: int) -> None:
    """4,000 calls: in 3 s without an API only those can fail that were sent when it went; the others wait."""
    api = Api(mode=mode, outages=((0.2, 3.2),))
    ends = run(api, 4_000, seed=seed)
    assert len(ends.lost) <= 100
    assert api.posts <= 4_000 + 250


@LONG
@pytest.mark.parametrize("mode", MODES)
def test_an_outage_costs_no_call_that_may_try_longer(mode: Mode) -> None:
    """With `max_attempts=8`, an outage of 3 s costs no call."""
    ends = run(Api(mode=mode, outages=((0.2, 3.2),)), 4_000, policy=RetryPolicy(max_attempts=8))
    assert not ends.lost


def test_calls_that_were_not_sent_spend_nothing() -> None:
    """Those that wait for the probe are sent once, when the API is back."""
    ends = Counter[int]()
    api = Api(mode="reset", outages=((0.0, 2.0),))
    outcome = run(api, 2000, 50)
    for error in outcome.lost.values():
        ends[error.attempts] += 1
    assert api.posts <= 2000 + 50 + 20
    assert not outcome.lost


@pytest.mark.parametrize("length", [0.3, 3.0])
def test_an_outage_that_says_when_to_come_back_costs_no_call(length: float) -> None:
    """A wait that the API itself asked for needs neither evidence nor budget."""
    ends = run(Api(outages=((0.2, 0.2 + length),), retry_after="1"), 4_000)
    assert not ends.lost


def test_two_outages_in_a_row() -> None:
    """A second outage finds every call as patient as the first did."""
    ends = run(Api(mode="503", outages=((0.2, 0.5), (0.8, 1.1), (1.5, 1.8))), 4_000)
    assert not ends.lost


# One record, not the API


def test_poisoned_records_hold_up_no_other() -> None:
    """50 records at which the server always fails, among 5,000: every other one is archived at once."""
    poisoned = frozenset(range(0, 5000, 100))
    api = Api(poisoned=poisoned)
    ends = run(api, 5000, 20)
    assert set(ends.lost) == poisoned
    sound = [ended for number, ended in ends.ended.items() if number not in poisoned]
    assert max(sound) <= 5000 / 20 * api.latency * 1.5 + 1.0


def test_a_group_of_poisoned_records_gives_way() -> None:
    """Twenty poisoned records alone are taken for an outage; a sound call that comes then waits its own backoffs."""
    api = Api(poisoned=frozenset(range(20)))
    ends = run(api, 21, 50, gap=0.02)
    assert 20 not in ends.lost
    assert ends.ended[20] <= 0.02 * 20 + BACKOFFS + 2 * api.latency


# What waits for what

DEAD = ((0.0, 1e9),)


@pytest.mark.parametrize("connections", [20, 100])
@pytest.mark.parametrize("seed", range(4))
def test_a_probe_that_hangs_holds_up_no_other(connections: int, seed: int) -> None:
    """If one record hangs, a blip costs that call at most: others are probes, too."""
    api = Api(mode="reset", outages=((0.045, 0.0501),), hanging=frozenset(range(3)))
    ends = run(api, connections, connections, seed=seed)
    assert set(ends.lost) <= api.hanging
    assert max(ended for number, ended in ends.ended.items() if number not in api.hanging) <= BACKOFFS + 1.0


def test_calls_with_less_patience_wait_behind_no_other() -> None:
    """Default calls that queue behind patient ones end when their own backoffs would have ended."""
    patient = CallOptions(retry=RetryPolicy(max_attempts=8))
    ends = run(Api(mode="closed", outages=DEAD), 60, 10, own=lambda number: patient if number < 30 else CallOptions())
    assert max(ended for number, ended in ends.ended.items() if number >= 30) <= BACKOFFS + 0.5


def test_calls_with_a_bound_for_their_turn_wait_behind_no_other() -> None:
    """Calls that may queue for 1 s are sent within it, though others without a bound are before them."""
    bounded = CallOptions(timeouts=Timeouts(queue=1.0))
    ends = run(Api(mode="reset", outages=DEAD), 60, 10, own=lambda number: bounded if number >= 30 else CallOptions())
    assert {type(error) for error in ends.lost.values()} == {ConnectionLostError}


@pytest.mark.parametrize("attempts", [8, 20, 100])
def test_patient_calls_find_out_when_the_others_have_given_up(attempts: int) -> None:
    """Calls that were never sent are sent soon after the API is back, though no other call is left to find out."""
    patient = CallOptions(retry=RetryPolicy(max_attempts=attempts))
    api = Api(mode="closed", outages=((0.0, 6.0),))
    ends = run(api, 40, 20, gap=0.001, own=lambda number: patient if number >= 20 else CallOptions())
    assert not {number for number in ends.lost if number >= 20}
    assert max(ends.ended.values()) <= 6.0 + 2.5


def test_one_call_that_fails_often_is_not_many() -> None:
    """A record that fails twenty times says nothing of the API: another call is sent at once."""
    api = Api(poisoned=frozenset({0}))
    ends = run(api, 3, 10, RetryPolicy(max_attempts=20), gap=60.0)
    assert ends.ended[1] <= 60.0 + 2 * api.latency
    assert ends.ended[2] <= 120.0 + 2 * api.latency


@pytest.mark.parametrize("budget", [1, 13, 14])
def test_a_drained_budget_keeps_no_probe_back(budget: int) -> None:
    """A blip costs no call, whatever the budget holds."""
    assert not run(Api(mode="reset", outages=((0.045, 0.0501),)), 500, 100, budget=budget).lost


@pytest.mark.parametrize(
    "policy",
    [
        RetryPolicy(max_attempts=10**400),
        RetryPolicy(max_attempts=10**6, backoff_initial=1e-20),
        RetryPolicy(max_attempts=10**6, backoff_max=1e25),
        RetryPolicy(jitter=lambda: 0.0),
        RetryPolicy(jitter=lambda: 1.0),
        RetryPolicy(budget=False, jitter=lambda: 0.0),
        RetryPolicy(no_wait=True),
    ],
    ids=["very many", "tiny backoffs", "huge backoffs", "no jitter", "all jitter", "no budget", "no wait"],
)
def test_a_blip_under_an_odd_policy(policy: RetryPolicy) -> None:
    """Every call ends, and nothing is computed for long."""
    ends = run(Api(mode="reset", outages=((0.045, 0.0501),)), 60, 20, policy)
    assert policy.no_wait or not ends.lost


def test_another_calls_policy_that_raises_stops_no_one() -> None:
    """A jitter that raises ends its own call only."""

    def broken() -> float:
        raise ZeroDivisionError("secret")

    odd = CallOptions(retry=RetryPolicy(jitter=broken))
    ends = run(
        Api(mode="reset", outages=((0.045, 1.0),)),
        200,
        50,
        own=lambda number: odd if number % 7 == 0 else CallOptions(),
    )
    assert all(number % 7 == 0 for number in ends.lost)


@pytest.mark.parametrize("connections", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", range(8))
def test_an_outage_costs_little_at_few_connections(connections: int, seed: int) -> None:
    """With few connections, too, no more fail than were in flight."""
    ends = run(Api(outages=((0.2, 3.2),)), 300, connections, seed=seed)
    assert len(ends.lost) <= connections


# Throttling


@LONG
@pytest.mark.parametrize("status", [429, 503])
def test_no_call_fails_by_throttling_while_others_are_served(status: int) -> None:
    """Two attempts are enough: to be throttled is to wait for a turn; and nearly all that is granted is used."""
    api = Bucket(rate=200.0, burst=20.0, status=status, retry_after="1")
    ends = run(api, 6000, policy=RetryPolicy(max_attempts=2))
    assert not ends.lost
    assert (6000 - 20) / 200.0 / max(ends.ended.values()) >= 0.8


def test_throttling_spends_no_budget_while_others_are_served() -> None:
    """A gather of 3,000 near a fast API that throttles without Retry-After: none ends for an empty budget."""
    api = Bucket(rate=500.0, burst=50.0)
    ends = run(api, 3000, policy=RetryPolicy(max_attempts=8))
    assert not any(error.is_budget_empty for error in ends.lost.values())


@LONG
@pytest.mark.parametrize("retry_after", ["1", None])
def test_a_503_with_a_retry_after_teaches_a_rate_as_a_429_does(retry_after: str | None) -> None:
    """One that says when to come back is about the number of requests; one that does not may be at any rate."""
    used: dict[int, float] = {}
    for status in (429, 503):
        api = Bucket(rate=200.0, burst=20.0, status=status, retry_after=retry_after)
        ends = run(api, 6000, policy=RetryPolicy(max_attempts=50))
        used[status] = len(api.archived) / max(ends.ended.values()) / api.rate
        assert not ends.lost
    if retry_after is not None:
        assert used[503] == pytest.approx(used[429], rel=0.1)
        assert used[503] > 0.6


# All of it


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    mode=st.sampled_from(MODES),
    calls=st.integers(1, 120),
    connections=st.integers(1, 60),
    attempts=st.integers(1, 6),
    outages=st.lists(st.tuples(st.floats(0.0, 4.0), st.floats(0.0, 20.0)), max_size=3),
    latency=st.sampled_from([0.0, 0.001, 0.05, 1.0]),
    poisoned=st.frozensets(st.integers(0, 120), max_size=15),
    deadline=st.sampled_from([None, 0.5, 5.0, 120.0]),
    gap=st.sampled_from([0.0, 0.01, 0.3]),
    seed=st.integers(0, 3),
)
def test_every_call_ends(  # noqa: PLR0917 - each may differ
    mode: Mode,
    calls: int,
    connections: int,
    attempts: int,
    outages: list[tuple[float, float]],
    latency: float,
    poisoned: frozenset[int],
    deadline: float | None,
    gap: float,
    seed: int,
) -> None:
    """Whatever the API does: every call ends, is told the truth, and keeps to its attempts and its time."""
    api = Api(
        mode=mode,
        outages=tuple((begin, begin + length) for begin, length in outages),
        latency=latency,
        poisoned=poisoned,
    )
    policy = RetryPolicy(max_attempts=attempts)
    ends = run(api, calls, connections, policy, Timeouts(deadline=deadline), seed, gap)
    # The question is asked once more if it was lost.
    assert all(error.attempts <= attempts + 2 for error in ends.lost.values())
    assert api.posts <= calls * attempts


async def _cut(after: int) -> list[str]:
    """Cancel calls that wait for a probe, one after the other; return how each ended."""
    clock, held = LoopClock(), asyncio.Event()
    limiter = Limiter(40, clock.monotonic, vary=Random(1).random)
    api = Api(mode="reset", outages=((0.0, 2.0),))

    async def send(request: Request[T], authorization: Secret, timeouts: Timeouts, progress: Progress) -> Response:
        if api.posts > MANY + after:
            await held.wait()
        return await api.send(request, authorization, timeouts, progress)

    pipeline = pipeline_of(send, limiter, Timeouts())

    def prepare(number: int) -> Request[None]:
        return Request(method="POST", url=str(number), judge=judge, mutates=True)

    calls = [asyncio.create_task(pipeline.run("operation", prepare, CallOptions(), number)) for number in range(80)]
    await asyncio.sleep(0.3)
    for call in calls[::2]:
        call.cancel()
        await asyncio.sleep(0)
    held.set()
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert limiter.in_use == 0
    return [type(end).__name__ for end in ends[1::2]]


async def _cut_in_the_queue() -> Counter[str]:
    """Cancel calls that were not sent yet, while the API answers no one; return how all ended."""
    clock = LoopClock()
    limiter = Limiter(10, clock.monotonic, vary=Random(1).random)
    api = Api(mode="reset", outages=((0.0, 2.0),))
    pipeline = pipeline_of(api.send, limiter, Timeouts())

    def prepare(number: int) -> Request[None]:
        return Request(method="POST", url=str(number), judge=judge, mutates=True)

    calls = [asyncio.create_task(pipeline.run("operation", prepare, CallOptions(), number)) for number in range(60)]
    await asyncio.sleep(0.5)
    for call in calls[15:40]:
        call.cancel()
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert limiter.in_use == 0
    return Counter(type(end).__name__ for end in ends)


def test_calls_that_are_cut_in_the_queue_keep_no_other_there() -> None:
    """A call that waits behind one that was cancelled is sent when the API is back."""
    assert run_virtually(_cut_in_the_queue()) == {"Outcome": 35, "CancelledError": 25}


async def _held_back() -> set[str]:
    """Cut the probe while it waits for a cooldown to be over; return how the others ended."""
    clock, posts = LoopClock(), 0
    limiter = Limiter(30, clock.monotonic, vary=Random(1).random)
    limiter._controller.opening.level = 30.0  # all of them at once

    async def send(request: Request[T], authorization: Secret, timeouts: Timeouts, progress: Progress) -> Response:
        nonlocal posts
        del request, authorization, timeouts
        progress.sent = True
        posts += 1
        number = posts
        await asyncio.sleep(0.01 * number)
        if number > 30:
            return Response(200, {}, b"{}")
        headers = {"Retry-After": "3"} if number == 30 else {}
        return Response(503, CIMultiDict(headers), b'{"error": "away", "error_code": "away"}')

    pipeline = pipeline_of(send, limiter, Timeouts(deadline=None))
    calls = [
        asyncio.create_task(
            pipeline.run("operation", lambda: Request(method="POST", url="1", judge=judge, mutates=True), CallOptions())
        )
        for _ in range(30)
    ]
    await asyncio.sleep(1.0)
    for call in calls[:10]:
        call.cancel()
    ends = await asyncio.gather(*calls, return_exceptions=True)
    return {type(end).__name__ for end in ends[10:]}


def test_a_probe_that_is_cut_in_its_cooldown_makes_way() -> None:
    """A probe that never gets its turn keeps no other from being sent."""
    assert run_virtually(_held_back()) == {"Outcome"}


@pytest.mark.parametrize("after", [0, 1, 5, 40])
def test_calls_that_are_cut_while_they_wait(after: int) -> None:
    """A probe that is cancelled makes way for the next; those that are left are sent when the API is back."""
    assert set(run_virtually(_cut(after))) == {"Outcome"}


@pytest.mark.parametrize("latency", [0.002, 0.02])
@pytest.mark.parametrize("seed", range(4))
def test_a_gateway_that_refuses_everyone_for_a_while(latency: float, seed: int) -> None:
    """A 429 spends no budget, also where no one is served in between: each call waits for its turn."""
    limit = limited_apis.CountsAll(200.0, offset=seed / 4)
    assert not run(Gateway(limit=limit, latency=latency), 3_000, seed=seed, budget=1).lost


@pytest.mark.parametrize("phase", [0.0, 0.3, 0.45, 0.75, 0.9])
@pytest.mark.parametrize("seed", [6, 7, 8])
def test_a_gateway_that_refuses_with_503(seed: int, phase: float) -> None:
    """Where a limit is known, a 503 is taken for its refusal: no call is lost by what the opening costs."""
    limit = limited_apis.CountsAll(200.0, offset=phase)
    assert not run(Gateway(limit=limit, status=503, latency=0.021), 1_200, seed=seed).lost


def test_a_request_that_is_refused_whenever_it_is_sent() -> None:
    """It may be no matter of the limit, and ends after a few more attempts than its policy has."""
    refused = frozenset({50})
    gateway = Gateway(limit=limited_apis.TokenBucket(200.0), status=503, refused=refused, latency=0.021)
    ends = run(gateway, 3_000)
    assert set(ends.lost) == refused
    assert 4 <= ends.lost[50].attempts <= 4 + 3 + 1  # with the question


# -- calls that the API refuses for themselves, as of a tenant that is shut out

OPEN = limited_apis.TokenBucket(1e5, 1e5)


@pytest.mark.parametrize(
    ("status", "limit"), [(429, OPEN), (503, OPEN), (429, limited_apis.TokenBucket(100.0))], ids=["429", "503", "100/s"]
)
def test_calls_that_are_always_refused_hold_up_no_other(status: int, limit: limited_apis.Api) -> None:
    """One of ten: the others end about as soon as without it, and none of them is lost."""
    refused = frozenset(range(0, 1_000, 10))
    ends = run(Gateway(limit=copy(limit), status=status, refused=refused), 1_000)
    assert set(ends.lost) == refused
    assert max(end for number, end in ends.ended.items() if number not in refused) <= 30.0
    # All that is left is refused: a call waits no longer than its deadline for that to change.
    assert max(ends.ended.values()) <= 2 * 120.0


@pytest.mark.parametrize(("each", "seconds"), [(2, 150.0), (3, 15.0), (4, 15.0), (5, 15.0)])
def test_many_calls_that_are_always_refused(each: int, seconds: float) -> None:
    """A fifth to a half of all calls: it is soon noticed, and none of the others is lost."""
    refused = frozenset(range(0, 1_000, each))
    ends = run(Gateway(limit=copy(OPEN), status=429, refused=refused), 1_000, gap=0.05)
    assert set(ends.lost) == refused
    assert max(ends.ended[number] - 0.05 * number for number in range(1_000) if number not in refused) <= seconds


@pytest.mark.parametrize("limit", [limited_apis.TokenBucket(20.0, 5.0), limited_apis.FixedWindow(10.0, 10.0)])
def test_a_limit_is_not_taken_for_calls_that_are_always_refused(limit: limited_apis.Api) -> None:
    """Calls that return are refused as others are: few are refused, and all are served at the limit's pace."""
    ends = run(Gateway(limit=copy(limit), status=429), 1_000)
    assert not ends.lost
    assert max(ends.ended.values()) <= 1.1 * 1_000 / limit.granted


def test_a_few_calls_that_are_always_refused() -> None:
    """One of a hundred costs the others next to nothing."""
    refused = frozenset(range(0, 2_000, 100))
    ends = run(Gateway(limit=copy(OPEN), refused=refused), 2_000)
    assert set(ends.lost) == refused
    assert max(end for number, end in ends.ended.items() if number not in refused) <= 10.0


def test_calls_that_are_always_refused_come_first() -> None:
    """Though they alone are sent at first, the others get their turns too."""
    refused = frozenset(range(20))
    ends = run(Gateway(limit=copy(OPEN), refused=refused), 500)
    assert set(ends.lost) == refused
    assert max(end for number, end in ends.ended.items() if number not in refused) <= 1_000.0


# -- quotas


@pytest.mark.parametrize("until", [2.0, 10.0, 40.0])
def test_a_quota_that_is_used_up_at_the_start(until: float) -> None:
    """As after another run: no call is lost, and few are refused."""
    api = Gateway(limit=limited_apis.Shut(limited_apis.TokenBucket(200.0), 0.0, until))
    ends = run(api, 1_000)
    assert not ends.lost
    assert max(ends.ended.values()) <= 1.4 * until + 15.0


def test_an_api_that_refuses_all_for_good() -> None:
    """A call waits for as long as its deadline; not forever, though each is sent seldom."""
    ends = run(Gateway(limit=limited_apis.Shut(OPEN, 0.0, 1e9)), 60, timeouts=Timeouts(deadline=20.0, queue=60.0))
    assert len(ends.lost) == 60
    assert {error.effect for error in ends.lost.values()} == {Effect.NOT_APPLIED}
    assert max(ends.ended.values()) <= 60.0 + 20.0 + 1.0
    told = {str(error) for error in ends.lost.values()}
    assert any("the API refused every request for 20.0 s, the whole of Timeouts.deadline" in text for text in told)


def test_an_api_that_refuses_all_and_calls_with_little_time_for_their_turns() -> None:
    """The bound of their waits for turns comes first."""
    ends = run(Gateway(limit=limited_apis.Shut(OPEN, 0.0, 1e9)), 60, timeouts=Timeouts(deadline=100.0, queue=5.0))
    assert len(ends.lost) == 60
    assert max(ends.ended.values()) <= 60.0


@pytest.mark.parametrize(("first", "began", "rate", "window"), [(10, 900.0, 10.0, 10.0), (600, 4_200.0, 1.0, 60.0)])
def test_a_client_that_was_idle_finds_a_quota(first: int, began: float, rate: float, window: float) -> None:
    """The time in which it sent nothing does not count for what is granted in a window."""
    api, more = Gateway(limit=limited_apis.FixedWindow(rate, window)), int(5 * rate * window)
    ends = run(api, first + more, starts=lambda number: 0.0 if number < first else began)
    assert not ends.lost
    assert max(ends.ended.values()) <= began + 7 * window


@pytest.mark.parametrize("extra", [1, 5])
def test_a_few_calls_beyond_a_quota(extra: int) -> None:
    """They wait for the next minute."""
    assert not run(Gateway(limit=limited_apis.FixedWindow(20 / 60, 60.0)), 20 + extra).lost


def test_a_large_burst_before_bare_503s() -> None:
    """That all get 503 for a moment is no outage where a limit is known."""
    api = Gateway(limit=limited_apis.TokenBucket(200.0, 2_000.0), status=503, latency=0.021)
    assert not run(api, 4_000).lost
    assert api.posts + api.questions <= 4_000


def test_an_outage_of_429s_is_forgotten() -> None:
    """After a minute without trouble, all is refused for 20 s: the pace is soon what it was."""
    api = Gateway(limit=limited_apis.Shut(OPEN, 10.0, 30.0))
    ends = run(api, 6_000, gap=0.005)
    assert not ends.lost
    assert max(ends.ended.values()) <= 30.0 + 45.0


@pytest.mark.parametrize("part", [0.2, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_refusals_at_random(part: float, seed: int) -> None:
    """A third of them does not slow it down for good."""
    ends = run(Gateway(limit=limited_apis.Random(part, Random(seed).random, 1e9)), 2_000, seed=seed)
    assert not ends.lost
    assert max(ends.ended.values()) <= 600.0


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("part", "gap"), [(0.1, 0.2), (0.2, 1.0), (0.2, 0.05), (0.33, 0.2)])
@pytest.mark.parametrize("status", [429, 503])
def test_refusals_at_random_in_steady_traffic(part: float, gap: float, status: int, seed: int) -> None:
    """Where one of ten, five or three servers refuses, steady calls wait for minutes at first, not hours."""
    calls = int(600.0 / gap)
    ends = run(Gateway(limit=limited_apis.Random(part, Random(seed).random, 1e9), status=status), calls, gap=gap)
    waits = sorted(end - gap * number for number, end in ends.ended.items())
    assert waits[calls // 2] <= 60.0
    assert waits[-1] <= 420.0
    # A 503 may be an outage: then four attempts are all.
    assert len(ends.lost) <= (2 * calls * part**4 + 3 if status == 503 else 0)
