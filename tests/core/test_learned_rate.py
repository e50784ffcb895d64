"""The rate that repeated throttling teaches, without a loop and without waiting."""

from random import Random

import pytest

from thredfi_async._engine.learned_rate import LearnedRate
from thredfi_async._engine.limiter import Limiter


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


def taken(rate: LearnedRate, clock: Clock, seconds: float) -> int:
    """Return how many slots a caller gets in so many seconds if it asks every millisecond."""
    count, end = 0, clock.now + seconds
    while clock.now < end:
        while clock.now >= rate.next:
            rate.take(clock.now)
            count += 1
            if count > 100_000:
                return count
        clock.now += 0.001
    return count


def learned(clock: Clock, rate_borne: int) -> LearnedRate:
    """Return a rate that was throttled twice, five seconds apart, with so many good answers a second in between."""
    rate = LearnedRate(clock.now)
    rate.throttled(clock.now, clock.now)
    for _ in range(5 * rate_borne):
        rate.answered_well(clock.now)
    clock.now += 5.0
    rate.throttled(clock.now, clock.now)
    return rate


def test_one_throttling_teaches_nothing_yet() -> None:
    """A single 429 affects only the window and the cooldown."""
    clock = Clock()
    rate = LearnedRate(clock.now)
    rate.throttled(clock.now, clock.now)
    assert taken(rate, clock, 0.01) > 100_000


def test_the_second_throttling_teaches_what_was_borne_in_between() -> None:
    """The rate starts at four fifths of what was measured, and grows by ten a second each second."""
    clock = Clock()
    rate = learned(clock, 100)
    assert 80 <= taken(rate, clock, 1.0) <= 92
    assert 90 <= taken(rate, clock, 1.0) <= 104
    assert 500 <= taken(rate, clock, 4.0) <= 560


def test_a_cooldown_does_not_let_it_grow() -> None:
    """Growth starts when the cooldown is over."""
    clock = Clock()
    rate = learned(clock, 100)
    for _ in range(500):
        rate.answered_well(clock.now)
    clock.now += 5.0
    rate.throttled(clock.now, clock.now + 50.0)
    clock.now += 50.0
    assert 80 <= taken(rate, clock, 1.0) <= 92


def test_refusals_that_come_together_are_one_lesson() -> None:
    """Refusals that come together count once, since there is too little time to measure a rate."""
    clock = Clock()
    rate = learned(clock, 100)
    clock.now += 0.4
    rate.throttled(clock.now, clock.now)
    assert 80 <= taken(rate, clock, 1.0) <= 95


def test_an_api_that_refuses_much_is_obeyed_sooner() -> None:
    """Half a second is enough between lessons, if one of nine requests is refused."""
    clock = Clock()
    rate = learned(clock, 100)
    for _ in range(8):
        rate.answered_well(clock.now)
    clock.now += 0.5
    rate.throttled(clock.now, clock.now)
    assert 12 <= taken(rate, clock, 1.0) <= 24


def test_an_api_that_bears_nothing_is_still_asked_once_a_second() -> None:
    """The rate never falls below one request a second, so that a recovery is noticed."""
    clock = Clock()
    rate = learned(clock, 0)
    assert 1 <= taken(rate, clock, 1.0) <= 12


def test_clients_with_unequal_rates_come_to_share_alike() -> None:
    """Two clients that are throttled together, one at ten times the other's rate, become nearly equal."""
    clock = Clock()
    small, big = learned(clock, 20), learned(clock, 200)
    shares = [0, 0]
    for _ in range(25):
        shares = [0, 0]
        end = clock.now + 5.0
        while clock.now < end:
            for index, rate in enumerate((small, big)):
                while clock.now >= rate.next:
                    rate.take(clock.now)
                    rate.answered_well(clock.now)
                    shares[index] += 1
            clock.now += 0.001
        for rate in (small, big):
            rate.throttled(clock.now, clock.now)
    assert 0.4 <= shares[0] / sum(shares) <= 0.5


def test_a_quiet_minute_and_it_is_forgotten() -> None:
    """After a minute without throttling, a limiter gives all its slots at once again."""
    clock = Clock()
    limiter = Limiter(50, clock.monotonic)
    for _ in range(3):
        limiter.throttled(limiter.generation, 0.0)
        clock.now += 0.5
    assert limiter.acquire_nowait()
    assert not limiter.acquire_nowait()
    limiter.release()
    clock.now += 59.0
    for _ in range(2000):
        limiter.answered_well()
    assert limiter.window == 50
    clock.now += 2.0
    limiter.answered_well()
    assert [limiter.acquire_nowait() for _ in range(50)] == [True] * 50


@pytest.mark.parametrize("api", [20, 200])
def test_it_keeps_to_what_an_api_bears(api: int) -> None:
    """Over a minute with a rate limit, few requests are refused, and nearly the whole limit is used."""
    clock = Clock()
    limiter = Limiter(20, clock.monotonic)
    tokens, good, refused = float(api), 0, 0
    for _ in range(60_000):
        tokens = min(float(api), tokens + api / 1000)
        while limiter.acquire_nowait():
            if tokens >= 1:
                tokens -= 1
                good += 1
                limiter.answered_well()
            else:
                refused += 1
                limiter.throttled(limiter.generation, 1.0)
            limiter.release()
        clock.now += 0.001
    assert good > 0.7 * 60 * api
    assert refused < 0.1 * (good + refused)


def test_refusals_at_random_do_not_bring_it_down() -> None:
    """An API that randomly refuses one request in thirty still gets hundreds of requests a second."""
    clock, random = Clock(), Random(1)
    limiter = Limiter(50, clock.monotonic)
    good = 0
    for _ in range(60_000):
        for _ in range(2):  # half a millisecond each
            if not limiter.acquire_nowait():
                break
            if random.random() < 1 / 30:
                limiter.throttled(limiter.generation, 0.0)
            else:
                good += 1
                limiter.answered_well()
            limiter.release()
        clock.now += 0.001
    assert good > 60 * 300


def test_an_api_that_is_unavailable_teaches_no_rate() -> None:
    """A 503 without a Retry-After says nothing about the number of requests; it only halves the window."""
    clock = Clock()
    limiter = Limiter(64, clock.monotonic)
    for _ in range(4):
        limiter.throttled(limiter.generation, 0.0, too_many=False)
        clock.now += 10.0
    assert [limiter.acquire_nowait() for _ in range(5)] == [True] * 4 + [False]


@pytest.mark.parametrize("hours", [10, 24 * 365 * 10])
def test_a_long_pause_in_use_does_no_harm(hours: int) -> None:
    """After two 429s and an idle night, or ten years, slots are given as usual."""
    clock = Clock()
    limiter = Limiter(4, clock.monotonic)
    for _ in range(2):
        limiter.throttled(limiter.generation, 0.0)
        clock.now += 5.0
    clock.now += hours * 3600.0
    assert limiter.acquire_nowait()
    limiter.release()
    assert limiter.in_use == 0
