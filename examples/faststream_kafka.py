"""A FastStream app on Kafka that archives the customers in messages.

    pip install thredfi-async faststream[kafka]
    export THREDFI_BASE_URL=... THREDFI_PARTNER_UUID=... THREDFI_API_KEY=... KAFKA_SERVERS=127.0.0.1:9092
    python examples/faststream_kafka.py

Kafka commits a position, not a message, so each consumer takes one message at a time: use more partitions to be faster.
"""

import asyncio
import os
from typing import Annotated

from broker_loop import as_bytes, decide, lifespan
from faststream import AckPolicy, Context, FastStream
from faststream.kafka import KafkaBroker, KafkaMessage

from thredfi_async.worker import ArchiveHandler, DeadLetter

broker = KafkaBroker(os.environ.get("KAFKA_SERVERS", "127.0.0.1:9092"), acks="all")
app = FastStream(broker, lifespan=lifespan)


@broker.subscriber(
    "customers.archive",
    group_id="archiver",
    auto_offset_reset="earliest",
    max_poll_interval_ms=3_600_000,  # an outage of the API that is longer costs a rebalance
    decoder=as_bytes,
    ack_policy=AckPolicy.MANUAL,
    no_reply=True,
)
async def archive(payload: bytes, message: KafkaMessage, handler: Annotated[ArchiveHandler, Context()]) -> None:
    """Archive one customer, and commit its message only when the result is final."""
    record = message.raw_message
    assert not isinstance(record, tuple), "this subscriber takes no batches"  # noqa: S101 - it narrows the type
    rejected = await decide(handler, payload, f"{record.topic}-{record.partition}-{record.offset}")
    if rejected is not None:
        letter = DeadLetter(code=rejected.code, reason=rejected.reason, original=payload, subject=record.topic)
        # Returns when the broker has stored it.
        await broker.publish(letter.to_json(), "customers.dead")
    await message.ack()


if __name__ == "__main__":
    asyncio.run(app.run())
