from uuid import UUID

from bulk_api import Api, all_of, down, item, items, lost, refusal, states, until_it_stops
from clocks import FakeClock

from thredfi_async.bulk import BulkStoppedError, StopPolicy, archive_many
from thredfi_async.bulk.patience import IN_A_ROW, Patience

NEVER = StopPolicy(failure_ratio=None)


def patient(clock: FakeClock, seconds: float = 600.0) -> Patience:
    """Patience without chance in its waits."""
    return Patience(seconds, clock.monotonic, lambda: 1.0)


def test_failures_in_a_row_pause(clock: FakeClock) -> None:
    """After so many, nothing is sent until the wait is over; then one probe at a time."""
    patience = patient(clock)
    for _ in range(IN_A_ROW):
        assert patience.may_start(5)
        patience.failed(down(), is_probe=False)
    assert (patience.is_paused, patience.may_start(0), patience.wait()) == (True, False, 1.0)
    clock.now += 1.0
    assert patience.may_start(0)
    assert patience.starts()
    assert not patience.may_start(0)


def test_a_success_between_failures(clock: FakeClock) -> None:
    """Failures that are not in a row do not pause a run."""
    patience = patient(clock)
    for _ in range(50):
        patience.failed(down(), is_probe=False)
        patience.succeeded(is_probe=False, full=10)
    assert not patience.is_paused


def test_an_empty_retry_budget_counts_for_more(clock: FakeClock) -> None:
    """Without a budget for retries, few failures pause the run."""
    patience = patient(clock)
    error = down()
    error.is_budget_empty = True
    for _ in range(4):
        patience.failed(error, is_probe=False)
    assert patience.is_paused


def test_waits_grow_and_heed_the_server(clock: FakeClock) -> None:
    """Each probe that fails doubles the wait, and no wait is shorter than the server asks for."""
    patience = patient(clock)
    for _ in range(IN_A_ROW):
        patience.failed(down(), is_probe=False)
    waits: list[float | None] = []
    for error in [down(), down(), refusal(503, retry_after=50.0), down(), down(), down()]:
        waits.append(patience.wait())
        clock.now += patience.wait() or 0.0
        assert patience.starts()
        patience.failed(error, is_probe=True)
    assert waits == [1.0, 2.0, 4.0, 50.0, 16.0, 30.0]


def test_room_grows_with_each_success(clock: FakeClock) -> None:
    """An API that has just recovered is not overloaded."""
    patience = patient(clock)
    for _ in range(IN_A_ROW):
        patience.failed(down(), is_probe=False)
    clock.now += 1.0
    patience.starts()
    rooms: list[int] = []
    for probe in (True, False, False, False):
        patience.succeeded(is_probe=probe, full=5)
        rooms.append(patience.room(5))
    assert rooms == [2, 3, 4, 5]
    assert patience.may_start(100)


async def test_an_outage_of_a_minute_burns_nobody(clock: FakeClock) -> None:
    """Every item has its outcome afterwards, and few requests were made meanwhile."""
    begins, ends = clock.now, clock.now + 60.0
    api = Api(lambda _, __: down() if begins <= clock.now < ends else None)
    run = archive_many(api, items(500), concurrency=20, stop=NEVER, clock=clock)
    results = await all_of(run)
    assert states(results) == ["archived"] * 500
    assert sum(api.calls.values()) - 500 < 40
    assert clock.now < ends + 31.0


async def test_an_outage_after_lost_answers(clock: FakeClock) -> None:
    """Whatever was unknown is asked about before it is sent again, under the key that it had."""
    ends = clock.now + 60.0
    api = Api(
        answer=lambda _, __: lost() if clock.now < ends else None,
        asked=lambda _, __: lost() if clock.now < ends else None,
    )
    results = await all_of(archive_many(api, items(50), concurrency=10, stop=NEVER, clock=clock))
    assert states(results) == ["archived"] * 50
    tried_again = {customer for customer, count in api.calls.items() if count > 1}
    assert tried_again
    assert tried_again <= api.questions.keys()


async def test_patience_ends(clock: FakeClock) -> None:
    """A run gives up after so long, says that it can be resumed, and what was sent has its result."""
    api = Api(lambda _, __: down())
    run = archive_many(api, items(500), concurrency=5, stop=StopPolicy(outage_timeout=100.0), clock=clock)
    results, why = await until_it_stops(run, BulkStoppedError)
    assert "unavailable for 100 s" in why.reason
    assert (why.cause, why.resumable) == ("api_unavailable", True)
    assert {result.item.customer_id for result in results} == api.calls.keys()
    assert set(states(results)) == {"failed"}


async def test_an_item_that_always_fails(clock: FakeClock) -> None:
    """While the API serves the others, an item that it always fails on is given up after a few calls."""
    poison = item(3).customer_id

    def answer(_: int, customer: UUID) -> Exception | None:
        return refusal(500) if customer == poison else None

    api = Api(answer)
    results = await all_of(archive_many(api, items(30), concurrency=2, stop=NEVER, clock=clock))
    assert states(results).count("archived") == 29
    assert (results[3].state, results[3].code) == ("unknown", "http_500")
    assert api.calls[poison] == 5


async def test_an_item_found_archived_after_a_lost_answer(clock: FakeClock) -> None:
    """A GET shows that the request arrived: nothing is sent again, and the run counts it as archived."""
    api = Api()

    def answer(number: int, customer: UUID) -> Exception | None:
        api.archived.add(customer)
        return lost()

    api.answer = answer
    results = await all_of(archive_many(api, items(3), stop=NEVER, clock=clock))
    assert states(results) == ["archived"] * 3
    assert set(api.calls.values()) == {1}
