"""The controller at the limits of simulated APIs: how much of what they grant is used, and how much is refused."""

import math
import random
import statistics

import attrs
import limited_apis as apis
import pytest
from limit_simulation import Result, Scenario, simulate
from limited_clients import Client

from thredfi_async._engine.at_once import AtOnce
from thredfi_async._engine.bound import Bound
from thredfi_async._engine.controller import Controller
from thredfi_async._engine.turns import Ticket

# Coverage would triple their time, and the other simulations reach the same lines.
LONG = pytest.mark.long

BUCKET = Scenario(api=lambda _: apis.TokenBucket(200.0, 20.0))
# Refusals come sooner than grants, which take the API a moment.
TOLD = attrs.evolve(BUCKET, retry_after=apis.rounded_up, round_trip=0.003, service=0.021)
# Django REST framework; to collect garbage takes its process 45 ms now and then.
HALTS = Scenario(
    api=lambda _: apis.SlidingWindow(200.0, 1.0),
    retry_after=apis.rounded_up,
    round_trip=0.003,
    service=0.025,
    halts=(13.7, 0.045),
)
FOUR = [(0.0, 1e9)] * 4


def run(scenario: Scenario) -> Result:
    """Run a scenario with the real controller."""
    return simulate(scenario, Client)


def seeds(scenario: Scenario) -> list[Result]:
    """Run a scenario with other random numbers each time."""
    return [run(attrs.evolve(scenario, seed=seed)) for seed in range(1, 6)]


# The most that is asked for: used at least, refused at most, for 12,000 requests of one client.
@LONG
@pytest.mark.parametrize(
    ("scenario", "used", "refused"),
    [
        pytest.param(attrs.evolve(BUCKET, retry_after=apis.rounded_up), 0.92, 0.015, id="bucket, Retry-After 1"),
        pytest.param(TOLD, 0.92, 0.015, id="refusals come first"),
        pytest.param(BUCKET, 0.95, 0.015, id="bucket"),
        pytest.param(attrs.evolve(BUCKET, round_trip=0.3), 0.95, 0.02, id="bucket, 300 ms"),
        # Refusals at once, grants after that time.
        pytest.param(attrs.evolve(BUCKET, round_trip=0.003, service=0.3), 0.95, 0.02, id="bucket, answers in 300 ms"),
        pytest.param(attrs.evolve(BUCKET, round_trip=0.0005), 0.95, 0.02, id="bucket, under 1 ms"),
        pytest.param(Scenario(api=lambda _: apis.LeakyBucket(200.0, 20.0)), 0.9, 0.02, id="leaky bucket"),
        pytest.param(Scenario(api=lambda _: apis.FixedWindow(200.0)), 0.93, 0.015, id="fixed window"),
        pytest.param(
            Scenario(api=lambda _: apis.FixedWindow(200.0), retry_after=apis.exact), 0.93, 0.015, id="exact Retry-After"
        ),
        pytest.param(
            Scenario(api=lambda _: apis.FixedWindow(200.0), retry_after=apis.rounded_up), 0.87, 0.015, id="rounded"
        ),
        pytest.param(Scenario(api=lambda _: apis.CountsAll(200.0)), 0.9, 0.02, id="haproxy"),
        pytest.param(
            Scenario(api=lambda _: apis.SlidingWindow(200.0), retry_after=apis.rounded_up), 0.94, 0.015, id="sliding"
        ),
        pytest.param(
            Scenario(api=lambda _: apis.SlidingWindow(200.0, 1.0), retry_after=apis.rounded_down), 0.9, 0.02, id="down"
        ),
        # As Django REST framework does: far longer than needed.
        pytest.param(
            Scenario(api=lambda _: apis.SlidingWindow(200.0, 1.0), retry_after=apis.rounded_up), 0.92, 0.015, id="up"
        ),
        pytest.param(
            Scenario(api=lambda _: apis.Concurrency(8, 0.02), round_trip=0.0005), 0.92, 0.02, id="8 in flight"
        ),
    ],
)
def test_one_client_uses_what_is_granted(scenario: Scenario, used: float, refused: float) -> None:
    """Alone at a limit, a client uses nearly all that is granted, the opening included, and is refused seldom."""
    result = run(attrs.evolve(scenario, items=12_000, seconds=500.0))
    assert result.used() >= used
    assert result.refusals() <= refused


def test_retry_after_costs_little_once_it_has_settled() -> None:
    """From the second minute on, a client uses nearly all, though each refusal stops it for a second."""
    assert run(attrs.evolve(TOLD, seconds=180.0)).used(60.0) >= 0.96


@LONG
@pytest.mark.parametrize("scenario", [BUCKET, TOLD], ids=["429", "Retry-After 1"])
def test_four_clients_share_a_bucket(scenario: Scenario) -> None:
    """Without shared state, four clients find fair shares of nearly all of it, do not swing, and are refused seldom."""
    result = run(attrs.evolve(scenario, clients=FOUR, seconds=180.0))
    assert result.used(60.0) >= 0.93
    assert result.refusals(60.0) <= 0.01
    assert all(0.15 <= share <= 0.35 for share in result.shares(60.0, 180.0))
    assert result.spread(60.0, 180.0) <= 0.15


def test_a_window_with_an_exact_retry_after_that_is_used_up() -> None:
    """Where a refusal costs no pause, a client that takes itself for a share does not go down in small steps."""
    scenario = Scenario(api=lambda _: apis.SlidingWindow(200.0), retry_after=apis.exact, load=250.0, seconds=40.0)
    assert statistics.mean(len(run(attrs.evolve(scenario, seed=seed)).refused[0]) for seed in range(1, 4)) <= 100


@LONG
@pytest.mark.parametrize(("count", "least"), [(2, 0.88), (4, 0.7)])
def test_who_opened_first_loses_its_advantage(count: int, least: float) -> None:
    """Of clients that start within a third of a second, the smallest soon has most of a fair share, on average."""
    found: list[float] = []
    for seed in range(12):
        starts = random.Random(seed)
        clients = [(0.3 * starts.random(), 1e9) for _ in range(count)]
        result = run(attrs.evolve(TOLD, clients=clients, seconds=120.0, seed=seed))
        assert result.used(60.0) >= 0.9
        found.append(min(result.shares(40.0, 120.0)) * count)
    assert statistics.mean(found) >= least


@LONG
@pytest.mark.parametrize("scenario", [BUCKET, TOLD], ids=["429", "Retry-After 1"])
def test_one_that_joins_late_gets_its_share(scenario: Scenario) -> None:
    """On average a fourth client has an eighth of all after ten seconds, and most of its share soon."""
    results = seeds(attrs.evolve(scenario, clients=[*FOUR[:3], (60.0, 1e9)], seconds=110.0))
    assert statistics.mean(result.shares(70.0, 80.0)[3] for result in results) >= 0.12
    assert statistics.mean(result.shares(90.0, 110.0)[3] for result in results) >= 0.17


@LONG
@pytest.mark.parametrize("scenario", [BUCKET, TOLD], ids=["429", "Retry-After 1"])
def test_what_one_leaves_is_filled_in(scenario: Scenario) -> None:
    """When one of four clients ends, the others on average use what it leaves within 15 s."""
    results = seeds(attrs.evolve(scenario, clients=[*FOUR[:3], (0.0, 60.0)], seconds=90.0))
    assert statistics.mean(result.used(75.0, 80.0) for result in results) >= 0.9


def test_a_client_that_is_left_alone_stays_near_the_top() -> None:
    """After its company has gone, the limit refuses it at the same level twice, and then it probes seldom."""
    result = run(attrs.evolve(TOLD, clients=[(0.0, 1e9), (0.0, 40.0)], seconds=240.0))
    assert result.used(120.0) >= 0.96
    assert sum(when > 120.0 for when in result.refused[0]) <= 3


def granted(at_once: AtOnce, *counts: int) -> None:
    """Note requests that were granted, by how many were in flight with each."""
    for count in counts:
        at_once.granted(count)


def is_for_their_number(at_once: AtOnce, count: int) -> bool:
    """Note a request that was refused while a rate was held."""
    return at_once.explains(0, count, 5, is_paced=True)


def test_what_is_served_at_once_is_found_after_a_ragged_opening() -> None:
    """Three refusals in a row with the same number in flight, and few granted with so many, mean that it is bounded."""
    bound = Bound(lambda: 0.5)
    at_once = AtOnce(bound)
    assert [is_for_their_number(at_once, count) for count in (9, 9, 8, 9, 9)] == [False] * 5
    granted(at_once, *[5] * 80, *[9] * 20)
    assert not is_for_their_number(at_once, 9)
    granted(at_once, *[5] * 95, *[9] * 5)
    assert not is_for_their_number(at_once, 9)
    assert not bound.is_known
    granted(at_once, *[5] * 95, *[9] * 5)
    assert is_for_their_number(at_once, 9)
    assert int(bound.rest) == 8


@pytest.mark.parametrize("is_paced", [False, True])
def test_one_request_alone_is_not_one_too_many(is_paced: bool) -> None:
    """However often a request is refused with no other in flight, that is no bound of none at once."""
    bound = Bound(lambda: 0.5)
    at_once = AtOnce(bound)
    assert not any(at_once.explains(at_once.flight, 1, 1, is_paced=is_paced) for _ in range(10))
    assert not bound.is_known


def test_a_number_at_once_is_refused_once_within_it() -> None:
    """The opening may have overshot it; a second refusal within it tells of a rate, until it was found twice."""
    bound = Bound(lambda: 0.5)
    at_once = AtOnce(bound)

    def explains(count: int) -> bool:
        return at_once.explains(at_once.flight, count, count, is_paced=False)

    assert [explains(count) for count in (30, 25)] == [True, True]
    assert bound.top == 25.0
    assert not explains(20)
    assert not bound.is_known
    assert [explains(count) for count in (30, 25)] == [True, False]
    assert [explains(count) for count in (30, 30, 25)] == [True, True, True]
    assert bound.top == 25.0


def test_a_number_at_once_that_may_be_a_rate_is_probed_soon() -> None:
    """The first bound of requests at once is probed after a second; once it was refused there again, seldom."""
    bound = Bound(lambda: 0.5)
    at_once = AtOnce(bound)

    def climbs_after() -> float:
        return next(tenth / 10 for tenth in range(1000) if bound.at(tenth / 10) >= 9.0)

    assert at_once.explains(0, 9, 9, is_paced=False)
    assert climbs_after() < 2.0
    bound.time = climbs_after()
    assert at_once.explains(1, 9, 9, is_paced=False)
    assert climbs_after() > 10.0


def test_one_refusal_within_a_number_at_once_may_have_come_late() -> None:
    """Once the bound has been in use for a second, one more narrows it; another one ends it."""
    bound = Bound(lambda: 0.5)
    at_once = AtOnce(bound)
    assert at_once.explains(0, 9, 9, is_paced=False)
    bound.time = 1.5
    assert at_once.explains(1, 8, 8, is_paced=False)
    assert int(bound.rest) == 7
    bound.time = 1.5
    assert not at_once.explains(2, 7, 7, is_paced=False)
    assert not bound.is_known


def test_a_bound_of_requests_at_once_settles_before_more_are_sent() -> None:
    """When one that was sent after the first refusal is refused too, nothing is sent for a tenth of a second."""
    controller = Controller(100)
    tickets = list[Ticket]()
    for _ in range(10):
        controller.take(0.0)
        tickets.append(controller.ticket)
    controller.refused(tickets.pop(), 0.0, 0.01)
    controller.in_flight -= 1
    assert controller.cooldown(0.01) == 0.0
    controller.take(0.01)
    controller.refused(controller.ticket, 0.0, 0.02)
    controller.in_flight -= 8
    assert not controller.is_free(0.1)
    assert controller.due(0.1) == pytest.approx(0.12)
    assert controller.is_free(0.121)


@pytest.mark.parametrize("seed", [2, 4])
def test_an_opening_at_an_api_that_counts_what_it_refuses(seed: int) -> None:
    """Where refusals come before the grants and count too, the opening is refused little more than was in flight."""
    scenario = Scenario(
        api=lambda _: apis.CountsAll(200.0), round_trip=0.003, service=0.021, stalls=0.2, seconds=2.0, seed=seed
    )
    assert len(run(scenario).refused[0]) <= 150


@pytest.mark.parametrize("phase", [number / 10 for number in range(10)])
def test_a_second_that_counts_what_it_refuses_may_begin_at_any_moment(phase: float) -> None:
    """Where a search ended too high, all is refused for as long as anything is sent: so soon nothing is."""
    scenario = Scenario(
        api=lambda _: apis.CountsAll(200.0, offset=phase), round_trip=0.003, service=0.021, items=12_000, seconds=90.0
    )
    outcome = run(scenario)
    assert outcome.used() >= 0.93
    assert outcome.refusals() <= 0.015


def test_two_refusals_between_probes_may_be_accidents() -> None:
    """With a Retry-After, each of two lowers the pace a little; a third one, and one without it, are company."""
    bound = Bound(lambda: 0.5)
    bound.found(200.0, 1.0)
    bound.refused(6.0, 200.0, 1.0)
    for _ in range(2):
        bound.refused(3.0, 200.0, 1.0)
        assert bound.is_alone
        assert bound.top == pytest.approx(197.0)
    bound.refused(3.0, 200.0, 1.0)
    assert not bound.is_alone
    bound.found(200.0)
    bound.refused(6.0, 200.0)
    bound.refused(3.0, 200.0)
    assert not bound.is_alone


# A client that starts 12,000 calls handles no answer for a second; a busy machine runs none of its code now and then.
@LONG
@pytest.mark.parametrize(
    ("scenario", "used"),
    [
        pytest.param(BUCKET, 0.93, id="bucket"),
        pytest.param(TOLD, 0.92, id="bucket, Retry-After 1"),
        pytest.param(
            Scenario(
                api=lambda _: apis.SlidingWindow(200.0, 1.0),
                retry_after=apis.rounded_up,
                round_trip=0.003,
                service=0.021,
            ),
            0.93,
            id="DRF",
        ),
        pytest.param(HALTS, 0.9, id="DRF that halts"),
        pytest.param(attrs.evolve(BUCKET, round_trip=0.003, service=0.3), 0.95, id="answers in 300 ms"),
        pytest.param(Scenario(api=lambda _: apis.Concurrency(8, 0.02), round_trip=0.0005), 0.93, id="8 in flight"),
    ],
)
@pytest.mark.parametrize("seed", range(1, 4))
def test_a_client_that_is_busy_when_it_opens_finds_the_same(scenario: Scenario, used: float, seed: int) -> None:
    """What is found does not go by when a stalled loop handles the first answers."""
    result = run(attrs.evolve(scenario, items=12_000, seconds=500.0, stalls=1.0, seed=seed))
    assert result.used() >= used
    assert result.refusals() <= 0.015


@pytest.mark.parametrize("burst", [1.0, 5.0])
@pytest.mark.parametrize("rate", [0.5, 1.0, 2.0])
def test_a_small_rate_is_found(rate: float, burst: float) -> None:
    """Also where it only waited as asked at first: what was granted late then is not taken off what was later."""
    scenario = Scenario(
        api=lambda _: apis.TokenBucket(rate, burst),
        retry_after=apis.rounded_up,
        round_trip=0.003,
        service=0.021,
        items=int(60 * rate),
        seconds=600.0,
    )
    assert run(scenario).seconds <= 100.0


@pytest.mark.parametrize("stalls", [0.0, 0.2])
@pytest.mark.parametrize("most", [1, 2, 4, 16, 32, 64])
def test_any_number_at_once_is_found(most: int, stalls: float) -> None:
    """Also where the opening has overshot it far, or was too ragged to tell it from a rate."""
    scenario = Scenario(
        api=lambda _: apis.Concurrency(most, 0.02),
        round_trip=0.0015,
        stalls=stalls,
        items=min(12_000, 2800 * most),
        seconds=90.0,
    )
    for result in seeds(scenario)[:3]:
        assert result.used() >= 0.85
        assert result.refusals() <= 0.015


def test_a_loop_that_is_busy_opens_no_further() -> None:
    """While it handles no answers, no more than the first few requests are sent; later each ring allows another one."""
    controller = Controller(100)
    for moment in range(1000):
        if controller.is_free(moment / 1000):
            controller.take(moment / 1000)
    assert controller.in_flight == 10
    controller.opening.rings(1.0)
    assert not controller.is_free(1.0)
    assert controller.due(1.0) == pytest.approx(1.1)
    controller.opening.rings(1.1)
    assert controller.is_free(1.1)
    controller.take(1.1)
    assert controller.due(1.1) == pytest.approx(1.11)


@LONG
@pytest.mark.parametrize(("limit", "within"), [(1000.0, 120.0), (50.0, 30.0)])
def test_a_limit_that_changes_is_found(limit: float, within: float) -> None:
    """One that rises fivefold is found within two minutes, one that falls to a quarter within half a minute."""
    scenario = Scenario(
        api=lambda _: apis.Changing(apis.TokenBucket(200.0), apis.TokenBucket(limit, limit / 10), 90.0),
        retry_after=apis.rounded_up,
        seconds=90.0 + within + 10.0,
    )
    result = run(scenario)
    assert result.used(90.0 + within, 100.0 + within) * 200.0 / limit >= 0.85


def test_a_slow_limit_with_a_retry_after_is_no_noise() -> None:
    """Of a few requests between pauses the same part is refused at any pace, since the pauses are longer than they."""
    result = run(Scenario(api=lambda _: apis.TokenBucket(2.0, 2.0), retry_after=apis.rounded_up, seconds=600.0))
    assert result.refusals(300.0, 600.0) <= 0.12
    assert result.used(300.0, 600.0) >= 0.9


def test_refusals_at_random_do_not_slow_it_down() -> None:
    """Where three in a hundred are refused however few are sent, it soon sends as fast as it can."""
    result = run(Scenario(api=lambda choose: apis.Random(0.03, choose.random), seconds=12.0))
    assert result.used(8.0, 12.0) * 1000.0 >= 3000.0


def short_or_none(now: float, back_in: float) -> float:
    """Say to come back in 20 ms, or nothing."""
    return 0.02 if int(now * 1000) % 2 else 0.0


@pytest.mark.parametrize("seed", range(1, 6))
def test_short_retry_afters_at_random_do_not_slow_it_down(seed: int) -> None:
    """Where seven in a hundred are refused at random, half of them with a short Retry-After, 2,000 calls end soon."""
    scenario = Scenario(
        api=lambda choose: apis.Random(0.07, choose.random),
        retry_after=short_or_none,
        items=2000,
        seed=seed,
    )
    assert run(scenario).seconds <= 20.0


@pytest.mark.parametrize("seed", [1, 5])
def test_clients_that_join_are_not_taken_for_noise(seed: int) -> None:
    """When three join one, its cuts do not help for a while; then it takes no more than its share all the same."""
    result = run(attrs.evolve(BUCKET, clients=[FOUR[0], *[(30.0, 1e9)] * 3], seconds=120.0, seed=seed))
    assert result.refusals(60.0) <= 0.01
    assert max(result.shares(60.0, 120.0)) <= 0.35


def test_a_rate_is_kept_and_is_no_reason_to_be_slower() -> None:
    """The rate that a user sets is an upper bound, and is used."""
    result = simulate(attrs.evolve(BUCKET, seconds=30.0), lambda choose: Client(choose, rate=100.0))
    assert 0.49 <= result.used(1.0, 29.0) <= 0.505
    assert not result.refusals()


def test_a_pause_in_use_costs_nothing_that_was_learned() -> None:
    """After an idle night, the pace is as it was."""
    controller = Controller(100, vary=lambda: 0.5)
    controller.pace.found(200.0)
    controller.take(0.0)
    before = controller.rate()
    controller.take(10 * 3600.0)
    assert controller.rate() == pytest.approx(before, rel=0.1)


def test_a_retry_after_stops_all_and_costs_no_rate() -> None:
    """For as long as it says nothing is sent; then the pace is nearly what it was."""
    controller = Controller(100, vary=lambda: 0.5)
    controller.pace.found(200.0)
    now = 0.0
    for _ in range(3000):
        controller.take(now)
        controller.granted(controller.ticket, now)
        controller.in_flight -= 1
        now += 1 / controller.rate()
    controller.take(now)
    controller.refused(controller.ticket, 2.0, now)
    assert controller.cooldown(now) == pytest.approx(2.0)
    assert not controller.is_free(now + 1.9)
    assert controller.is_free(now + 2.01)
    assert controller.rate() >= 180.0


def test_a_few_refusals_between_few_that_are_granted_tell_no_rate() -> None:
    """Where one customer's limit refuses, a client waits as asked and learns nothing, up to three times in a row."""
    controller, now = Controller(2), 0.0

    def ask(hold: float) -> None:
        nonlocal now
        now = max(now + 0.3, controller.due(now))
        controller.take(now)
        if hold:
            controller.refused(controller.ticket, hold, now)
            assert controller.cooldown(now) == pytest.approx(hold)
        else:
            controller.granted(controller.ticket, now)
        controller.in_flight -= 1

    for _ in range(3):
        assert controller.rate() == float("inf")
        ask(0.0)
        ask(0.01)
    assert controller.rate() == float("inf")
    ask(0.0)
    ask(0.01)
    assert controller.rate() < 10.0


@pytest.mark.parametrize("seed", range(20))
def test_it_never_raises_and_always_goes_on(seed: int) -> None:
    """Whatever happens in whatever order, there is a moment at which the next request may be sent."""
    choose = random.Random(seed)
    controller, now, flying = Controller(20, vary=choose.random), 0.0, list[Ticket]()
    for _ in range(2000):
        now += choose.choice([0.0, 0.001, 0.1, 5.0, 1e6]) * choose.random()
        match choose.randrange(5):
            case 0 | 1 if controller.is_free(now):
                controller.take(now)
                flying.append(controller.ticket)
            case 2 if flying:
                controller.granted(flying.pop(choose.randrange(len(flying))), now)
                controller.in_flight -= 1
            case 3 if flying:
                hold = choose.choice([0.0, 0.0, 1.0, 100.0])
                controller.refused(flying.pop(choose.randrange(len(flying))), hold, now)
                controller.in_flight -= 1
            case 4:
                controller.hold_back(choose.random(), now)
            case _:
                pass
        assert controller.in_flight == len(flying)
        assert 1 <= controller.allowed(now) <= 20
        assert flying or controller.due(now) <= now + 1e5


def test_a_rate_that_was_taken_for_a_number_at_once_is_known_again() -> None:
    """Three refusals in a row with the same number in flight mean a number; one while alone in flight refutes that."""
    controller, now = Controller(100, vary=lambda: 0.5), 0.0

    def refuse(in_flight: int) -> None:
        nonlocal now
        now += 2.0
        controller.take(now)
        controller.granted(controller.ticket, now)
        for _ in range(in_flight - 1):
            controller.take(now)
        controller.refused(controller.ticket, 0.0, now + 0.01)
        controller.in_flight = 0

    refuse(1)
    for _ in range(3):
        refuse(5)
    assert (controller.window.is_known, controller.pace.top) == (True, math.inf)
    refuse(1)
    assert controller.pace.top < math.inf
    assert not controller.pace.is_search


def test_a_pace_that_holds_nothing_back_is_forgotten() -> None:
    """As a bound of long ago, of which a search has found no trace."""
    controller = Controller(100)
    controller.pace.search(10.0, 1.0)
    controller.pace.time = 3.0
    controller.take(100.0)
    assert not controller.pace.is_known
