"""Whether refusals come at any pace: the same part at a much slower one tells it, and what a limit refuses does not."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thredfi_async._engine.even_refusals import EvenRefusals, Sent, most_now


def compared(parts: Sequence[tuple[float, float]], seconds: float = 10.0, began: float = 100.0) -> list[Sent | None]:
    """Return what a comparison says of each pace at which that part was refused, each after so many seconds."""
    even, found = EvenRefusals(), list[Sent | None]()
    for number, (pace, part) in enumerate(parts):
        count = max(1, round(pace * seconds))
        refused = round(count * part)
        even.grant(count - refused)
        for _ in range(refused):
            even.refuse()
        found.append(even.compare(began + number * seconds, pace, count, refused, min(refused, count - refused)))
    return found


@given(
    limit=st.floats(0.1, 1000.0),
    paces=st.lists(st.floats(0.1, 5000.0), min_size=1, max_size=12),
    seconds=st.floats(1.0, 100.0),
)
def test_a_limit_refuses_less_at_a_slower_pace(limit: float, paces: list[float], seconds: float) -> None:
    """Whatever the paces, what a limit refuses does not come at any pace."""
    even = EvenRefusals()
    for pace in sorted(paces, reverse=True):
        sent, granted = pace * seconds, min(pace, limit) * seconds
        refused = sent - granted
        even.now = refused / sent
        # In parts of requests: what is rounded is a matter of luck.
        counts: list[int] = [round(each * 1e6) for each in (sent, refused, min(refused, granted))]
        assert even.compare(100.0, pace, *counts) is None


@pytest.mark.parametrize("part", [0.1, 0.2, 0.33, 0.5])
@pytest.mark.parametrize("pace", [0.2, 5.0, 200.0])
def test_the_same_part_at_half_the_pace(part: float, pace: float) -> None:
    """As where one server of several fails."""
    *before, last = compared([(pace, part), (pace * 0.7, part), (pace / 2, part)], seconds=200.0 / pace)
    assert before == [None, None]
    assert last is not None
    assert last.part == pytest.approx(part, abs=0.01)
    assert last.pace == pytest.approx(pace / 2)


@pytest.mark.parametrize(("fast", "slow"), [(0.05, 0.05), (0.02, 0.2), (0.6, 0.6), (0.5, 0.15), (0.0, 0.0)])
def test_other_parts(fast: float, slow: float) -> None:
    """Few are what company refuses; many, or many more than before, are another limit; fewer are a limit."""
    assert compared([(100.0, fast), (50.0, slow)]) == [None, None]


def test_what_clients_in_company_are_refused_at_first() -> None:
    """What comes before they know their shares is not compared, nor what has come to an end since."""
    even = EvenRefusals()
    even.now = 0.3
    assert even.compare(100.0, math.inf, 10, 3, 3) is None
    assert even.compare(101.0, 10.0, 100, 30, 30) is None
    assert even.compare(119.0, 5.0, 100, 30, 30) is None
    even.now = 0.1
    assert even.compare(121.0, 5.0, 100, 30, 30) is None
    even.now = 0.3
    assert even.compare(122.0, 5.0, 100, 30, 30) is None
    assert even.compare(123.0, 2.5, 100, 30, 30) is not None


def test_few_are_enough_at_a_far_slower_pace() -> None:
    """Ten at half the pace, five at a tenth, of twenty requests at least."""
    for slow, count, refused in ((5.0, 40, 9), (1.0, 40, 4), (1.0, 19, 5)):
        even = EvenRefusals()
        even.now = 0.2
        assert even.compare(0.0, 10.0, 100, 20, 20) is None
        assert even.compare(1.0, slow, count, refused, refused) is None
        assert even.compare(2.0, slow, 1, 1, 1) is not None


def test_what_is_not_the_same_is_compared_with_what_is_slower_still() -> None:
    """After a limit fell, the part at its new level is the one that counts."""
    assert compared([(200.0, 0.0), (50.0, 0.2), (20.0, 0.2)])[-1] is not None


@given(part=st.floats(0.1, 0.5), count=st.integers(20, 10_000))
def test_most_now(part: float, count: int) -> None:
    """A larger part refutes it: by at least a twentieth, and by a quarter at most."""
    even = Sent(1.0, count, round(part * count), 10)
    assert 0.05 < most_now(even) - even.part <= 0.25 + 1e-9
