"""The handler: one decision for each command, whatever the API does, and never an exception."""

import asyncio
from typing import Any

import pytest
from faultserver import Answer, Cut, FaultServer, Step, bodies, faults
from helpers import BUSINESS, CUSTOMER, GET, ONCE, OTHER, POST, body, client_of, until

from thredfi_async import ConfigurationError, Effect, RetryPolicy, Timeouts
from thredfi_async.bulk import ItemState
from thredfi_async.mock_server import Fault, FaultKind, MockServer
from thredfi_async.worker import ArchiveCommand, ArchiveHandler, Decision, Done, Rejected, RetryLater

LOST = Cut("request", "rst")


async def decided(*steps: Step) -> Decision:
    """The decision about a command with a body, with these answers; a GET shows the customer as active."""
    routes: dict[tuple[str, str], list[Step]] = {POST: list(steps), GET: [Answer.json(200, bodies.active)]}
    async with FaultServer(routes=routes) as server, client_of(server.url, retry=ONCE) as client:
        handler = ArchiveHandler(client, jitter=lambda: 1.0)
        return await handler(ArchiveCommand(BUSINESS, CUSTOMER, body()), message_id="THREDFI/1")


async def test_done() -> None:
    """An archived customer is done, under the message's own key."""
    async with MockServer(2) as server, client_of(server.url, token=server.token) as client:
        customer = server.customers[0]
        command = ArchiveCommand(customer.business_id, customer.customer_id)
        decision = await ArchiveHandler(client)(command.to_json(), message_id="THREDFI/1")
        assert isinstance(decision, Done)
        assert (decision.state, decision.attempts) == (ItemState.ARCHIVED, 2)
        assert server.requests.of(customer.customer_id).keys == {command.key("THREDFI/1")} == {decision.idempotency_key}


async def test_done_already() -> None:
    """A customer that was archived before is done too, and reported as such."""
    async with MockServer(2) as server, client_of(server.url, token=server.token) as client:
        command = ArchiveCommand(server.customers[0].business_id, server.customers[0].customer_id)
        handler = ArchiveHandler(client)
        await handler(command)
        decision = await handler(command)
        assert isinstance(decision, Done)
        assert (decision.state, decision.attempts) == (ItemState.ALREADY_ARCHIVED, 1)


async def test_done_though_it_cannot_be_read() -> None:
    """An answer that proves the archiving is enough, even if one of its fields cannot be read."""
    decision = await decided(Answer.json(200, bodies.customer(CUSTOMER, is_active="no")).applied())
    assert isinstance(decision, Done)
    assert decision.state is ItemState.ARCHIVED


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "validation_error"), (403, "permission_denied"), (404, "not_found"), (422, "invalid"), (413, "too_large")],
)
async def test_rejected(status: int, code: str) -> None:
    """A refusal in the API's own envelope is final, with its code and without its text."""
    decision = await decided(faults.problem(status, code))
    assert isinstance(decision, Rejected)
    assert (decision.code, decision.effect, decision.attempts) == (code, Effect.NOT_APPLIED, 1)
    assert decision.reason.startswith(f"{status}, {code}")


async def test_rejected_before_it_is_sent() -> None:
    """A payload that is no command is rejected, and nothing is sent."""
    async with FaultServer() as server, client_of(server.url) as client:
        decision = await ArchiveHandler(client)(b'{"version": 1}')
        assert isinstance(decision, Rejected)
        assert (decision.code, decision.attempts) == ("invalid_request", 0)
        assert decision.reason == "business_id: is missing; customer_id: is missing"
        assert server.requests == []


@pytest.mark.parametrize("status", [404, 403, 400, 405])
async def test_a_page_of_somebody_else_rejects_nobody(status: int) -> None:
    """A refusal without the API's envelope may come from a proxy, or from another server: the message is kept."""
    decision = await decided(faults.html(status))
    assert isinstance(decision, RetryLater)
    assert (decision.cause, decision.code) == ("api", f"http_{status}")


@pytest.mark.parametrize(
    ("step", "code", "effect"),
    [
        (faults.problem(500), "server_error", Effect.UNKNOWN),
        (faults.problem(503, "down"), "down", Effect.UNKNOWN),
        (faults.problem(429, "throttled"), "throttled", Effect.NOT_APPLIED),
        (faults.html(502), "http_502", Effect.UNKNOWN),
        (LOST, "connection_lost", Effect.UNKNOWN),
        (faults.html(200), "decode_error", Effect.UNKNOWN),
    ],
)
async def test_later(step: Step, code: str, effect: Effect) -> None:
    """A transient failure is retried later, with the possible effect of its requests."""
    decision = await decided(step)
    assert isinstance(decision, RetryLater)
    assert (decision.cause, decision.code, decision.effect) == ("api", code, effect)


async def test_a_no_after_a_lost_answer_is_asked_again() -> None:
    """A 404 after a request with unknown effect does not reject the customer: that request may have been applied."""
    routes: dict[tuple[str, str], list[Step]] = {POST: [LOST, faults.problem(404)], GET: [faults.problem(404)]}
    async with FaultServer(routes=routes) as server:
        retry = RetryPolicy(max_attempts=2, no_wait=True)
        async with client_of(server.url, retry=retry) as client:
            decision = await ArchiveHandler(client)(ArchiveCommand(BUSINESS, CUSTOMER, body()))
    assert isinstance(decision, RetryLater)
    assert decision.effect is Effect.UNKNOWN


async def test_refused_credentials_are_the_operators() -> None:
    """A 401 is not the message's fault."""
    decision = await decided(faults.problem(401))
    assert isinstance(decision, RetryLater)
    assert decision.cause == "settings"


async def test_a_redirect_is_the_operators() -> None:
    """A redirect means that the address is not the API's."""
    decision = await decided(faults.redirect(308, "http://elsewhere.example.com/"))
    assert isinstance(decision, RetryLater)
    assert (decision.cause, decision.code) == ("settings", "http_308")


async def test_a_closed_client() -> None:
    """A closed client is no failure of message or API: the message is for another worker."""
    client = client_of("http://127.0.0.1:9")
    await client.aclose()
    decision = await ArchiveHandler(client)(ArchiveCommand(BUSINESS, CUSTOMER))
    assert isinstance(decision, RetryLater)
    assert (decision.cause, decision.code) == ("client", "client_closed")


async def test_a_deadline() -> None:
    """A call that times out is retried later."""
    hang: list[Step] = [Cut("request", "hang")]
    async with FaultServer(routes={POST: hang, GET: hang}) as server, client_of(server.url) as client:
        handler = ArchiveHandler(client, timeouts=Timeouts(deadline=0.1))
        decision = await handler(ArchiveCommand(BUSINESS, CUSTOMER, body()))
    assert isinstance(decision, RetryLater)
    assert (decision.code, decision.effect) == ("timeout_deadline", Effect.UNKNOWN)


@pytest.mark.parametrize(("delivery", "delay"), [(1, 1.0), (2, 2.0), (5, 16.0), (20, 60.0), (10_000, 60.0)])
async def test_delays_grow(delivery: int, delay: float) -> None:
    """Each delivery waits longer, up to a limit."""
    client = client_of("http://127.0.0.1:9", retry=ONCE)
    async with client:
        handler = ArchiveHandler(client, jitter=lambda: 1.0)
        decision = await handler(ArchiveCommand(BUSINESS, CUSTOMER), delivery=delivery)
    assert isinstance(decision, RetryLater)
    assert (decision.delay, decision.code) == (delay, "connect_error")


async def test_retry_after() -> None:
    """A longer wait that the API asks for is respected, even beyond the handler's limit."""
    decision = await decided(faults.problem(429, headers={"Retry-After": "300"}))
    assert isinstance(decision, RetryLater)
    assert (decision.delay, decision.backoff, decision.retry_after) == (300, 1, 300)


@pytest.mark.parametrize("asked", ["301", "86400", "999999999999", "9" * 400, "Fri, 31 Dec 2999 23:59:59 GMT"])
async def test_retry_after_has_a_bound(asked: str, caplog: pytest.LogCaptureFixture) -> None:
    """No answer makes a message wait for ever, and the log says once what was asked for."""
    with caplog.at_level("WARNING", "thredfi_async.worker"):
        decision = await decided(faults.problem(503, headers={"Retry-After": asked}))
    assert isinstance(decision, RetryLater)
    assert decision.delay == 300
    (line,) = caplog.messages
    assert line.startswith("the API asks for a wait of ")
    assert line.endswith(" s (Retry-After); 300 s count (max_retry_after)")


@pytest.mark.parametrize("retry", [None, RetryPolicy()])
@pytest.mark.parametrize("bound", [2.0, 0.0])
async def test_no_call_waits_for_longer_than_the_bound(bound: float, retry: RetryPolicy | None) -> None:
    """Neither the one that is told to wait nor any other; a shorter wait is the client's own."""
    wait = faults.problem(503, headers={"Retry-After": "25"})
    routes: dict[tuple[str, str], list[Step]] = {POST: [wait] * 4, GET: [Answer.json(200, bodies.active)]}
    async with FaultServer(routes=routes) as server, client_of(server.url, retry=RetryPolicy()) as client:
        handler = ArchiveHandler(client, max_retry_after=bound, retry=retry)
        async with asyncio.timeout(10):
            for policy in (None, RetryPolicy()):
                decision = await handler(ArchiveCommand(BUSINESS, CUSTOMER, body()), retry=policy)
                assert isinstance(decision, RetryLater)
                assert (decision.retry_after, decision.attempts) == (bound, 1)
        assert client.limits.cooldown == 0.0


async def test_the_bound_is_a_setting(caplog: pytest.LogCaptureFixture) -> None:
    """The bound is the handler's own; a call that succeeds lets the log say the next one."""
    wait = faults.problem(503, headers={"Retry-After": "200"})
    steps: list[Step] = [wait, wait, Answer.json(200, bodies.customer(CUSTOMER)).applied(), wait]
    routes: dict[tuple[str, str], list[Step]] = {POST: steps, GET: [Answer.json(200, bodies.active)]}
    async with FaultServer(routes=routes) as server, client_of(server.url, retry=ONCE) as client:
        handler = ArchiveHandler(client, max_retry_after=2.5, jitter=lambda: 1.0)
        with caplog.at_level("WARNING", "thredfi_async.worker"):
            for count in (1, 1, 1, 2):
                decision = await handler(ArchiveCommand(BUSINESS, CUSTOMER, body()), message_id="THREDFI/1")
                assert isinstance(decision, Done) or (isinstance(decision, RetryLater) and decision.delay == 2.5)
                assert len(caplog.messages) == count


@pytest.mark.parametrize("name", ["delay_initial", "delay_max", "max_retry_after"])
@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), 1e9, "1", True])
async def test_delays_are_checked(name: str, value: Any) -> None:
    """A delay that no broker takes is refused where it is set."""
    async with client_of("http://127.0.0.1:9") as client:
        with pytest.raises(ConfigurationError, match=rf"^ArchiveHandler\.{name} must be seconds, from 0 to a week$"):
            ArchiveHandler(client, **{name: value})


async def test_cancelled() -> None:
    """A cancelled handler returns no decision."""
    async with FaultServer(routes={POST: [Cut("request", "hang")]}) as server, client_of(server.url) as client:
        task = asyncio.create_task(ArchiveHandler(client)(ArchiveCommand(BUSINESS, CUSTOMER, body())))
        await until(lambda: len(server.requests) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_redelivered_it_has_the_same_key_and_bytes() -> None:
    """A second delivery of a message sends what the first one sent."""
    async with MockServer(1) as server, client_of(server.url, token=server.token, retry=ONCE) as client:
        customer = server.customers[0]
        server.queue_faults(customer.customer_id, Fault(FaultKind.RESET_BEFORE), Fault(FaultKind.SERVER_ERROR))
        payload = ArchiveCommand(customer.business_id, customer.customer_id, customer.body).to_json()
        handler = ArchiveHandler(client)
        decisions = [await handler(payload, message_id="THREDFI/1", delivery=number) for number in (1, 2, 3)]
        record = server.requests.of(customer.customer_id)
    assert [type(decision) for decision in decisions] == [RetryLater, RetryLater, Done]
    assert (record.applied, len(record.keys), len(record.digests)) == (1, 1, 1)


async def test_the_reason_quotes_nobody() -> None:
    """Neither `repr` nor the reason of a decision quotes the API or the message."""
    decision = await decided(Answer.json(400, bodies.problem("validation_error", "jane.roe@example.com is bad")))
    assert isinstance(decision, Rejected)
    assert "jane" not in repr(decision) + decision.reason
    assert OTHER not in repr(decision)
