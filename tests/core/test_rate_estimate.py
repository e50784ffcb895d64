"""Where an estimate puts the bound of a pace, refusal by refusal."""

import pytest

from thredfi_async._engine.bound import Bound
from thredfi_async._engine.rate_estimate import RateEstimate


def searching(*, count: int, lasted: float, hold: float) -> tuple[Bound, RateEstimate]:
    """Return a pace that is searched for, after an opening, and its estimate."""
    pace = Bound(lambda: 0.5)
    estimate = RateEstimate(pace)
    estimate.search(count, lasted, count / lasted, hold, 0)
    return pace, estimate


@pytest.mark.parametrize(("hold", "seconds"), [(1.0, 1), (10.0, 10)])
def test_an_api_that_counts_by_windows(hold: float, seconds: int) -> None:
    """The same number, granted in another time: it grants that in a window, which ends with the Retry-After."""
    pace, estimate = searching(count=200, lasted=0.3, hold=hold)
    estimate.learn(0.6, 400.0, 200, 200.0, hold)
    assert pace.top == 200 / seconds
    assert not pace.is_search


def test_an_api_that_grants_more_the_longer_it_takes() -> None:
    """No window then: the bound is between what was granted with the pause and what was sent."""
    pace, estimate = searching(count=200, lasted=0.3, hold=1.0)
    estimate.learn(0.9, 400.0, 320, 320.0, 1.0)
    assert 320 / 1.9 < pace.top <= 400.0
