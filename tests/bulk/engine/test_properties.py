"""Whatever the answers, a run ends, and every item has one true outcome: in simulated time, without a network."""

import os
from uuid import UUID

from bulk_simulation import Course, Customers, Script, course_of, is_true, simulate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("THREDFI_EXAMPLES", "200"))
NAMES = ("ok", "500", "503", "429", "lost", "hang", "never", "404", "page", "forbidden", "cancelled")

times = st.sampled_from([0.0, 0.5, 3.0, 20.0, 200.0])
customers = st.builds(
    Customers,
    kind=st.sampled_from(("ok", "ok", "ok", *NAMES)),
    times=st.sampled_from([None, 1, 2, 6]),
    seconds=st.sampled_from([0.0, 0.01, 0.5, 5.0]),
    late=st.sampled_from([None, 0.0, 10.0, 600.0]),
    before=st.sampled_from([False, False, False, True]),
)
businesses = st.tuples(
    st.sampled_from(["ok", "ok", "ok", "forbidden", "broken", "dead"]), st.sampled_from([5.0, 60.0, 1e9])
)


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    """Any run: blocks of like customers, so that what fails does so in a row, or singly."""
    count = draw(st.integers(1, 6))
    blocks = draw(
        st.lists(
            st.tuples(st.integers(0, count - 1), customers, st.sampled_from([1, 1, 2, 7, 25, 60])),
            min_size=0,
            max_size=8,
        )
    )
    order = [(business, customer) for business, customer, size in blocks for _ in range(size)]
    if draw(st.booleans()):
        order = order[::2] + order[1::2]
    begins = draw(times)
    return Script(
        customers=tuple(order),
        businesses=tuple(draw(st.lists(businesses, min_size=count, max_size=count))),
        outage=draw(st.sampled_from([None, None, (begins, begins + 30.0), (begins, 1e9)])),
        reads=draw(st.booleans()),
        reading=draw(st.sampled_from([None, None, 0.0, 5.0, 60.0])),
        repeats=draw(st.booleans()),
        pause=draw(st.sampled_from([0.0, 0.0, 0.3])),
        takes=draw(st.sampled_from([0.0, 0.0, 1.0])),
        concurrency=draw(st.sampled_from([1, 2, 5, 30])),
        outage_timeout=draw(st.sampled_from([0.0, 1.0, 100.0, 600.0])),
        breaks=draw(st.sampled_from([None, None, None, 0, 3, 30])),
        ends=draw(st.one_of(st.none(), st.tuples(st.sampled_from(["drain", "close", "cancel", "second"]), times))),
    )


@given(scripts())
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_a_run_ends_and_every_item_has_one_true_outcome(script: Script) -> None:
    """Whatever API, source and consumer do: no deadlock, no item twice or not at all, no false outcome."""
    check(simulate(course_of(script)))


def check(course: Course) -> None:
    """Hold a course against its script."""
    script = course.api.script
    given_ = [result.item.customer_id for result in course.results]
    assert len(given_) == len(set(given_))
    for result in course.results:
        assert is_true(course, result), (result.state, result.code)
    assert course.api.most <= script.concurrency
    assert course.held <= max(1024, 4 * script.concurrency)
    if course.is_open or isinstance(course.error, RuntimeError) or course.second:
        return
    # Whatever was sent is accounted for.
    assert {customer for customer, count in course.api.calls.items() if count} <= set(given_)
    if course.error is None and (script.ends is None or script.ends[0] != "drain"):
        assert len(given_) == course.read == len(script.customers)
    if script.breaks is not None and script.breaks < len(script.customers) and script.ends is None:
        assert course.error is not None
    if course.error is None and script.outage is None and script.ends is None:
        archived = {result.item.customer_id for result in course.results if result.state.is_success}
        assert archived >= of_sound_businesses(course)


def of_sound_businesses(course: Course) -> set[UUID]:
    """The customers of businesses that are served, and all of whose customers are: nothing may hold them up."""
    script = course.api.script
    faulty = {number for number, (kind, _) in enumerate(script.businesses) if kind != "ok"}
    faulty |= {business for business, customer in script.customers if customer.kind != "ok"}
    return {customer for customer, (business, _) in course.api.known.items() if business not in faulty}
