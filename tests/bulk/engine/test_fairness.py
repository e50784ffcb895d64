"""Whose fault a failure is, in simulated time: an item's, a business's or the API's; each with its figure."""

from collections import Counter

import pytest
from bulk_api import item
from bulk_simulation import Course, Customers, Script, course_of, simulate

from thredfi_async.bulk import BulkStoppedError, ItemState
from thredfi_async.bulk.engine.limits import PARKED

# Coverage would triple their time, and the other runs reach the same lines.
LONG = pytest.mark.long

OK = Customers()
POISON = Customers(kind="500")
FOREVER = 1e9
SOUND = ("ok", 0.0)
BROKEN = ("broken", FOREVER)


def states(course: Course, business: int | None = None) -> Counter[str]:
    """Count the outcomes, of one business or of all."""
    known = course.api.known
    return Counter(
        result.state.value
        for result in course.results
        if business is None or known[result.item.customer_id][0] == business
    )


@pytest.mark.parametrize("concurrency", [1, 2, 7, 100])
def test_a_forbidden_business_ends(concurrency: int) -> None:
    """21 customers of a business that answers 403, at any concurrency: the last one is skipped, and the run ends."""
    script = Script(customers=((0, OK),) * 21, businesses=(("forbidden", FOREVER),), concurrency=concurrency)
    course = simulate(course_of(script))
    assert len(course.results) == 21
    assert 20 <= course.api.sent.total() <= min(21, 19 + concurrency)


@pytest.mark.parametrize("concurrency", [1, 5, 30])
def test_a_mix_of_refusals_and_outage_ends(concurrency: int) -> None:
    """19 403s, a dozen 503s, then 403s: whatever stops it, every item that was read has its outcome."""
    forbidden, down = Customers(kind="forbidden"), Customers(kind="503")
    order = [*[forbidden] * 19, *[down] * 12, *[forbidden] * 20]
    script = Script(customers=tuple((0, each) for each in order), businesses=(SOUND,), concurrency=concurrency)
    course = simulate(course_of(script))
    assert len({result.index for result in course.results}) == len(course.results)
    assert course.error is not None or len(course.results) == 51


def test_as_many_calls_are_in_flight_as_may_be() -> None:
    """Thirty calls of five seconds, ten at a time, take fifteen seconds: no worker sleeps while there is work."""
    order = ((0, Customers(seconds=5.0)),) * 30
    course = simulate(course_of(Script(customers=order, businesses=(SOUND,), concurrency=10, pause=0.01)))
    assert (course.api.most, round(course.seconds)) == (10, 15)


@LONG
def test_few_customers_who_always_fail_stop_no_run() -> None:
    """20,000 customers of whom 2 % always answer 500: all others are archived, and none of the 400 looks like many."""
    order = tuple((number % 7, POISON if number % 50 == 3 else OK) for number in range(20_000))
    course = simulate(course_of(Script(customers=order, businesses=(SOUND,) * 7, concurrency=100)))
    assert course.error is None
    assert states(course) == {"archived": 19_600, "unknown": 400}


@LONG
def test_one_business_with_few_customers_who_always_fail() -> None:
    """The same of a single business, where no other one can bear witness."""
    order = tuple((0, POISON if number % 50 == 3 else OK) for number in range(5_000))
    course = simulate(course_of(Script(customers=order, businesses=(SOUND,), concurrency=100)))
    assert (course.error, states(course)) == (None, {"archived": 4_900, "unknown": 100})


@pytest.mark.parametrize("count", [1, 2, 9])
def test_the_last_customers_always_fail(count: int) -> None:
    """The API has served the others, and does so when it is asked: those are unknown within half a minute."""
    order = (*((0, OK),) * 49, *((0, POISON),) * count)
    course = simulate(course_of(Script(customers=order, businesses=(SOUND,), concurrency=10)))
    assert (course.error, states(course)) == (None, {"archived": 49, "unknown": count})
    assert course.seconds < 30.0


@pytest.mark.parametrize("count", [1, 2, 9])
def test_the_last_customers_are_of_a_dead_business(count: int) -> None:
    """It answers no question either, and another business's record bears witness that the API is there."""
    order = (*((0, OK),) * 49, *((1, OK),) * count)
    course = simulate(course_of(Script(customers=order, businesses=(SOUND, ("dead", FOREVER)), concurrency=10)))
    assert (course.error, states(course)) == (None, {"archived": 49, "unknown": count})
    assert course.seconds < 60.0


@pytest.mark.parametrize("count", [2, 3])
def test_few_customers_in_a_long_outage(count: int) -> None:
    """However often they are probed with, none is given up while the API serves no one."""
    script = Script(customers=((0, OK),) * count, businesses=(SOUND,), outage=(0.0, 400.0))
    course = simulate(course_of(script))
    assert states(course) == {"archived": count}


def test_a_customer_alone() -> None:
    """Without a witness it ends after its own tries, with what was seen."""
    course = simulate(course_of(Script(customers=((0, OK),), businesses=(SOUND,), outage=(0.0, FOREVER))))
    assert [(result.state, result.code) for result in course.results] == [(ItemState.FAILED, "connect_error")]
    assert course.api.calls.total() == 5


@pytest.mark.parametrize("count", [2, 3, 15, 500])
@pytest.mark.parametrize("timeout", [1.0, 20.0, 600.0])
def test_the_outage_timeout_is_exact(count: int, timeout: float) -> None:
    """Several customers call the API down, and the run gives up after so long, not after another wait."""
    script = Script(customers=((0, OK),) * count, businesses=(SOUND,), outage=(0.0, FOREVER), outage_timeout=timeout)
    course = simulate(course_of(script))
    assert isinstance(course.error, BulkStoppedError)
    assert course.error.cause == "api_unavailable"
    assert timeout <= course.seconds < timeout + 1.5
    assert set(states(course)) == {"failed"}


def test_an_api_that_hangs_is_given_up_in_time() -> None:
    """A probe that is never answered is cut off at the outage timeout, and is unknown."""
    script = Script(
        customers=((0, Customers(kind="never")),) * 40, businesses=(SOUND,), concurrency=5, outage_timeout=30.0
    )
    course = simulate(course_of(script))
    assert isinstance(course.error, BulkStoppedError)
    # The first failure is known after the client's own deadline of a minute.
    assert course.seconds < 60.0 + 60.0 + 1.0
    assert set(states(course)) <= {"unknown", "failed"}  # failed: cut off before anything was sent


@pytest.mark.parametrize("concurrency", [20, 100])
def test_an_outage_burns_no_item(concurrency: int) -> None:
    """A minute in which nothing is served: every item of two businesses is archived afterwards."""
    order = tuple((number % 2, OK) for number in range(3_000))
    course = simulate(
        course_of(Script(customers=order, businesses=(SOUND,) * 2, outage=(0.1, 60.0), concurrency=concurrency))
    )
    assert states(course) == {"archived": 3_000}
    assert course.seconds < 60.0 + 31.0 + 10.0


@LONG
@pytest.mark.parametrize("reads", [True, False])
@pytest.mark.parametrize("count", [2_500, 20_000])
def test_a_broken_business_first_in_the_file(count: int, reads: bool) -> None:
    """Whatever stands before it, a sound business is served soon, and the broken one can be resumed."""
    order = (*((0, OK),) * count, *((1, OK),) * 50)
    script = Script(customers=order, businesses=(BROKEN, SOUND), reads=reads, concurrency=100)
    course = simulate(course_of(script))
    assert course.error is None
    assert states(course, 1) == {"archived": 50}
    assert set(states(course, 0)) <= {"failed", "unknown"}
    assert course.api.sent.total() < 400
    assert course.seconds < (60.0 if count == 2_500 else 300.0)


def test_a_broken_business_in_the_middle() -> None:
    """What is set aside of it fills no window: those behind it are served at once, and most of it is not even sent."""
    order = (*((1, OK),) * 50, *((0, OK),) * 5_000, *((1, OK),) * 50)
    course = simulate(course_of(Script(customers=order, businesses=(BROKEN, SOUND), concurrency=10)))
    assert (course.error, states(course, 1)) == (None, {"archived": 100})
    assert course.api.sent.total() < 200
    assert course.seconds < 60.0


def test_a_failure_of_long_ago_shortens_no_outage() -> None:
    """The outage timeout begins with the outage, and not with what failed before and was served since."""
    order = (*((0, Customers(kind="503", times=1)),) * 2, *((0, OK),) * 400)
    script = Script(
        customers=order, businesses=(SOUND,), outage=(90.0, 110.0), outage_timeout=60.0, pause=0.3, concurrency=5
    )
    assert states(simulate(course_of(script))) == {"archived": 402}


def test_a_business_that_comes_back() -> None:
    """It is set aside while it fails, others go on, and a probe brings it back: none of its customers is lost."""
    order = tuple((number % 2, OK) for number in range(600))
    script = Script(customers=order, businesses=(("broken", 20.0), SOUND), concurrency=10, pause=0.2)
    course = simulate(course_of(script))
    assert (course.error, states(course, 1)) == (None, {"archived": 300})
    assert states(course, 0)["archived"] > 250


@LONG
def test_many_businesses_of_which_some_are_broken_or_forbidden() -> None:
    """10 broken, 10 forbidden of 200, and one customer in twenty always fails: every sound one is archived."""
    kinds = {**dict.fromkeys(range(10), BROKEN), **dict.fromkeys(range(10, 20), ("forbidden", FOREVER))}
    businesses = tuple(kinds.get(number, SOUND) for number in range(200))
    order = tuple((number // 50, POISON if number % 20 == 3 else OK) for number in range(10_000))
    course = simulate(course_of(Script(customers=order, businesses=businesses, concurrency=100)))
    plain = simulate(
        course_of(Script(customers=tuple((b, OK) for b, _ in order), businesses=(SOUND,) * 200, concurrency=100))
    )
    assert course.error is None
    sound = {item(n).customer_id for n, (b, each) in enumerate(order) if b >= 20 and each is OK}
    assert {r.item.customer_id for r in course.results if r.state.is_success} == sound
    # The tries of those who always fail take a quarter of a minute, however many there are.
    assert course.seconds < plain.seconds * 1.2 + 30.0


def blocks(*each: tuple[int, Customers, int]) -> tuple[tuple[int, Customers], ...]:
    """Lay out blocks of like customers, of a business each."""
    return tuple((business, customer) for business, customer, count in each for _ in range(count))


@pytest.mark.parametrize("count", [10, 60])
def test_many_broken_businesses_before_a_sound_one(count: int) -> None:
    """None of their customers is served, and those of the sound business behind them are, within seconds."""
    order = blocks(*((number, OK, 25) for number in range(1, count + 1)), (0, OK, 2_000))
    businesses = (SOUND, *(BROKEN,) * count)
    course = simulate(course_of(Script(customers=order, businesses=businesses, concurrency=100)))
    assert (course.error, states(course, 0)) == (None, {"archived": 2_000})
    assert course.seconds < 40.0


@LONG
def test_many_broken_businesses_between_sound_ones() -> None:
    """Sixty broken businesses have a third of a mixed file: the run ends by itself, with all others archived."""
    order = tuple((number % 60 + 1 if third == 0 else 0, OK) for number in range(1_800) for third in range(3))
    course = simulate(course_of(Script(customers=order, businesses=(SOUND, *(BROKEN,) * 60), concurrency=100)))
    assert (course.error, states(course, 0)) == (None, {"archived": 3_600})
    assert course.seconds < 60.0


def test_slow_doubt_leaves_sound_businesses_their_turn() -> None:
    """Calls of broken businesses take five seconds: every second one is for a sound business all the same."""
    order = blocks(*((number, Customers(seconds=5.0), 20) for number in range(1, 31)), (0, OK, 150))
    course = simulate(course_of(Script(customers=order, businesses=(SOUND, *(BROKEN,) * 30), concurrency=10)))
    sound = [at for customer, at in course.times.items() if course.api.known[customer][0] == 0]
    assert len(sound) == 150
    # Before them would come 600 first calls and as many tries, which take 900 s, ten at a time.
    assert max(sound) < 600.0


@pytest.mark.parametrize("count", [3, 6])
def test_forbidden_businesses_in_a_row_are_no_failure_ratio(count: int) -> None:
    """Their first refusals in a row count as the items' own, no more of them: a sound file goes on behind them."""
    order = blocks(*((number, OK, 20) for number in range(1, count + 1)), (0, OK, 2_000))
    businesses = (SOUND, *(("forbidden", FOREVER),) * count)
    course = simulate(course_of(Script(customers=order, businesses=businesses, concurrency=100)))
    assert (course.error, states(course, 0)) == (None, {"archived": 2_000})


@pytest.mark.parametrize("size", [30, 45])
@pytest.mark.parametrize("at", ["first", "middle", "last"])
def test_a_block_of_customers_who_always_fail(size: int, at: str) -> None:
    """Neighbours who always fail look like a broken business; those behind them are found, and all are archived."""
    before = {"first": 0, "middle": 300, "last": 600}[at]
    order = blocks((0, OK, before), (0, POISON, size), (0, OK, 600 - before))
    course = simulate(course_of(Script(customers=order, businesses=(SOUND,), concurrency=10)))
    assert (course.error, states(course)["archived"]) == (None, 600)
    assert set(states(course)) <= {"archived", "unknown", "failed"}


@pytest.mark.parametrize("kind", ["never", "404"])
def test_slow_failures_are_few_failures(kind: str) -> None:
    """One customer in fifty is answered late, or never: however long that takes, the rest looks healthy."""
    slow = Customers(kind=kind, seconds=20.0)
    order = tuple((number % 7, slow if number % 50 == 3 else OK) for number in range(5_000))
    course = simulate(course_of(Script(customers=order, businesses=(SOUND,) * 7, concurrency=100)))
    assert (course.error, states(course)["archived"]) == (None, 4_900)


@LONG
@pytest.mark.parametrize("seconds", [5.0, 50.0])
def test_a_short_outage_of_a_single_business(seconds: float) -> None:
    """It looks as if the only business were broken, and for a minute that is no reason to give anything up."""
    script = Script(customers=((0, OK),) * 12_000, businesses=(("broken", seconds),), reads=False, concurrency=100)
    course = simulate(course_of(script))
    assert (course.error, states(course)) == (None, {"archived": 12_000})


def test_an_old_failure_begins_no_outage() -> None:
    """What failed alone, and has its outcome, says nothing of the API when another one fails much later."""
    script = Script(
        customers=((0, POISON), (0, Customers(kind="503", times=1)), *((0, OK),) * 5),
        businesses=(SOUND,),
        pause=700.0,
    )
    course = simulate(course_of(script))
    assert (course.error, states(course)) == (None, {"archived": 6, "unknown": 1})


@pytest.mark.parametrize("concurrency", [1, 5])
def test_a_client_that_raises_a_cancellation(concurrency: int) -> None:
    """The run was not cancelled: the call has failed, its worker goes on, and the run ends."""
    order = blocks((0, OK, 3), (0, Customers(kind="cancelled"), concurrency + 2), (0, OK, 20))
    course = simulate(course_of(Script(customers=order, businesses=(SOUND,), concurrency=concurrency)))
    assert (course.error, states(course)) == (None, {"archived": 23, "unknown": concurrency + 2})


@pytest.mark.parametrize("reading", [5.0, 60.0])
def test_a_slow_question_stops_no_call(reading: float) -> None:
    """While a record is asked for as a witness, items that come are sent."""
    order = (*((0, OK),) * 20, (0, POISON), *((0, OK),) * 40)
    script = Script(customers=order, businesses=(SOUND,), concurrency=5, pause=1.0, reading=reading)
    course = simulate(course_of(script))
    assert states(course)["archived"] == 60


def test_a_question_that_is_never_answered() -> None:
    """It is given up with the outage timeout, and so is the run."""
    order = (*((0, OK),) * 20, (0, Customers(kind="429")))
    script = Script(customers=order, businesses=(SOUND,), concurrency=5, reading=float("inf"), outage_timeout=100.0)
    course = simulate(course_of(script))
    assert isinstance(course.error, BulkStoppedError)
    assert course.seconds < 110.0


def test_a_question_holds_up_no_end() -> None:
    """The last item has its outcome: the run is over, though a record is still being asked for."""
    order = (*((0, OK),) * 20, (0, Customers(kind="429", times=1)))
    script = Script(customers=order, businesses=(SOUND,), concurrency=5, reading=50.0)
    course = simulate(course_of(script))
    assert (course.error, states(course)) == (None, {"archived": 21})
    assert course.seconds < 10.0


def test_a_probe_keeps_the_clients_own_timeout() -> None:
    """It is the call that has failed, with what the client says of it, and not the run that has cut it off."""
    never = Customers(kind="never")
    script = Script(customers=((0, never),) * 40, businesses=(SOUND,), concurrency=5, outage_timeout=1_000.0)
    codes = Counter(result.code for result in simulate(course_of(script)).results if result.attempts)
    assert codes["interrupted"] <= 1
    assert codes["timeout_deadline"] > 5


@pytest.mark.parametrize("concurrency", [1, 20])
def test_tries_leave_new_items_their_turn(concurrency: int) -> None:
    """Fifty customers whose failures are slow come again and again: every second call is for a new item."""
    slow = Customers(kind="500", seconds=5.0)
    order = blocks(*((number, slow, 10) for number in range(1, 6)), (0, OK, 50))
    course = simulate(course_of(Script(customers=order, businesses=(SOUND,) * 6, concurrency=concurrency)))
    assert course.error is None
    sound = [at for customer, at in course.times.items() if course.api.known[customer][0] == 0]
    assert len(sound) == 50
    # Those who fail take 150 calls, far more than may begin before the last new item does.
    assert max(sound) < course.seconds * 0.9


def test_probes_of_businesses_end() -> None:
    """Slow probes of many broken businesses, one call at a time: they are given up, and do not go on for ever."""
    order = (*((number % 6 + 1, Customers(seconds=60.0)) for number in range(150)), *((0, OK),) * 100)
    script = Script(customers=order, businesses=(SOUND, *(BROKEN,) * 6), concurrency=1)
    course = simulate(course_of(script))
    assert (course.error, states(course, 0)) == (None, {"archived": 100})


@LONG
def test_doubt_holds_no_more_than_it_may() -> None:
    """A broken business first in a file of 20,000: what is held of it is bounded, and the sound one is found."""
    order = blocks((0, OK, 20_000), (1, OK, 10))
    script = Script(customers=order, businesses=(BROKEN, SOUND), concurrency=10)
    course = simulate(course_of(script))
    assert states(course, 1) == {"archived": 10}
    assert course.held <= 1_024 + PARKED


@LONG
@pytest.mark.parametrize("part", [0.3, 0.5])
def test_half_an_outage(part: float) -> None:
    """For two minutes a part of all calls fails, whosever they are: nearly every item is archived all the same."""
    script = Script(
        customers=tuple((number % 7, Customers(seconds=0.1)) for number in range(20_000)),
        businesses=(SOUND,) * 7,
        outage=(0.0, 120.0),
        part=part,
        concurrency=100,
    )
    course = simulate(course_of(script))
    assert course.error is None
    assert states(course)["archived"] > 19_950


@pytest.mark.parametrize(("outage", "timeout"), [(45.0, 60.0), (20.0, 30.0), (300.0, 320.0)])
def test_an_outage_shorter_than_the_timeout(outage: float, timeout: float) -> None:
    """However long the last wait is, the API is probed once more before the run gives up."""
    script = Script(
        customers=((0, OK),) * 500, businesses=(SOUND,), outage=(0.1, outage), outage_timeout=timeout, pause=0.01
    )
    for _ in range(5):  # waits are random
        course = simulate(course_of(script))
        assert (course.error, states(course)) == (None, {"archived": 500})


def test_a_late_answer_to_a_question() -> None:
    """One that comes when nothing fails any more says nothing of a failure much later."""
    order = tuple((0, Customers(kind="503", times=1) if number in {10, 1_500} else OK) for number in range(1_600))
    script = Script(customers=order, businesses=(SOUND,), pause=0.5, reading=0.9)
    course = simulate(course_of(script))
    assert (course.error, states(course)) == (None, {"archived": 1_600})
