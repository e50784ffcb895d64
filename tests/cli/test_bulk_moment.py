"""How far a bulk run has come, its pace, and the words for both."""

import pytest

from thredfi_async.cli.bulk.formatting import command, duration, going, outcomes, plural, size
from thredfi_async.cli.bulk.moment import Moment, Pace


def pace(*seen: tuple[float, int]) -> Pace:
    """A pace that has seen so many items at such a time."""
    made = Pace(window=30.0)
    for elapsed, done in seen:
        made.see(Moment(elapsed=elapsed, done=done))
    return made


@pytest.mark.parametrize(
    ("seen", "rate"),
    [
        ([], 0.0),
        ([(0.0, 0)], 0.0),
        ([(0.0, 0), (0.0, 5)], 0.0),
        ([(0.0, 0), (2.0, 100)], 50.0),
        ([(0.0, 4000), (10.0, 4100)], 10.0),
        ([(0.0, 0), (60.0, 6000), (90.0, 6030)], 1.0),
        ([(0.0, 0), (100.0, 500)], 5.0),
    ],
)
def test_the_rate_is_that_of_late(seen: list[tuple[float, int]], rate: float) -> None:
    """Half a minute counts: neither how the run began, nor what earlier runs had done."""
    assert pace(*seen).rate == rate


def test_the_time_left() -> None:
    """What is left at this rate; unknown without a total, or while nothing moves."""
    made = pace((0.0, 0), (10.0, 100))
    assert made.left(Moment(elapsed=10.0, done=100, total=400)) == 30.0
    assert made.left(Moment(elapsed=10.0, done=400, total=390)) == 0.0
    assert made.left(Moment(elapsed=10.0, done=100)) is None
    assert pace((0.0, 5), (9.0, 5)).left(Moment(elapsed=9.0, done=5, total=10)) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (10.0, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (200.0, "3 min 20 s"),
        (3599.6, "1 h 0 min"),
        (7500.0, "2 h 5 min"),
        (3_600_000.0, "1,000 h 0 min"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    """A duration has two figures that count, and never sixty of anything."""
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (1_234_567, "1.2 MB"),
        (5 * 10**13, "50.0 TB"),
    ],
)
def test_sizes(count: int, words: str) -> None:
    """A size is in the unit that suits it."""
    assert size(count) == words


def test_counts() -> None:
    """Numbers are grouped, nouns follow them, and outcomes that no item has are left out."""
    assert (plural(1, "line"), plural(10_000, "line")) == ("1 line", "10,000 lines")
    assert outcomes({}) == "0 archived"
    states = {"unknown": 1, "archived": 1000, "already_archived": 2, "rejected": 0, "failed": 3}
    assert outcomes(states) == "1,000 archived, 2 archived already, 3 failed, 1 unknown"


def test_how_it_goes() -> None:
    """Rate, time left, and what is in flight; a pause and a wait are named."""
    made = pace((0.0, 0), (10.0, 1000))
    moment = Moment(elapsed=10.0, done=1000, total=2000, in_flight=60, concurrency=64, retries=1200)
    assert going(moment, made) == "100/s, 10 s left, 60 in flight of at most 64, 1,200 extra requests"
    assert going(Moment(elapsed=10.0, done=5, cooldown=12.0), made).endswith("the API asked to wait: 12 s")
    paused = going(Moment(elapsed=10.0, done=5, in_flight=9, paused=True, cooldown=12.0), made)
    assert paused.startswith("100/s, PAUSED: the API is unavailable")
    assert paused.endswith("the next in 12 s")


def test_a_command_can_be_pasted() -> None:
    """Names that a shell would read otherwise are quoted."""
    assert command("bulk", "resume", "my run.db") == "thredfi bulk resume 'my run.db'"
