"""Where an estimate puts the bound of a pace, refusal by refusal."""

import pytest

from thredfi_async._engine.bound import Bound
from thredfi_async._engine.rate_estimate import RateEstimate
from thredfi_async._engine.tally import Seen
from thredfi_async._engine.turns import Ticket


def searching(*, count: int, lasted: float, hold: float) -> tuple[Bound, RateEstimate]:
    """Return a pace that is searched for, after an opening, and its estimate."""
    pace = Bound(lambda: 0.5)
    estimate = RateEstimate(pace)
    estimate.search(count, lasted, count / lasted, hold, 0)
    return pace, estimate


def sent(time: float) -> Ticket:
    """Return the ticket of a request that was sent at this time in use of a pace of 400 a second."""
    return Ticket(1, 0, 1, 400.0, time)


@pytest.mark.parametrize(("hold", "seconds"), [(1.0, 1), (10.0, 10)])
def test_an_api_that_counts_by_windows(hold: float, seconds: int) -> None:
    """The same number, granted in another time: it grants that in a window, which ends with the Retry-After."""
    pace, estimate = searching(count=200, lasted=0.3, hold=hold)
    pace.time = 0.7
    estimate.learn(sent(0.6), Seen(200, 1, 200.0), hold, 8)
    assert pace.top == 200 / seconds
    assert not pace.is_search


def test_an_api_that_grants_more_the_longer_it_takes() -> None:
    """No window then: the bound is between what was granted with the pause and what was sent."""
    pace, estimate = searching(count=200, lasted=0.3, hold=1.0)
    pace.time = 1.0
    estimate.learn(sent(0.9), Seen(320, 1, 320.0), 1.0, 8)
    assert 320 / 1.9 < pace.top <= 400.0


def test_those_that_are_granted_but_not_answered_yet_count() -> None:
    """A refusal that comes at once, while 20 answers are on their way, comes after 20 more that were granted."""
    pace, estimate = searching(count=200, lasted=0.3, hold=1.0)
    pace.time = 0.601
    estimate.learn(sent(0.6), Seen(180, 1, 180.0), 1.0, 21)
    assert pace.top == 200.0


def test_those_of_the_opening_that_come_late_do_not_count() -> None:
    """What the opening still brings after the first refusal belongs to the opening, not to the search."""
    pace, estimate = searching(count=180, lasted=0.3, hold=1.0)
    for number in range(20):
        estimate.came_late(0, 0.3 + number / 1000)
    pace.time = 0.7
    estimate.learn(sent(0.6), Seen(220, 1, 220.0), 1.0, 8)
    assert pace.top == 200.0


@pytest.mark.parametrize(("refused", "top"), [(0, 304.0), (100, 203.0)])
def test_what_was_refused_while_it_searched_was_not_granted(refused: int, top: float) -> None:
    """Where grants take far longer than refusals, what was sent counts, less the part that was refused."""
    pace, estimate = searching(count=400, lasted=3.0, hold=0.0)
    pace.top, pace.doubles_in, pace.time = 180.0, 0.7, 1.001
    estimate.learn(sent(1.0), Seen(141, refused, 140.0), 0.0, 61)
    assert pace.top == pytest.approx(top, rel=0.03)
