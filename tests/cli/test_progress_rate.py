"""How far work has come, its rate, and the time that is left."""

import pytest

from thredfi_async.cli.progress.rate import Progress, Rate


def rate(*seen: tuple[float, int]) -> Rate:
    """A rate that has seen so much done at such a time."""
    made = Rate(window=30.0)
    for elapsed, done in seen:
        made.see(elapsed, done)
    return made


def at(elapsed: float, done: int, total: int | None = None, *, ends: bool = False) -> Progress:
    """A moment of some work."""
    return Progress(title="Working", elapsed=elapsed, done=done, total=total, ends=ends)


@pytest.mark.parametrize(
    ("seen", "value"),
    [
        ([], None),
        ([(0.0, 0)], None),
        ([(0.0, 0), (0.0, 5)], None),
        ([(0.0, 0), (2.0, 100)], 50.0),
        ([(0.0, 7), (2.0, 7)], None),
        ([(0.0, 7), (5.0, 7)], 0.0),
        ([(0.0, 4000), (10.0, 4100)], 10.0),
        ([(0.0, 0), (60.0, 6000), (90.0, 6030)], 1.0),
        ([(0.0, 0), (100.0, 500)], 5.0),
    ],
)
def test_the_rate_is_that_of_late(seen: list[tuple[float, int]], value: float | None) -> None:
    """Half a minute counts: neither how the work began, nor what was done before; a beginning is no rate of 0."""
    assert rate(*seen).value == value


def test_the_time_left() -> None:
    """What is left at this rate; unknown without a total, while nothing moves, and when nothing new is begun."""
    made = rate((0.0, 0), (10.0, 100))
    assert made.left(at(10.0, 100, 400)) == 30.0
    assert made.left(at(10.0, 400, 390)) == 0.0
    assert made.left(at(10.0, 100)) is None
    assert made.left(at(10.0, 100, 400, ends=True)) is None
    assert rate((0.0, 5), (9.0, 5)).left(at(9.0, 5, 10)) is None
    assert made.as_json(at(10.0, 100, 400)) == {"rate": 10.0, "seconds_left": 30.0}
    assert Rate().as_json(at(0.0, 0)) == {"rate": None, "seconds_left": None}


def test_the_words() -> None:
    """A rate is shown once there is one, with two figures; work that ends says so in the place of the time left."""
    assert Rate().as_text(at(0.0, 0, 10)) == ""
    assert rate((0.0, 0), (10.0, 100)).as_text(at(10.0, 100, 400)) == "10/s, 30 s left"
    assert rate((0.0, 0), (10.0, 100)).as_text(at(10.0, 100, 100)) == "10/s"
    assert rate((0.0, 0), (10.0, 4)).as_text(at(10.0, 4)) == "0.4/s"
    assert rate((0.0, 4), (10.0, 4)).as_text(at(10.0, 4)) == "0/s"
    ending = Progress(title="Working", elapsed=10.0, done=100, total=400, notes=("3 in flight",), ends=True)
    assert rate((0.0, 0), (10.0, 100)).as_text(ending) == "10/s, nothing new is started, 3 in flight"


@pytest.mark.parametrize(
    ("done", "total", "position", "percent"),
    [
        (1000, 4000, "1,000 of 4,000", "25%"),
        (7, None, "7", ""),
        (0, 0, "0 of 0", ""),
        (99_999, 100_000, "99,999 of 100,000", "99%"),
        (4, 4, "4 of 4", "100%"),
    ],
)
def test_the_position(done: int, total: int | None, position: str, percent: str) -> None:
    """The share is rounded down: 100% means all."""
    found = at(1.0, done, total)
    assert (found.position, found.percent) == (position, percent)


def test_no_time_is_left_without_a_basis() -> None:
    """Work begins slower than it goes on: for ten seconds, nothing is said of how long the rest takes."""
    rate = Rate()
    for second in range(11):
        rate.see(float(second), second * 10)
        left = rate.left(Progress(title="", elapsed=float(second), done=second * 10, total=1000))
        assert (left is None) == (second < 10)
