"""Whether refusals go by the call: by what returns, and what is sent for the first time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thredfi_async._engine.refused_again import RefusedAgain


def goes_by_call(first: float, again: float, count: int = 100) -> bool:
    """Return what the last refusal says if two kinds of calls take turns, and these parts are refused, evenly."""
    refusals, last = RefusedAgain(), False
    for number in range(count):
        for is_again, part in ((False, first), (True, again)):
            if int((number + 1) * part) > int(number * part):
                last = refusals.refuses(is_again=is_again)
            else:
                refusals.serves(is_again=is_again)
    return last


@given(part=st.floats(0.0, 1.0), count=st.integers(0, 200))
def test_a_limit_refuses_both_alike(part: float, count: int) -> None:
    """What is refused evenly, however much it is, says nothing of single calls."""
    assert not goes_by_call(part, part, count)


@given(opening=st.integers(0, 200), granted=st.integers(0, 60), refused=st.integers(1, 60), windows=st.integers(1, 5))
def test_a_quota_refuses_both_alike(opening: int, granted: int, refused: int, windows: int) -> None:
    """Whatever is granted in a window, and before any call returned."""
    refusals = RefusedAgain()
    for _ in range(opening):
        refusals.serves(is_again=False)
    for _ in range(windows):
        for number in range(refused):
            assert not refusals.refuses(is_again=number % 2 > 0)
        for number in range(granted):
            refusals.serves(is_again=number % 2 > 0)


@pytest.mark.parametrize("first", [0.0, 0.1, 0.33, 0.5])
def test_what_returns_is_always_refused(first: float) -> None:
    """If nearly all that return are refused, and far fewer of the others, it goes by the call."""
    assert goes_by_call(first, 1.0)
    assert not goes_by_call(first, 0.8)


@pytest.mark.parametrize("is_again", [True, False])
def test_it_is_forgotten(is_again: bool) -> None:
    """When a tenant is served again, or a limit refuses the others, it is a limit again."""
    refusals = RefusedAgain()
    for _ in range(100):
        refusals.serves(is_again=False)
        refusals.refuses(is_again=True)
    assert refusals.refuses(is_again=True)
    for _ in range(20):
        if is_again:
            refusals.serves(is_again=True)
        else:
            refusals.refuses(is_again=False)
    assert not refusals.refuses(is_again=True)
