"""What a tally makes of refusals: cuts that do not help tell of noise, until less is granted than before them."""

import pytest

from thredfi_async._engine.tally import Tally


def cuts(tally: Tally, *paces: float) -> bool:
    """Refuse one request in twenty-one at each of these paces, a second apart; return the last verdict."""
    is_of_no_help = False
    for number, pace in enumerate(paces, start=1):
        for _ in range(4):
            tally.grant(float(number), 20)
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
