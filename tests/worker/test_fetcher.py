"""Requests for messages: what the broker makes of each, and how long the worker waits before the next."""

import json

from nats.aio.msg import Msg
from natsserver import NatsServer
from workerpark import TOPOLOGY, queue

from thredfi_async.worker.broker import Broker
from thredfi_async.worker.delivery import Delivery
from thredfi_async.worker.fetcher import Fetcher


def nothing(message: Msg, delivery: Delivery) -> bool:
    """Take no message."""
    del message, delivery
    return False


async def limited(broker: Broker) -> None:
    """Create a consumer that takes requests for four messages at most."""
    name = f"{TOPOLOGY.stream}.{TOPOLOGY.consumer}"
    config = {"durable_name": TOPOLOGY.consumer, "ack_policy": "explicit", "max_deliver": -1, "max_batch": 4}
    await broker.jetstream.delete_consumer(TOPOLOGY.stream, TOPOLOGY.consumer)
    request = json.dumps({"stream_name": TOPOLOGY.stream, "config": config}).encode()
    answer = await broker.connection.client.request(f"$JS.API.CONSUMER.DURABLE.CREATE.{name}", request)
    assert b'"error"' not in answer.data


async def test_a_refusal_is_told_and_not_repeated_at_once(nats_server: NatsServer) -> None:
    """What the broker says of a request that it refuses is told, and the waits before the next one grow."""
    async with queue(nats_server) as broker:
        await limited(broker)
        fetcher = Fetcher(broker, TOPOLOGY, nothing, expires=0.05)
        await fetcher.start()
        waits: list[float] = []
        for _ in range(7):
            assert await fetcher.fetch(5) == "NATS refuses requests for messages: Exceeded MaxRequestBatch of 4"
            waits.append(fetcher.backoff)
        assert waits == [0.0, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
        assert await fetcher.fetch(4) is None
        assert fetcher.backoff == 0.0
        await fetcher.stop()
