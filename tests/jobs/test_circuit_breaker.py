"""The circuit breaker, told the time: when it opens, when a probe may go, and how calls come back."""

import pytest

from thredfi_async._jobs.circuit_breaker import CircuitBreaker

FAILURES = 10


def breaker(customers: int = 2) -> CircuitBreaker:
    """A breaker without chance in its waits."""
    return CircuitBreaker(failures=FAILURES, customers=customers, wait_initial=1.0, wait_max=30.0, jitter=lambda: 1.0)


def opened(now: float = 0.0, asked: float = 0.0) -> CircuitBreaker:
    """A breaker that has just opened."""
    found = breaker()
    for number in range(FAILURES):
        found.failed(number, now, asked=asked)
    return found


def test_failures_in_a_row_open_it() -> None:
    """After so many, nothing is sent until the wait is over; then one probe at a time."""
    found = breaker()
    for number in range(FAILURES):
        assert found.may_start(0.0, 5)
        assert not found.is_open
        found.failed(number, 5.0 + number)
    assert (found.is_open, found.probe_at, found.failing_since) == (True, 15.0, 5.0)
    assert not found.may_start(14.9, 0)
    assert found.may_start(15.0, 0)
    assert found.starts()
    assert (found.may_start(99.0, 0), found.probe_at) == (False, None)


def test_a_success_between_failures() -> None:
    """Failures that are not in a row do not open it."""
    found = breaker()
    for number in range(50):
        found.failed(number, 0.0)
        found.served()
    assert (found.is_open, found.failing_since) == (False, None)


@pytest.mark.parametrize(("customers", "is_open"), [(1, True), (2, False)])
def test_one_customer_says_nothing_of_the_api(customers: int, is_open: bool) -> None:
    """However often one fails, others must fail too, where that is asked for."""
    found = breaker(customers)
    for _ in range(99):
        found.failed("the same", 0.0)
    assert found.is_open is is_open
    found.failed("another", 0.0)
    assert found.is_open


def test_waits_grow_and_heed_the_server() -> None:
    """Each probe that fails doubles the wait, and no wait is shorter than the server asks for."""
    found, now, waits = opened(), 0.0, list[float]()
    for asked in [0.0, 0.0, 50.0, 0.0, 0.0, 0.0]:
        assert found.probe_at is not None
        waits.append(found.probe_at - now)
        now = found.probe_at
        found.starts()
        found.failed("probe", now, asked=asked, is_probe=True)
    assert waits == [1.0, 2.0, 4.0, 50.0, 16.0, 30.0]


def test_a_late_answer_may_ask_for_more() -> None:
    """A call that was sent before it opened, and is told to wait, puts the next probe off."""
    found = opened()
    found.failed("late", 0.0, asked=20.0)
    assert found.probe_at == 20.0
    found.failed("later", 1.0)
    assert found.probe_at == 20.0


def test_calls_come_back_one_more_at_a_time() -> None:
    """An API that has just recovered is not overloaded."""
    found, rooms = opened(), list[int]()
    found.starts()
    assert found.room(5) == 1
    for is_probe in (True, False, False, False):
        assert found.served(is_probe=is_probe, ramp_to=5) is is_probe
        rooms.append(found.room(5))
    assert rooms == [2, 3, 4, 5]
    assert found.may_start(0.0, 100)


def test_the_ramp_bounds_what_is_in_flight() -> None:
    """While calls come back, no more may go than there is room for."""
    found = opened()
    found.starts()
    found.served(is_probe=True, ramp_to=5)
    assert (found.may_start(0.0, 1), found.may_start(0.0, 2)) == (True, False)


def test_an_api_that_fails_again_at_once_is_not_asked_more_often() -> None:
    """The waits begin anew only once all calls have come back."""
    found = opened()
    found.starts()
    found.served(is_probe=True, ramp_to=5)
    for number in range(FAILURES):
        found.failed(number, 0.0)
    assert found.probe_at == 2.0


def test_without_a_ramp_all_come_back_at_once() -> None:
    """A worker's held messages all go on, and the next outage begins with a short wait."""
    found = opened()
    found.starts()
    assert found.served(is_probe=True)
    assert found.may_start(0.0, 1_000)
    for number in range(FAILURES):
        found.failed(number, 0.0)
    assert found.probe_at == 1.0


def test_a_probe_that_is_cut_off() -> None:
    """The next one goes after another wait."""
    found = opened()
    found.starts()
    found.left(1.0)
    assert found.probe_at == 3.0
    found.left(9.0)  # no probe is in flight
    assert found.probe_at == 3.0


def test_opened_at_once() -> None:
    """What refuses every call opens it without a row, and may be asked more slowly."""
    found = breaker()
    found.open(7.0, slow=6.0)
    found.open(8.0)
    assert (found.failing_since, found.probe_at) == (7.0, 8.0)
    found.probe_now()
    assert found.may_start(7.0, 0)


def test_it_remembers_so_many_customers_and_no_more() -> None:
    """A row of any length costs bounded memory."""
    found = CircuitBreaker(failures=5_000, customers=2, wait_initial=1.0, wait_max=30.0, jitter=lambda: 1.0)
    for number in range(1_500):
        found.failed(number, 0.0)
    assert len(found._failing) == 1_000
    assert not found.is_open
