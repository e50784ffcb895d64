from uuid import UUID

from bulk_api import Api, all_of, down, item, items, lost, refusal, states, until_it_stops
from clocks import FakeClock

from thredfi_async.bulk import BulkStoppedError, StopPolicy, archive_many

NEVER = StopPolicy(failure_ratio=None)


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
    assert api.calls[poison] == 3


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
