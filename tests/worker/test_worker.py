"""The worker on a real broker: every message gets a stored outcome, whatever dies or stops in between."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from helpers import ONCE, client_of, leaving_nothing, until
from nats.js.api import ConsumerConfig
from natsserver import NatsServer
from workerpark import TOPOLOGY, dead_letters, left, outcomes, publish, queue

from thredfi_async import Effect, ThredfiClient
from thredfi_async.bulk import ItemState
from thredfi_async.mock_server import Fault, FaultKind, Faults, MockServer, SeededCustomer
from thredfi_async.worker import ArchiveCommand, ArchiveHandler, Decision, NatsSettings, Worker, WorkerOptions
from thredfi_async.worker.broker import Broker
from thredfi_async.worker.events import DeadLetter
from thredfi_async.worker.gate import Gate
from thredfi_async.worker.streams import ensure_consumer, ensure_streams
from thredfi_async.worker.supervision import Part


def payloads(customers: Sequence[SeededCustomer]) -> list[tuple[str, bytes]]:
    """Publish a message for each customer, with its body, so that each takes one request."""
    return [
        (str(customer.customer_id), ArchiveCommand(customer.business_id, customer.customer_id, customer.body).to_json())
        for customer in customers
    ]


def worker_of(nats: NatsServer, client: ThredfiClient, **options: Any) -> Worker:
    """A worker with very short waits."""
    chosen = WorkerOptions(poll=0.05, **options)
    return Worker(
        client,
        nats=NatsSettings(url=nats.url),
        options=chosen,
        handler=ArchiveHandler(client, delay_initial=0.02, delay_max=0.02, max_retry_after=chosen.max_retry_after),
        gate=Gate(wait_initial=0.02, wait_max=0.05),
    )


@contextlib.asynccontextmanager
async def running(worker: Worker) -> AsyncGenerator[asyncio.Task[None]]:
    """Run a worker in the background, and stop it in the end."""
    task = asyncio.create_task(worker.run())
    try:
        yield task
        worker.stop()
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def ended(broker: Broker, count: int = 0) -> None:
    """Wait until this many commands are left."""
    async with asyncio.timeout(10):
        while await left(broker) != count:  # noqa: ASYNC110 - another process changes it
            await asyncio.sleep(0.01)


def troubles(worker: Worker) -> list[str]:
    """Return what keeps a worker from its work, without for how long, which takes as long as the machine does."""
    return [re.sub(r" \(for [0-9]+ s\)$", "", line) for line in worker.troubles_of_work()]


async def impatient(broker: Broker, seconds: float) -> None:
    """Create a consumer with this `ack_wait`."""
    await broker.jetstream.delete_consumer(TOPOLOGY.stream, TOPOLOGY.consumer)
    config = ConsumerConfig(durable_name=TOPOLOGY.consumer, ack_wait=seconds, max_ack_pending=-1)
    await broker.jetstream.add_consumer(TOPOLOGY.stream, config)


async def test_every_message_ends(nats_server: NatsServer) -> None:
    """Done, rejected and malformed messages get an outcome or a dead letter, and the queue is empty."""
    async with leaving_nothing(), MockServer(12) as server, queue(nats_server) as broker:
        served = server.customers[:10]
        stranger = ArchiveCommand(server.business_ids[0], "11111111-1111-4111-8111-111111111111")
        messages = [*payloads(served), ("stranger", stranger.to_json()), ("garbage", b"jane.roe@example.com")]
        await publish(broker, messages)
        async with client_of(server.url, token=server.token) as client:
            worker = worker_of(nats_server, client)
            async with running(worker):
                await ended(broker)
        events, letters = await outcomes(broker), await dead_letters(broker)
        assert all(server.is_archived(customer.customer_id) for customer in served)
        assert sorted(event.state for event in events) == [*["archived"] * 10, "rejected"]
        assert {letter.code: letter.original for letter in letters} == {
            "not_found": stranger.to_json(),
            "malformed": b"jane.roe@example.com",
        }
        (rejected,) = (event for event in events if event.state is ItemState.REJECTED)
        assert (rejected.code, rejected.effect, rejected.deliveries) == ("not_found", Effect.NOT_APPLIED, 1)
        assert rejected.customer_id == stranger.customer_id
        assert {letter.command_id for letter in letters if letter.code == "not_found"} == {rejected.command_id}
        assert worker.metrics.value("outcomes_total", state="archived") == 10
        assert worker.metrics.value("dead_letters_total", why="malformed") == 1
        assert worker.in_flight == 0


async def test_it_takes_no_more_than_it_can_hold(nats_server: NatsServer) -> None:
    """Other workers get the messages that this one has no room for."""
    async with MockServer(5, faults=Faults(rates={FaultKind.HANG: 1.0})) as server, queue(nats_server) as broker:
        await publish(broker, payloads(server.customers))
        async with client_of(server.url, token=server.token) as client:
            worker = worker_of(nats_server, client, concurrency=2, grace_period=0)
            async with running(worker):
                await until(lambda: worker.in_flight == 2)
                await asyncio.sleep(0.1)
                info = await broker.jetstream.consumer_info(TOPOLOGY.stream, TOPOLOGY.consumer)
                assert (info.num_ack_pending, info.num_pending, worker.in_flight) == (2, 3, 2)


async def test_a_long_call_is_not_delivered_again(nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress acks, three in the broker's `ack_wait`, keep a message alive for as long as its call takes."""
    asked: list[float] = []
    prepare = Worker._prepare

    async def often(worker: Worker, broker: Broker) -> None:
        await prepare(worker, broker)
        asked.append(worker._ack_wait)
        # The broker's time is real, and a slow machine's worker may be too late three times in a row.
        worker._ack_wait /= 30

    monkeypatch.setattr(Worker, "_prepare", often)
    async with MockServer(3, latency=1.0) as server, queue(nats_server) as broker:
        await impatient(broker, 0.8)
        await publish(broker, payloads(server.customers))
        async with client_of(server.url, token=server.token) as client, running(worker_of(nats_server, client)):
            await ended(broker)
        assert [event.deliveries for event in await outcomes(broker)] == [1, 1, 1]
    assert asked == [pytest.approx(0.8)]


async def test_delivered_too_often(nats_server: NatsServer) -> None:
    """A message that no worker completed becomes a dead letter without another call."""
    async with MockServer(1) as server, queue(nats_server) as broker:
        await publish(broker, payloads(server.customers))
        subscription = await broker.jetstream.pull_subscribe_bind(TOPOLOGY.consumer, TOPOLOGY.stream)
        for _ in range(3):
            (message,) = await subscription.fetch(1)
            await message.nak()
        async with client_of(server.url, token=server.token) as client:
            worker = worker_of(nats_server, client, max_deliveries=3)
            async with running(worker):
                await ended(broker)
        (letter,), (event,) = await dead_letters(broker), await outcomes(broker)
        assert (letter.code, letter.deliveries, letter.effect) == ("too_many_deliveries", 4, Effect.UNKNOWN)
        assert letter.reason == "it was delivered 4 times, 3 are allowed, and none was completed"
        assert (event.state, event.code) == (ItemState.UNKNOWN, "too_many_deliveries")
        assert server.requests.totals["archive"] == 0


async def test_one_customer_that_the_api_cannot_serve(nats_server: NatsServer) -> None:
    """A failing message is delivered as often as allowed, while others are served, and then becomes a dead letter."""
    async with MockServer(60) as server, queue(nats_server) as broker:
        cursed = server.customers[0]
        server.queue_faults(cursed.customer_id, *[Fault(FaultKind.THROTTLE, retry_after=0.01, form="ms")] * 50)
        await publish(broker, payloads(server.customers))
        async with client_of(server.url, token=server.token, retry=ONCE) as client:
            worker = worker_of(nats_server, client, concurrency=2, max_deliveries=2)
            async with running(worker):
                await ended(broker)
        (letter,) = await dead_letters(broker)
        assert (letter.code, letter.deliveries) == ("throttled", 2)
        assert letter.reason.startswith("it was delivered 2 times, and failed last with: 429, throttled")
        states = {event.customer_id: event.state for event in await outcomes(broker)}
        assert states.pop(cursed.customer_id) in {ItemState.FAILED, ItemState.UNKNOWN}
        assert set(states.values()) == {ItemState.ARCHIVED}


async def test_an_outage_spends_no_delivery(nats_server: NatsServer) -> None:
    """While the API is down, messages are held and none becomes a dead letter; afterwards work goes on."""
    async with MockServer(30) as server, queue(nats_server) as broker:
        server.set_down(True, status=503)
        await publish(broker, payloads(server.customers))
        async with client_of(server.url, token=server.token, retry=ONCE) as client:
            worker = worker_of(nats_server, client, concurrency=10, max_deliveries=1)
            async with running(worker):
                await until(lambda: worker.gate.waiting == 10)
                assert troubles(worker) == ["the API is unavailable: http_503"]
                assert worker.metrics.value("api_unavailable") == 1
                await asyncio.sleep(0.2)
                assert worker.in_flight <= 18
                server.set_down(False)
                await ended(broker)
                assert worker.troubles_of_work() == []
        events = await outcomes(broker)
        assert {(event.state, event.deliveries) for event in events} == {(ItemState.ARCHIVED, 1)}
        assert (len(events), await dead_letters(broker)) == (30, [])


async def test_a_long_retry_after_holds_no_message_back(nats_server: NatsServer) -> None:
    """Six of sixty are told to wait for a day; they go on when the API serves the others."""
    async with MockServer(60) as server, queue(nats_server) as broker:
        for customer in server.customers[:6]:
            server.queue_faults(customer.customer_id, Fault(FaultKind.THROTTLE, retry_after=86_400))
        await publish(broker, payloads(server.customers))
        async with (
            client_of(server.url, token=server.token, retry=ONCE) as client,
            running(worker_of(nats_server, client, concurrency=8)),
        ):
            await ended(broker)
        events = await outcomes(broker)
        assert {(event.state, event.deliveries) for event in events} == {(ItemState.ARCHIVED, 1)}
        assert len(events) == 60


async def test_probes_go_out_though_the_api_asks_for_a_day(nats_server: NatsServer) -> None:
    """When every message in flight is told to wait for a day, the gate probes after the bound."""
    async with MockServer(20) as server, queue(nats_server) as broker:
        for customer in server.customers:
            server.queue_faults(customer.customer_id, Fault(FaultKind.THROTTLE, retry_after=999_999_999_999))
        await publish(broker, payloads(server.customers))
        async with client_of(server.url, token=server.token, retry=ONCE) as client:
            worker = worker_of(nats_server, client, concurrency=10, max_retry_after=0.05)
            async with running(worker):
                await ended(broker)
        assert {(event.state, event.deliveries) for event in await outcomes(broker)} == {(ItemState.ARCHIVED, 1)}


async def test_refused_credentials_spend_no_delivery(nats_server: NatsServer) -> None:
    """While a token is refused, every message is kept until the operator fixes it."""
    token = "refused"
    async with MockServer(3) as server, queue(nats_server) as broker:

        async def provider() -> str:
            return token

        await publish(broker, payloads(server.customers))
        async with client_of(server.url, token_provider=provider) as client:
            worker = worker_of(nats_server, client, max_deliveries=1)
            async with running(worker):
                await until(lambda: not worker.gate.is_open)
                trouble = "the API refuses the credentials, or the address is wrong: invalid_token"
                assert troubles(worker) == [trouble]
                token = server.token
                await ended(broker)
        assert [event.deliveries for event in await outcomes(broker)] == [1, 1, 1]


async def test_stopping_lets_calls_end(nats_server: NatsServer) -> None:
    """Calls in flight finish; messages that wait for the API are returned at once."""
    async with MockServer(4, latency=0.2) as server, queue(nats_server) as broker:
        await publish(broker, payloads(server.customers))
        async with client_of(server.url, token=server.token) as client:
            worker = worker_of(nats_server, client, concurrency=2)
            async with running(worker):
                await until(lambda: server.requests.totals["archive"] == 2)
        assert len(await outcomes(broker)) == 2
        assert await left(broker) == 2
        assert troubles(worker) == ["it is stopping"]


async def test_stopping_during_an_outage(nats_server: NatsServer) -> None:
    """A worker that holds messages because the API is down still ends at once, and returns them."""
    async with MockServer(4) as server, queue(nats_server) as broker:
        server.set_down(True)
        await publish(broker, payloads(server.customers))
        async with client_of(server.url, token=server.token, retry=ONCE) as client:
            worker = worker_of(nats_server, client, concurrency=4)
            async with running(worker):
                await until(lambda: not worker.gate.is_open and worker.gate.waiting >= 3)
            server.set_down(False)
            async with running(worker_of(nats_server, client)):
                await ended(broker)
        assert [event.deliveries for event in await outcomes(broker)] == [2, 2, 2, 2]


@pytest.mark.parametrize("how", ["a second signal", "the bound", "cancellation"])
async def test_stopping_at_once(nats_server: NatsServer, how: str) -> None:
    """Calls that do not end are cancelled; their messages are returned, and another worker completes them."""
    async with leaving_nothing(), MockServer(2) as server, queue(nats_server) as broker:
        for customer in server.customers:
            server.queue_faults(customer.customer_id, Fault(FaultKind.HANG))
        await publish(broker, payloads(server.customers))
        async with client_of(server.url, token=server.token) as client:
            worker = worker_of(nats_server, client, grace_period=0.05 if how == "the bound" else 30)
            task = asyncio.create_task(worker.run())
            await until(lambda: server.faults_thrown[FaultKind.HANG] == 2)
            if how == "cancellation":
                task.cancel()
            else:
                worker.stop()
            if how == "a second signal":
                worker.stop()
            async with asyncio.timeout(2):
                await asyncio.wait([task])
            async with running(worker_of(nats_server, client)):
                await ended(broker)
        events = await outcomes(broker)
        assert [event.deliveries for event in events] == [2, 2]
        assert [server.requests.of(event.customer_id).applied for event in events] == [1, 1]


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_the_broker_goes_and_comes_back(nats_server: NatsServer, how: str) -> None:
    """Outcomes wait until the broker can store them; nothing is lost, and nothing is archived twice."""
    async with leaving_nothing(), MockServer(40, latency=0.1) as server, queue(nats_server) as broker:
        await impatient(broker, 1.0)  # for messages in flight when it went down
        await publish(broker, payloads(server.customers))
        async with client_of(server.url, token=server.token) as client:
            worker = worker_of(nats_server, client, concurrency=8)
            async with running(worker):
                await until(lambda: server.requests.applied >= 8)
                await asyncio.to_thread(getattr(nats_server, how))
                await until(lambda: not worker.is_connected)
                # Beside it, an outcome may be named that could not be stored.
                assert any(each.startswith("NATS is disconnected: ") for each in worker.troubles_of_work())
                await asyncio.to_thread(nats_server.start)
                await ended(broker)
        events = await outcomes(broker)
        assert len({event.customer_id for event in events}) == len(events) == 40
        assert all(server.requests.of(customer.customer_id).applied == 1 for customer in server.customers)


async def test_a_message_that_is_delivered_again_while_it_is_held(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker whose acknowledgement is overdue gets its own message again, and processes it once."""

    async def silent(worker: Worker, broker: Broker, part: Part) -> None:
        part.rests()
        await asyncio.Event().wait()

    # As if its progress acks were lost: with a broker that is killed, it would depend on who is back first.
    monkeypatch.setattr(Worker, "_keep_alive", silent)
    async with MockServer(1) as server, queue(nats_server) as broker:
        await impatient(broker, 0.2)
        server.queue_faults(server.customers[0].customer_id, Fault(FaultKind.LATENCY, seconds=2.5))
        await publish(broker, payloads(server.customers))
        async with client_of(server.url, token=server.token) as client:
            worker = worker_of(nats_server, client)
            async with running(worker):
                await until(lambda: worker.in_flight == 1)
                await until(lambda: worker.metrics.value("deliveries_total", kind="again") > 0, within=5)
                assert worker.in_flight == 1
                await ended(broker)
        (event,) = await outcomes(broker)
        assert event.deliveries > 1
        assert server.requests.of(event.customer_id).requests == 1


async def test_while_no_outcome_can_be_stored(nats_server: NatsServer) -> None:
    """With a full stream of outcomes, a worker holds twice its concurrency at most, and loses nothing."""
    async with MockServer(40) as server, queue(nats_server) as broker:
        js = broker.jetstream
        config = (await js.stream_info(TOPOLOGY.outcomes_stream)).config
        await js.update_stream(config.evolve(max_msgs=1, discard="new"))
        await publish(broker, payloads(server.customers))
        async with client_of(server.url, token=server.token) as client:
            worker = worker_of(nats_server, client, concurrency=4)
            async with running(worker):
                await until(lambda: worker.in_flight == 8)
                assert server.requests.totals["archive"] <= 1 + 8
                await js.update_stream(config)
                await ended(broker)
        events = await outcomes(broker)
        assert {(event.state, event.deliveries) for event in events} == {(ItemState.ARCHIVED, 1)}
        assert len(events) == 40
        assert all(server.requests.of(customer.customer_id).applied == 1 for customer in server.customers)


async def test_what_is_gone_is_made_anew(nats_server: NatsServer) -> None:
    """A deleted consumer or stream of outcomes is recreated, and work goes on."""
    async with MockServer(2) as server, queue(nats_server) as broker:
        async with client_of(server.url, token=server.token) as client:
            worker = worker_of(nats_server, client)
            async with running(worker):
                await publish(broker, payloads(server.customers[:1]))
                await ended(broker)
                await broker.jetstream.delete_stream(TOPOLOGY.outcomes_stream)
                await broker.jetstream.delete_consumer(TOPOLOGY.stream, TOPOLOGY.consumer)
                await ended(broker)  # which shows that there is a consumer again
                await publish(broker, payloads(server.customers[1:]))
                await until(lambda: worker.metrics.value("outcomes_total", state="archived") == 2, within=10)
        assert len(await outcomes(broker)) == 1


async def delivered_before(broker: Broker) -> None:
    """Let another consumer take the only message, and fall silent."""
    subscription = await broker.jetstream.pull_subscribe_bind(TOPOLOGY.consumer, TOPOLOGY.stream)
    (message,) = await subscription.fetch(1)
    await message.nak()
    await subscription.unsubscribe()


async def test_what_an_earlier_delivery_may_have_done(nats_server: NatsServer) -> None:
    """A customer found archived after a redelivery counts as archived: this message may have archived it."""
    async with MockServer(1) as server, queue(nats_server) as broker:
        customer = server.customers[0]
        async with client_of(server.url, token=server.token) as client:
            await client.customers.archive(customer.business_id, customer.customer_id)
            command = ArchiveCommand(customer.business_id, customer.customer_id)
            await publish(broker, [("1", command.to_json())])
            await delivered_before(broker)
            async with running(worker_of(nats_server, client)):
                await ended(broker)
        (event,) = await outcomes(broker)
        assert (event.state, event.deliveries) == (ItemState.ARCHIVED, 2)


async def test_what_a_delivery_that_the_broker_forgot_may_have_done(nats_server: NatsServer) -> None:
    """A customer that was archived after the message was stored may have been archived by it, whatever is counted."""
    async with MockServer(2) as server, queue(nats_server) as broker:
        before, after = (ArchiveCommand(each.business_id, each.customer_id) for each in server.customers)
        async with client_of(server.url, token=server.token) as client:
            await client.customers.archive(before.business_id, before.customer_id)
            await publish(broker, [("1", before.to_json()), ("2", after.to_json())])
            await client.customers.archive(after.business_id, after.customer_id)
            async with running(worker_of(nats_server, client)):
                await ended(broker)
        events = await outcomes(broker)
        assert {(event.customer_id, event.state, event.deliveries) for event in events} == {
            (before.customer_id, ItemState.ALREADY_ARCHIVED, 1),
            (after.customer_id, ItemState.ARCHIVED, 1),
        }


async def test_a_no_after_an_earlier_delivery(nats_server: NatsServer) -> None:
    """A rejection after a redelivery is `unknown`: the earlier delivery may have been applied."""
    async with MockServer(1) as server, queue(nats_server) as broker:
        stranger = ArchiveCommand(server.business_ids[0], "11111111-1111-4111-8111-111111111111")
        await publish(broker, [("1", stranger.to_json())])
        await delivered_before(broker)
        async with client_of(server.url, token=server.token) as client, running(worker_of(nats_server, client)):
            await ended(broker)
        (event,), (letter,) = await outcomes(broker), await dead_letters(broker)
        assert (event.state, event.code, event.effect) == (ItemState.UNKNOWN, "not_found", Effect.UNKNOWN)
        assert (letter.code, letter.effect) == ("not_found", Effect.UNKNOWN)


class Freezing(ArchiveHandler):
    """A handler whose worker is frozen at the end of each call."""

    async def __call__(self, *args: Any, **settings: Any) -> Decision:
        decision = await super().__call__(*args, **settings)
        time.sleep(0.5)  # noqa: ASYNC251 - nothing else may run
        return decision


async def test_a_worker_that_was_frozen(nats_server: NatsServer) -> None:
    """For longer than the broker waits: it does not know who had its messages, and claims nothing of them."""
    async with MockServer(2) as server, queue(nats_server) as broker:
        await impatient(broker, 0.4)
        archived = server.customers[0]
        async with client_of(server.url, token=server.token) as client:
            await client.customers.archive(archived.business_id, archived.customer_id)
            stranger = ArchiveCommand(server.business_ids[0], "11111111-1111-4111-8111-111111111111")
            known = ArchiveCommand(archived.business_id, archived.customer_id)
            for number, command in enumerate((stranger, known)):
                await publish(broker, [(str(number), command.to_json())])
                worker = worker_of(nats_server, client)
                worker._handler = Freezing(client)
                async with running(worker):
                    await ended(broker)
        events = await outcomes(broker)
        assert [event.state for event in events] == [ItemState.UNKNOWN, ItemState.ARCHIVED]
        assert events[0].effect is Effect.UNKNOWN


class Waiting(ArchiveHandler):
    """A handler whose calls wait, after their answers, until they are told to end."""

    ends: dict[UUID, asyncio.Event]

    async def __call__(self, command: ArchiveCommand | bytes, **settings: Any) -> Decision:
        decision = await super().__call__(command, **settings)
        assert isinstance(command, ArchiveCommand)
        await self.ends[command.customer_id].wait()
        return decision


async def test_a_queue_that_is_created_anew(nats_server: NatsServer) -> None:
    """While a message of the old one is held: its end acknowledges none of the new one's messages."""
    async with MockServer(2) as server, queue(nats_server) as broker:
        old, new = payloads(server.customers)
        await publish(broker, [old])
        async with client_of(server.url, token=server.token, retry=ONCE) as client:
            worker = worker_of(nats_server, client, grace_period=0)
            worker._handler = handler = Waiting(client)
            handler.ends = {customer.customer_id: asyncio.Event() for customer in server.customers}
            async with running(worker):
                await until(lambda: worker.in_flight == 1, within=20)
                await broker.jetstream.delete_stream(TOPOLOGY.stream)
                await ensure_streams(broker, TOPOLOGY)
                await ensure_consumer(broker, TOPOLOGY)
                await publish(broker, [new])
                await until(lambda: worker.in_flight == 2, within=20)
                handler.ends[server.customers[0].customer_id].set()
                await until(lambda: worker.in_flight == 1, within=20)
                assert worker._broker is not None
                await worker._broker.flush()
                info = await broker.jetstream.consumer_info(TOPOLOGY.stream, TOPOLOGY.consumer)
                assert info.num_ack_pending == 1
        assert [event.state for event in await outcomes(broker)] == [ItemState.ARCHIVED]
        assert await left(broker) == 1


async def test_requests_of_all_tries_are_counted(nats_server: NatsServer) -> None:
    """Also those of calls that failed while the message was held."""
    async with MockServer(1) as server, queue(nats_server) as broker:
        customer = server.customers[0]
        server.queue_faults(customer.customer_id, *[Fault(FaultKind.SERVER_ERROR, status=500)] * 3)
        await publish(broker, payloads(server.customers))
        async with (
            client_of(server.url, token=server.token, retry=ONCE) as client,
            running(worker_of(nats_server, client)),
        ):
            await ended(broker)
        (event,) = await outcomes(broker)
        assert event.deliveries == 1
        assert event.attempts >= 4
        assert event.attempts == server.requests.totals["archive"] + server.requests.totals["get"]


class Buggy(ArchiveHandler):
    """A handler with a bug."""

    async def __call__(self, *args: Any, **settings: Any) -> Decision:
        raise ValueError("jane.roe@example.com")


async def test_a_bug_is_not_the_end(nats_server: NatsServer, caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected exception uses up a delivery of its message, and no personal data is logged."""
    async with MockServer(1) as server, queue(nats_server) as broker:
        await publish(broker, payloads(server.customers))
        async with client_of(server.url, token=server.token) as client:
            worker = Worker(
                client,
                nats=NatsSettings(url=nats_server.url),
                options=WorkerOptions(max_deliveries=1, poll=0.05),
                handler=Buggy(client),
            )
            caplog.set_level("INFO")
            async with running(worker):
                await ended(broker)
        (letter,) = await dead_letters(broker)
        assert (letter.code, letter.reason) == ("internal_error", "a bug raised ValueError")
        assert "jane" not in caplog.text


class Unwritable(DeadLetter):
    """A dead letter that cannot be written, as if the bug were there."""

    def to_json(self, *, at_most: int | None = None) -> bytes:
        raise ValueError("jane.roe@example.com")


async def test_a_bug_in_what_records_bugs(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker goes on, and the message stays in the queue."""
    monkeypatch.setattr("thredfi_async.worker.completion.DeadLetter", Unwritable)
    async with MockServer(1) as server, queue(nats_server) as broker:
        await publish(broker, payloads(server.customers))
        async with client_of(server.url, token=server.token) as client:
            options = WorkerOptions(max_deliveries=1, poll=0.05)
            worker = Worker(client, nats=NatsSettings(url=nats_server.url), options=options, handler=Buggy(client))
            async with running(worker) as task:
                await until(lambda: "while it was recorded" in caplog.text)
                await until(lambda: worker.in_flight == 0)
                assert not task.done()
        assert await left(broker) == 1
        assert "jane" not in caplog.text


async def test_a_consumer_that_is_no_longer_suitable(nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A consumer that someone changes while the worker runs is told with its reason, and the worker waits for it."""
    monkeypatch.setattr("thredfi_async.worker.worker.CHECK_SECONDS", 0.0)
    async with MockServer(1) as server, queue(nats_server) as broker:
        config = (await broker.jetstream.consumer_info(TOPOLOGY.stream, TOPOLOGY.consumer)).config
        async with client_of(server.url, token=server.token) as client:
            worker = worker_of(nats_server, client)
            async with running(worker):
                await until(lambda: not worker.troubles_of_work(), within=10)
                await broker.jetstream.add_consumer(TOPOLOGY.stream, replace(config, max_deliver=3))
                reason = (
                    "the consumer thredfi-worker of the stream THREDFI already exists, and gives up after 3 deliveries "
                    "(max_deliver), and strands a message then: fix it, or name another"
                )
                await until(lambda: reason in troubles(worker), within=10)
                assert worker.troubles_of_life() == []
                await publish(broker, payloads(server.customers))
                await broker.jetstream.add_consumer(TOPOLOGY.stream, config)
                await until(lambda: worker.metrics.value("outcomes_total", state="archived") == 1, within=10)
        assert worker.metrics.value("part_failures_total", part="requests for messages") == 0


async def test_a_stream_of_dead_letters_with_a_limit(nats_server: NatsServer) -> None:
    """A dead letter that is larger than its stream takes is cut, and its message ends."""
    async with MockServer(1) as server, queue(nats_server) as broker:
        config = (await broker.jetstream.stream_info(TOPOLOGY.dead_stream)).config
        await broker.jetstream.update_stream(replace(config, max_msg_size=2_000))
        await publish(broker, [("garbage", b"x" * 5_000)])
        async with client_of(server.url, token=server.token) as client:
            worker = worker_of(nats_server, client)
            async with running(worker):
                await ended(broker)
        (letter,) = await dead_letters(broker)
    assert letter.cut
    assert b"x" * 100 in letter.original
