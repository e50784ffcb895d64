"""Ways in which a run begins, ends and is told of: sources that break off, two consumers, cut calls, counts."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from bulk_api import Api, all_of, item, items, lost, refusal, states, until_it_stops
from clocks import FakeClock
from faultserver import Answer, FaultServer, Step, bodies, faults
from helpers import BUSINESS, CUSTOMER, HANGS, POST, client_of, until

from thredfi_async import APIError, BadRequestError, ThredfiError
from thredfi_async.bulk import (
    ArchiveItem,
    BulkStoppedError,
    ItemState,
    SourceError,
    StopPolicy,
    archive_many,
    read_journal,
)
from thredfi_async.mock_server import MockServer

NEVER = StopPolicy(failure_ratio=None)


async def cancelled() -> AsyncIterator[ArchiveItem]:
    """Items, and then a cancellation that no one asked for."""
    for each in items(3):
        yield each
    raise asyncio.CancelledError


def leaves(error: BaseException) -> Iterator[ArchiveItem]:
    """Items, and then what ends a program."""
    yield from items(3)
    raise error


class StopsOddly:
    """An iterable that raises what looks like its end."""

    def __aiter__(self) -> AsyncIterator[ArchiveItem]:
        raise StopAsyncIteration


@pytest.mark.parametrize(
    ("source", "count"),
    [
        (lambda: cancelled(), 3),  # noqa: PLW0108 - made in the test's own loop
        (lambda: leaves(SystemExit(1)), 3),
        (lambda: leaves(KeyboardInterrupt()), 3),
        (lambda: leaves(BaseExceptionGroup("both", [SystemExit(), ValueError()])), 3),
        (StopsOddly, 0),
    ],
)
async def test_a_source_that_breaks_off_is_an_error(source: Any, count: int, tmp_path: Path) -> None:
    """In whatever way it breaks off: what was read has its outcome, and the run can be resumed."""
    path = tmp_path / "run.db"
    results, error = await until_it_stops(archive_many(Api(), source(), journal=path), SourceError)
    assert states(results) == ["archived"] * count
    assert "not at its end" in str(error)
    with read_journal(path) as view:
        assert "finished_at" not in view.run
        assert view.run["stopped_reason"] == "SourceError"


async def test_two_tasks_that_iterate_over_one_run() -> None:
    """The second is refused at once, as of a generator, and the first gets every result."""
    api = Api(hold=asyncio.Event())
    run = archive_many(api, items(5))
    first = asyncio.create_task(all_of(run))
    await until(lambda: api.under_way == 5)
    with pytest.raises(RuntimeError, match="another task iterates over this run"):
        await anext(run)
    assert api.hold is not None
    api.hold.set()
    assert states(await first) == ["archived"] * 5


ANY_GET = ("GET", "/")


@pytest.mark.parametrize(
    ("routes", "state"),
    [
        # Without a body, each call gets the record first: nothing was posted.
        ({ANY_GET: [HANGS]}, "failed"),
        ({ANY_GET: [Answer.json(200, bodies.active)], POST: [HANGS]}, "unknown"),
    ],
)
async def test_a_cut_call_keeps_its_own_effect(
    routes: dict[tuple[str, str], list[Step]], state: str, tmp_path: Path
) -> None:
    """A call that is cut off before it posts anything is failed, and not unknown."""
    path, wanted = tmp_path / "run.db", [ArchiveItem(BUSINESS, CUSTOMER)]
    count = len(routes)
    async with FaultServer(routes=routes) as server, client_of(server.url) as client:
        run = archive_many(client, wanted, journal=path)
        first = asyncio.ensure_future(anext(run, None))
        await until(lambda: len(server.requests) == count)
        await run.aclose()
        assert await first is None
    with read_journal(path) as view:
        assert view.by_reason() == {(state, "interrupted"): 1}


async def test_a_call_that_waits_for_the_rate_is_as_it_was(tmp_path: Path) -> None:
    """What waits for its turn has not begun: only what was sent is in flight, and in the journal afterwards."""
    path, api = tmp_path / "run.db", Api(hold=asyncio.Event())
    run = archive_many(api, items(50), journal=path, concurrency=20, rate=0.001)
    first = asyncio.ensure_future(anext(run, None))
    await until(lambda: api.under_way == 1 and run.snapshot().in_flight == 1)
    await run.aclose()
    assert await first is None
    with read_journal(path) as view:
        assert dict(view.totals()) == {"unknown": 1}


@pytest.mark.parametrize("status", [401, 404])
async def test_a_stop_sends_nothing_more(status: int, clock: FakeClock) -> None:
    """However many items wait for the rate: after the call that stops the run, none is sent."""
    api = Api(lambda _, __: refusal(status, "no"))
    run = archive_many(api, items(50), rate=1.0, stop=StopPolicy(max_failures=1), clock=clock)
    await until_it_stops(run, BulkStoppedError)
    assert sum(api.calls.values()) == 1


async def test_a_stop_after_the_source_broke_off() -> None:
    """What stops the run is raised, and the source's error is its context: neither hides the other."""

    async def source() -> AsyncIterator[ArchiveItem]:
        for each in items(30):
            yield each
        raise OSError("the file is gone")

    run = archive_many(Api(lambda _, __: refusal(401, "unauthorized")), source(), concurrency=1)
    _, stopped = await until_it_stops(run, BulkStoppedError)
    assert stopped.cause == "credentials_refused"
    assert isinstance(stopped.__context__, OSError)


@pytest.mark.parametrize("state", [ItemState.ARCHIVED, ItemState.REJECTED])
async def test_a_drain_leaves_the_state_before(state: ItemState, tmp_path: Path) -> None:
    """What was final, is to be sent again, and was not started, is as final as before."""
    path = tmp_path / "run.db"
    first = Api(lambda _, __: refusal(400, "validation_error") if state is ItemState.REJECTED else None)
    await all_of(archive_many(first, items(300), journal=path, stop=NEVER))
    api = Api(hold=asyncio.Event())
    run = archive_many(api, items(300), journal=path, again=[state], concurrency=5)
    task = asyncio.create_task(all_of(run))
    await until(lambda: api.under_way == 5)
    run.drain()
    assert api.hold is not None
    api.hold.set()
    assert len(await task) == 5
    with read_journal(path) as view:
        expected = {"archived": 300} if state is ItemState.ARCHIVED else {"rejected": 295, "archived": 5}
        assert dict(view.totals()) == expected


async def test_an_archived_customer_that_is_sent_again_stays_ours(tmp_path: Path) -> None:
    """What an earlier session archived is not called archived before, when it is sent again."""
    path = tmp_path / "run.db"
    api = Api()
    await all_of(archive_many(api, items(3), journal=path))
    again = await all_of(archive_many(api, items(3), journal=path, again=[ItemState.ARCHIVED]))
    assert states(again) == ["archived"] * 3


@pytest.mark.parametrize("status", [404, 429, 500])
async def test_nothing_takes_an_archiving_back(status: int, tmp_path: Path) -> None:
    """Whatever becomes of an archived customer that is sent again, it has its state before, and the error with it."""
    path = tmp_path / "run.db"
    await all_of(archive_many(Api(), items(3), journal=path))
    api = Api(lambda _, __: refusal(status, "not_found", retry_after=10_000.0))
    again = await all_of(archive_many(api, items(3), journal=path, again=[ItemState.ARCHIVED], stop=NEVER))
    assert states(again) == ["archived"] * 3
    assert {result.error is not None for result in again} == {True}
    with read_journal(path) as view:
        assert dict(view.totals()) == {"archived": 3}


async def test_elapsed_of_an_item_found_archived_later(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts all calls of the item, the one that was lost among them."""
    api, ticks = Api(lambda _, __: lost()), iter(range(1000))
    monkeypatch.setattr("thredfi_async.bulk.engine.calls.time", SimpleNamespace(monotonic=lambda: float(next(ticks))))
    api.archived.add(item(0).customer_id)
    (result,) = await all_of(archive_many(api, items(1), clock=clock))
    assert (result.state, result.elapsed) == (ItemState.ARCHIVED, 2.0)


async def test_requests_are_requests_and_retries_are_retries() -> None:
    """A run without bodies makes two requests for each customer, and no retry."""
    async with MockServer(30) as server, client_of(server.url, token=server.token) as client:
        wanted = [ArchiveItem(each.business_id, each.customer_id) for each in server.customers]
        run = archive_many(client, wanted)
        await all_of(run)
        assert (run.snapshot().requests, run.snapshot().retries) == (60, 0)
        again = archive_many(client, wanted)
        await all_of(again)
        assert (again.snapshot().requests, again.snapshot().retries) == (30, 0)


async def test_retries_are_counted(clock: FakeClock) -> None:
    """A call that is made again is a retry; the question before it is none."""
    api = Api(lambda number, _: None if number else lost())
    run = archive_many(api, [attrs.evolve(each, customer={}) for each in items(1)], clock=clock)
    await all_of(run)
    assert (run.snapshot().requests, run.snapshot().retries) == (3, 1)


async def test_error_pages_that_are_held_are_bounded() -> None:
    """Each job and result that waits keeps 3 KiB of an error page at most: a window of 1,024 is 3 MiB, not 16."""

    def page(_: int, __: object) -> ThredfiError:
        return BadRequestError("400", status=400, body=b"x" * 16_384, message="y" * 16_384, details={"z": "z" * 9999})

    for result in await all_of(archive_many(Api(page), items(20), stop=NEVER)):
        assert isinstance(result.error, APIError)
        assert result.error.message is not None
        assert len(result.error.body) + len(result.error.message) <= 3 * 1024
        assert result.error.details == {}


async def test_an_error_that_is_held_holds_no_frames() -> None:
    """Its traceback would keep the answer, and whatever else the call had in hand."""
    (result,) = await all_of(archive_many(Api(lambda _, __: refusal(400, "validation_error")), items(1), stop=NEVER))
    assert isinstance(result.error, APIError)
    assert (result.error.__traceback__, result.error.__context__) == (None, None)


async def test_a_redirect_everywhere_stops_at_once() -> None:
    """It is not met two hundred times: the base URL is named."""
    routes: dict[tuple[str, str], list[Step]] = {
        ANY_GET: [faults.redirect(302, "http://elsewhere.example.com/")],
        POST: [faults.redirect(302, "http://elsewhere.example.com/")],
    }
    async with FaultServer(routes=routes, repeat_last=True) as server, client_of(server.url) as client:
        run = archive_many(client, items(400), concurrency=4)
        with pytest.raises(ThredfiError, match="check base_url"):
            await all_of(run)
        assert len(server.requests) <= 5
