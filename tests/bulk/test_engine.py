import asyncio
import gc
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from bulk_api import Api, all_of, item, items, lost, refusal, states, until_it_stops
from clocks import FakeClock
from helpers import client_of, leaving_nothing, until

from thredfi_async import (
    ConfigurationError,
    Effect,
    InvalidRequestError,
    ResponseDecodeError,
    RetryPolicy,
    ThredfiError,
)
from thredfi_async.bulk import ArchiveItem, ItemState, Journal, JournalError, StopPolicy, archive_many
from thredfi_async.bulk.settling import settle
from thredfi_async.mock_server import Fault, FaultKind, Faults, MockServer

QUICK = RetryPolicy(backoff_initial=0.005, backoff_max=0.01)
NEVER = StopPolicy(failure_ratio=None)


async def asynchronous(count: int) -> AsyncGenerator[ArchiveItem]:
    """Items that come one at a time."""
    for number in range(count):
        await asyncio.sleep(0)
        yield item(number)


def generated(count: int) -> Iterator[ArchiveItem]:
    """Items from a generator."""
    yield from items(count)


@pytest.mark.parametrize("make", [items, generated, asynchronous])
async def test_every_item_gets_its_result(make: Callable[[int], Any]) -> None:
    """For any iterable, each item is sent once, and has one result, with its place in the input."""
    api = Api()
    async with leaving_nothing():
        results = await all_of(archive_many(api, make(1200), concurrency=7))
    assert [result.index for result in results] == list(range(1200))
    assert {(result.state, result.attempts) for result in results} == {(ItemState.ARCHIVED, 1)}
    assert set(api.calls.values()) == {1}
    assert api.most == 7 or make is asynchronous


@pytest.mark.parametrize("make", [items, generated, asynchronous])
async def test_nothing_to_do(make: Callable[[int], Any]) -> None:
    """An empty input ends at once."""
    async with leaving_nothing():
        assert await all_of(archive_many(Api(), make(0))) == []


async def test_duplicates_are_sent_once() -> None:
    """An item that comes again has no result of its own, and is counted."""
    api, wanted = Api(), [*items(3), item(1), item(1, business=1), item(0)]
    run = archive_many(api, wanted)
    assert [result.index for result in await all_of(run)] == [0, 1, 2, 4]
    assert (run.snapshot().duplicates, run.snapshot().done) == (2, 4)


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (refusal(400, "validation_error"), "rejected"),
        (refusal(404, "not_found"), "rejected"),
        (refusal(404), "failed"),
        (refusal(501), "unknown"),
        (InvalidRequestError(["email: is missing"]), "rejected"),
        (ResponseDecodeError("a field is wrong"), "archived"),
    ],
)
async def test_how_a_call_ends(error: ThredfiError, state: str) -> None:
    """Each error is that item's own, and its effect decides the state."""
    error.effect = Effect.APPLIED if isinstance(error, ResponseDecodeError) else error.effect
    api = Api(lambda _, customer: error if customer == item(1).customer_id else None)
    results = await all_of(archive_many(api, items(3), stop=NEVER))
    assert states(results) == ["archived", state, "archived"]
    assert (results[1].error, results[1].customer) == (error, None)


async def test_archived_before() -> None:
    """What was archived before is told apart."""
    api = Api(archived={item(0).customer_id})
    assert states(await all_of(archive_many(api, items(2)))) == ["already_archived", "archived"]


async def test_a_refusal_after_a_lost_answer(clock: FakeClock) -> None:
    """It does not make the item certain: the lost request may still arrive."""
    api = Api(lambda number, _: refusal(404, "not_found") if number else lost())
    results = await all_of(archive_many(api, items(1), stop=NEVER, clock=clock))
    assert [(result.state, result.code, result.attempts) for result in results] == [("unknown", "not_found", 3)]
    assert len(next(iter(api.keys.values()))) == 1


async def test_businesses_take_turns() -> None:
    """Within what is read ahead, a business with few items does not wait for one with many."""
    api = Api()
    await all_of(archive_many(api, [*(item(number) for number in range(200)), item(1000, 1)], concurrency=1))
    businesses = [business for business, _ in api.order]
    assert businesses.index(item(0, 1).business_id) < 100


async def test_a_consumer_that_takes_nothing() -> None:
    """The run holds a window of the items, however many there are, until results are taken."""
    read = 0

    def endless() -> Generator[ArchiveItem]:
        nonlocal read
        while True:
            read += 1
            yield item(read)

    async with archive_many(Api(), endless(), concurrency=10) as run:
        await anext(run)
        await until(lambda: run.snapshot().in_flight == 0 and run.snapshot().waiting == 0)
        assert read <= 1024 + 512 + 1
        for _ in range(2000):
            await anext(run)
        assert read > 2000


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="others let go of objects later")
async def test_a_break_leaves_nothing() -> None:
    """Code that leaves the loop and keeps no reference to the run has ended it."""
    api = Api()
    async with leaving_nothing():
        async for _ in archive_many(api, asynchronous(10_000), concurrency=5):
            break
        await until(lambda: not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()])
    assert api.under_way == 0
    assert not [thread for thread in threading.enumerate() if "thredfi-bulk" in thread.name]


async def test_aclose_cuts_off() -> None:
    """It ends what is in flight, and nothing comes afterwards; a second call does nothing."""
    api = Api(hold=asyncio.Event())
    async with leaving_nothing():
        run = archive_many(api, items(50), concurrency=5)
        first = asyncio.ensure_future(anext(run, None))
        await until(lambda: api.under_way == 5)
        await run.aclose()
        await run.aclose()
        assert await first is None
        assert [result async for result in run] == []
    assert api.under_way == 0


async def test_a_cancelled_consumer() -> None:
    """Cancelling the task that iterates ends the run before the cancellation goes on."""
    api = Api(hold=asyncio.Event())
    async with leaving_nothing():
        run = archive_many(api, generated(50), concurrency=5)
        task = asyncio.create_task(all_of(run))
        await until(lambda: api.under_way == 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert api.under_way == 0


async def test_draining() -> None:
    """No new items are taken, those in flight end, and the iteration with them."""
    api = Api(hold=asyncio.Event())
    run = archive_many(api, items(500), concurrency=5)
    task = asyncio.create_task(all_of(run))
    await until(lambda: api.under_way == 5)
    run.drain()
    run.drain()
    assert api.hold is not None
    api.hold.set()
    assert states(await task) == ["archived"] * 5
    assert len(api.calls) == 5


async def test_draining_before_the_beginning() -> None:
    """A run that is drained before it begins sends nothing."""
    api = Api()
    run = archive_many(api, items(5))
    run.drain()
    assert await all_of(run) == []
    assert not api.calls


async def test_a_source_that_fails() -> None:
    """What was read before is finished; then the source's own error is raised."""

    def broken() -> Iterator[ArchiveItem]:
        yield from items(10)
        raise OSError("the disk is gone")

    results, error = await until_it_stops(archive_many(Api(), broken()), OSError)
    assert str(error) == "the disk is gone"
    assert len(results) == 10


async def test_something_else_than_items() -> None:
    """It is refused by name."""
    with pytest.raises(InvalidRequestError, match="items: must be an iterable of ArchiveItem, not int"):
        archive_many(Api(), 5)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(InvalidRequestError, match="items: must give ArchiveItem, not str"):
        await all_of(archive_many(Api(), ["a"]))  # type: ignore[list-item]  # wrong on purpose


async def test_an_error_that_is_not_ours() -> None:
    """A caller's own mapping that raises ends the run with what it raised, and leaves nothing running."""
    api = Api(lambda _, customer: ZeroDivisionError() if customer == item(5).customer_id else None)
    async with leaving_nothing():
        with pytest.raises(ZeroDivisionError):
            await all_of(archive_many(api, items(500), concurrency=3))


@pytest.mark.parametrize("wrong", [0, True, 1.5])
def test_a_concurrency_that_is_none(wrong: int) -> None:
    """The error names the setting."""
    with pytest.raises(ConfigurationError, match="concurrency must be a whole number"):
        archive_many(Api(), [], concurrency=wrong)


async def test_a_rate(clock: FakeClock) -> None:
    """Calls begin no faster than the rate lets them: those of a tenth of a second together, and then one by one."""
    began = clock.now
    await all_of(archive_many(Api(), items(120), rate=100.0, clock=clock))
    assert 1.0 < clock.now - began < 1.2
    with pytest.raises(ConfigurationError, match="rate must be a positive number"):
        archive_many(Api(), [], rate=0)


async def test_against_the_mock_server(tmp_path: Path) -> None:
    """A real client, real faults, with bodies and without: every customer is archived."""
    faults = Faults(rates={Fault(FaultKind.RESET_AFTER): 0.1, Fault(FaultKind.SERVER_ERROR, status=502): 0.1})
    async with MockServer(60, 3, faults=faults) as server:
        async with client_of(server.url, token=server.token, max_connections=10, retry=QUICK) as client:
            wanted = [
                ArchiveItem(each.business_id, each.customer_id, each.body if number % 2 else None)
                for number, each in enumerate(server.customers)
            ]
            results = await all_of(archive_many(client, wanted, journal=tmp_path / "run.db", concurrency=10))
        assert len(results) == 60
        assert {result.state.is_success for result in results} == {True}
        assert all(server.is_archived(each.customer_id) for each in server.customers)


async def test_a_journal_belongs_to_one_api(tmp_path: Path) -> None:
    """What a journal says holds at its own API: a run at another one is refused, and sends nothing unless asked to."""
    path = tmp_path / "run.db"
    async with MockServer(4, 1) as first, MockServer(4, 1) as second:
        items_of = [ArchiveItem(each.business_id, each.customer_id) for each in first.customers]
        async with client_of(first.url, token=first.token) as client:
            assert len(await all_of(archive_many(client, items_of[:2], journal=path))) == 2
        async with client_of(second.url, token=second.token) as client:
            with pytest.raises(JournalError) as caught:
                await all_of(archive_many(client, items_of, journal=path))
            with Journal.open(path) as journal, pytest.raises(JournalError, match="is of a run at"):
                await settle(client, journal)
            assert not any(second.is_archived(each.customer_id) for each in second.customers)
            moved = await all_of(archive_many(client, items_of, journal=path, allow_host_change=True))
            assert [second.is_archived(each.customer_id) for each in items_of] == [False, False, True, True]
            assert len(moved) == 2
            # From now on it is a journal of that one.
            assert await all_of(archive_many(client, items_of, journal=path)) == []
    assert str(caught.value) == (
        f"the journal {path} is of a run at {first.url}, and the client's base_url is {second.url}: "
        "use a client for that API, or allow_host_change=True if the API itself has moved"
    )


async def test_a_journal_of_a_queue_keeps_no_api(tmp_path: Path) -> None:
    """Its workers send, each where its own settings say."""
    async with MockServer(1, 1) as server, client_of(server.url, token=server.token) as client:
        with Journal.open(tmp_path / "run.db") as journal:
            journal.describe(queue="thredfi.customers.archive")
            await settle(client, journal)
            assert "base_url" not in journal.run


def test_a_run_that_never_began() -> None:
    """It warns, as a coroutine does that is never awaited; nothing was started, so nothing is left to end."""
    with pytest.warns(RuntimeWarning, match="was never iterated over: nothing was archived"):
        archive_many(Api(), items(1))  # nothing refers to it from here on


@pytest.mark.parametrize("name", ["aclose", "drain"])
async def test_a_run_that_is_ended_before_it_began(name: str) -> None:
    """Who ends it knows of it: there is no warning."""
    run = archive_many(Api(), items(1))
    ended = getattr(run, name)()
    if ended is not None:
        await ended
    del run
    gc.collect()


async def test_a_look_at_a_run_does_not_begin_it() -> None:
    """Before the first iteration nothing is read or sent, and everything that is counted is zero."""
    api, read = Api(), list[int]()

    def source() -> Iterator[ArchiveItem]:
        read.append(1)
        yield item(0)

    run = archive_many(api, source())
    async with leaving_nothing():
        seen = run.snapshot()
        await asyncio.sleep(0.01)
    assert not any(attrs.astuple(seen))
    assert (read, api.calls.total()) == ([], 0)
    assert len(await all_of(run)) == run.snapshot().done == 1
