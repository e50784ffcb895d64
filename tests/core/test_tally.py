"""What a tally makes of refusals: cuts that do not help tell of noise, until less is granted than before them."""

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
