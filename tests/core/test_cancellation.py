"""Cancelled at any point, a call releases everything, sends nothing more, and reports what it may have done."""

import asyncio
from typing import Any

import pytest
from faultserver import FaultServer, Healthy, Step, faults
from helpers import (
    BUSINESS,
    CUSTOMER,
    GET,
    HANGS,
    POST,
    STUCK,
    Recorder,
    body,
    client_of,
    connections_in_use,
    leaving_nothing,
    notes,
    slots_in_use,
    stuck,
    until,
)

from thredfi_async import Customer, Effect, RetryPolicy, ThredfiClient


async def archive(client: ThredfiClient, **options: Any) -> Customer:
    """Archive the customer."""
    return await client.customers.archive(BUSINESS, CUSTOMER, body(), **options)


IDLE = {"sleeping", "sleeping after a 429", "waiting to settle"}
"""Places where a waiting call's connection is complete and idle, for others to use."""


def held_by_the_test(state: str) -> int:
    """Return the slots that the test itself takes, to keep the call in the queue."""
    return state in {"queued", "queued again"}


@pytest.mark.parametrize(("state", "effect", "attempts"), STUCK)
async def test_cancelled_at_every_await(state: str, effect: Effect, attempts: int) -> None:
    """Slot and connection are released, nothing more is sent, and note and event have effect and key."""
    async with leaving_nothing(), stuck(state) as case:
        requests = len(case.server.requests)
        case.call.cancel("by the caller")
        with pytest.raises(asyncio.CancelledError) as caught:
            await case.call
        assert case.call.cancelled()
        key = None if state == "queued" else "key"
        assert notes(caught.value) == (
            f"thredfi-async: customers.archive was cancelled with effect {effect.name}, "
            f"attempts {attempts}, idempotency key {key}"
        )
        end = case.hook.ended
        assert (end.outcome, end.effect, end.attempts, end.error, end.idempotency_key) == (
            "cancelled",
            effect,
            attempts,
            None,
            key,
        )
        assert slots_in_use(case.client) == held_by_the_test(state)
        assert connections_in_use(case.client) == 0
        if state not in IDLE:
            await case.server.until(lambda: case.server.open_connections == 0)
        assert len(case.server.requests) == requests


@pytest.mark.parametrize("state", [state for state, *_ in STUCK if state not in {"connecting", "fetching a token"}])
async def test_the_client_is_as_good_as_new(state: str) -> None:
    """After a cancellation, the next call with the same single slot works."""
    async with stuck(state, Healthy()) as case:
        case.call.cancel()
        await asyncio.wait([case.call])
        if held_by_the_test(state):
            case.client._limiter.release()
        assert (await archive(case.client)).is_archived
        assert case.server.remaining == 0
        assert slots_in_use(case.client) == 0


async def test_the_same_error_goes_on() -> None:
    """The same error object propagates."""
    seen: list[BaseException] = []

    async with FaultServer([HANGS]) as server, client_of(server.url) as client:

        async def inner() -> None:
            try:
                await archive(client)
            except asyncio.CancelledError as error:
                seen.append(error)
                raise

        task = asyncio.create_task(inner())
        await server.until(lambda: server.applied == 1)
        task.cancel("why")
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
    (error,) = seen
    assert error.args == ("why",)
    assert "was cancelled with effect UNKNOWN" in notes(error)
    assert caught.value.args in {("why",), ()}


async def test_a_cancelled_call_among_others() -> None:
    """The slot of a cancelled call goes to the longest waiter; other calls are not affected."""
    gate = asyncio.Event()
    script: list[Step] = [HANGS, faults.good().held(gate)]
    async with FaultServer(script, repeat_last=True) as server, client_of(server.url, max_connections=1) as client:
        tasks = [asyncio.create_task(archive(client)) for _ in range(5)]
        await server.until(lambda: server.applied == 1)
        tasks[2].cancel()
        tasks[0].cancel()
        gate.set()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        kinds = [isinstance(each, Customer) for each in ended]
        assert kinds == [False, True, False, True, True]
        assert (slots_in_use(client), connections_in_use(client)) == (0, 0)


async def test_cancelled_in_the_moment_of_its_turn() -> None:
    """A slot that comes together with the cancellation is passed on."""
    async with FaultServer([Healthy()]) as server, client_of(server.url, max_connections=1) as client:
        assert client._limiter.acquire_nowait()
        first, second = (asyncio.create_task(archive(client)) for _ in range(2))
        await until(lambda: client._limiter.waiting == 2)
        client._limiter.release()
        first.cancel()
        await asyncio.wait([first])
        assert first.cancelled()
        assert (await second).is_archived
        assert slots_in_use(client) == 0


async def test_one_waiter_for_a_token_is_cancelled() -> None:
    """The token fetch goes on for the callers that are not cancelled."""
    gate, fetches = asyncio.Event(), 0

    async def provider() -> str:
        nonlocal fetches
        fetches += 1
        await gate.wait()
        return "token"

    async with (
        FaultServer([Healthy()], repeat_last=True) as server,
        client_of(server.url, token_provider=provider) as client,
    ):
        tasks = [asyncio.create_task(archive(client)) for _ in range(3)]
        await until(lambda: fetches == 1)
        await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.wait([tasks[0]])
        gate.set()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(each, Customer) for each in ended] == [False, True, True]
    assert fetches == 1


async def test_a_timeout_of_the_callers_own() -> None:
    """`asyncio.timeout` around a call raises a TimeoutError whose cause has the note."""
    async with FaultServer([HANGS]) as server, client_of(server.url) as client:

        async def work() -> None:
            async with asyncio.timeout(None) as scope:

                async def ring() -> None:
                    await server.until(lambda: server.applied == 1)
                    scope.reschedule(asyncio.get_running_loop().time())

                ringing = asyncio.create_task(ring())
                try:
                    await archive(client)
                finally:
                    await ringing

        with pytest.raises(TimeoutError) as caught:
            await work()
        assert type(caught.value) is TimeoutError
        assert isinstance(caught.value.__cause__, asyncio.CancelledError)
        assert "was cancelled with effect UNKNOWN" in notes(caught.value.__cause__)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        assert slots_in_use(client) == 0


async def test_wait_for() -> None:
    """`asyncio.wait_for` behaves like `asyncio.timeout`."""
    async with FaultServer([HANGS]) as server, client_of(server.url) as client:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(archive(client), 0.05)
        assert (slots_in_use(client), connections_in_use(client)) == (0, 0)


async def test_a_task_group() -> None:
    """If one child of a task group fails, the others are cancelled, and the group raises only that failure."""
    hook = Recorder()
    async with FaultServer([HANGS, faults.problem(404)]) as server, client_of(server.url, hooks=[hook]) as client:

        async def fail() -> None:
            await server.until(lambda: server.applied == 1)
            await archive(client)

        async def both() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(archive(client))
                group.create_task(fail())

        with pytest.raises(ExceptionGroup) as caught:
            await both()
        assert [type(error).__name__ for error in caught.value.exceptions] == ["NotFoundError"]
        assert (slots_in_use(client), connections_in_use(client)) == (0, 0)
    outcomes = [(event.outcome, event.effect) for event in hook.ends]
    assert sorted(outcomes) == [("cancelled", Effect.UNKNOWN), ("failed", Effect.NOT_APPLIED)]


async def test_cancelled_while_the_deadline_passes() -> None:
    """A cancellation is neither taken for a deadline nor swallowed by one."""
    async with FaultServer([HANGS], repeat_last=True) as server, client_of(server.url) as client:
        task = asyncio.create_task(archive(client, settle=False))
        await server.until(lambda: server.applied == 1)
        (call,) = client._lifecycle._running
        call.interrupt()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert slots_in_use(client) == 0


async def outcome(task: "asyncio.Task[Customer]") -> Customer | BaseException:
    """Return what a task ended in; `gather` would make a new CancelledError."""
    try:
        return await task
    except asyncio.CancelledError as error:
        return error


def gentle(n: int) -> list[Step]:
    """Return a script: a 503 and an invalid token, or only some of these, and then success."""
    script: list[Step] = [faults.problem(503), faults.problem(401), Healthy()]
    return script[n:]


_BACK = 10
_MOST_COMPLETED = 20


@pytest.mark.parametrize("script", range(3))
async def test_cancelled_at_every_step_of_the_loop(script: int) -> None:
    """Whatever step a call was cancelled at, its note tells the truth about the server."""
    steps, effects, completed = 0, set[str](), 0
    while True:
        hook, given = Recorder(), 0

        async def provider() -> str:
            nonlocal given
            given += 1
            await asyncio.sleep(0)
            return f"token-{given}"

        routes: dict[tuple[str, str], list[Step]] = {POST: gentle(script), GET: [Healthy()]}
        async with leaving_nothing(), FaultServer(routes=routes) as server:
            settings: dict[str, Any] = {"hooks": [hook], "token_provider": provider, "max_connections": 1}
            client = client_of(server.url, retry=RetryPolicy(jitter=lambda: 0.0), **settings)
            task = asyncio.create_task(archive(client))
            for _ in range(steps):
                await asyncio.sleep(0)
            cancelled = task.cancel()
            ended = await outcome(task)
            assert (slots_in_use(client), connections_in_use(client)) == (0, 0)
            await client.aclose()
            await server.until(lambda: server.open_connections == 0)
            if isinstance(ended, Customer):
                assert server.applied == 1
                assert not cancelled
                completed += 1
                if "UNKNOWN" in effects or completed == _MOST_COMPLETED:
                    break
                # Where the kernel delivers late, the loop has turned more often before a request left than it did with
                # one step fewer, and no step fell between the request and its answer: go back, and find one.
                steps = max(0, steps - _BACK)
                continue
            assert isinstance(ended, asyncio.CancelledError)
            if not steps:
                # The call never began, and so has no note.
                assert not hook.events
            else:
                assert hook.ended.outcome == "cancelled"
                assert f"effect {hook.ended.effect.name}" in notes(ended)
                assert hook.ended.effect is not Effect.NOT_APPLIED or server.applied == 0
                effects.add(hook.ended.effect.name)
        steps += 1
    assert "NOT_APPLIED" in effects
    assert "UNKNOWN" in effects


async def test_in_the_moment_of_the_first_turn() -> None:
    """A call that is cancelled just as its first turn comes passes the turn on."""
    async with FaultServer([Healthy()]) as server, client_of(server.url, max_connections=1) as client:
        assert client._limiter.acquire_nowait()
        first, second = (asyncio.create_task(archive(client)) for _ in range(2))
        await until(lambda: client._limiter.waiting == len((first, second)))
        client._limiter.release()
        first.cancel()
        with pytest.raises(asyncio.CancelledError) as cancelled:
            await first
        assert "effect NOT_APPLIED" in notes(cancelled.value)
        assert (await second).is_archived
        assert slots_in_use(client) == 0
