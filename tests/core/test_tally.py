"""What a tally makes of refusals: cuts that do not help tell of noise, until less is granted than before them."""

import math
from collections.abc import Sequence

import pytest

from thredfi_async._engine.tally import Tally


def cuts(tally: Tally, *paces: float, apart: Sequence[int] = (4,) * 9, row: int = 1) -> bool:
    """Refuse so many rows at each of these paces, a second apart, eighty granted; return the last verdict."""
    is_of_no_help = False
    for number, (pace, times) in enumerate(zip(paces, apart, strict=False), start=1):
        for _ in range(times):
            tally.grant(float(number), 80 // times)
            for _ in range(row):
                tally.refuse()
        is_of_no_help = tally.cut(float(number), pace, 1.0)
    return is_of_no_help


@pytest.mark.parametrize(("found", "is_noise"), [(195.0, True), (170.0, False)])
def test_cuts_that_do_not_help(found: float, is_noise: bool) -> None:
    """They tell of noise; a bound that is found later, below what was sent before them, tells of company."""
    tally = Tally()
    assert not cuts(tally, 200.0, 190.0, 150.0)
    assert cuts(tally, 110.0)
    assert tally.is_noise(5.0)
    tally.found(found)
    assert tally.is_noise(5.0) is is_noise


def test_two_refusals_between_cuts_on_average_tell_of_noise() -> None:
    """After one of the cuts it may be one, by chance; a row of refusals, as of an empty bucket, counts as one."""
    assert cuts(Tally(), 200.0, 190.0, 150.0, 110.0, apart=(4, 4, 5, 1))
    assert not cuts(Tally(), 200.0, 190.0, 150.0, 110.0, apart=(1, 1, 1, 1), row=4)


def evenly(tally: Tally, began: float = 0.0) -> bool:
    """Refuse a third at a pace and at half of it; return whether cuts are known to be of no help."""
    verdict = False
    for number, pace in enumerate((100.0, 50.0), start=1):
        for _ in range(20):
            tally.grant(began + number, 2)
            tally.refuse()
        verdict = tally.cut(began + number, pace, math.inf)
    return verdict


def test_the_same_part_at_half_the_pace_is_noise() -> None:
    """For as long as it is refused; it ends five minutes after the last refusal."""
    tally = Tally()
    assert evenly(tally)
    assert tally.is_doubtful
    for minute in range(1, 20):
        tally.grant(minute * 60.0, 2)
        tally.refuse()
        assert tally.is_noise(minute * 60.0)
    assert not tally.is_noise(2_000.0)


def test_less_than_before_is_noise_no_longer() -> None:
    """After five minutes, if next to nothing is refused any more."""
    tally = Tally()
    assert evenly(tally)
    tally.grant(299.0, 200)
    tally.refuse()
    assert tally.is_noise(299.0)
    assert not tally.is_noise(303.0)


def test_more_than_before_refutes_it_for_five_minutes() -> None:
    """More that is refused, as it is once more is sent, means company; it may seem even again for all that time."""
    tally = Tally()
    assert evenly(tally)
    for _ in range(20):
        tally.refuse()
    assert not tally.is_noise(5.0)
    tally.grant(6.0, 100)
    assert not tally.is_noise(6.0)
    assert not evenly(tally, 200.0)
    assert evenly(tally, 310.0)
