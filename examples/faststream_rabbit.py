"""A FastStream app on RabbitMQ that archives the customers in messages.

    pip install thredfi-async faststream[rabbit]
    export THREDFI_BASE_URL=... THREDFI_PARTNER_UUID=... THREDFI_API_KEY=... RABBIT_URL=amqp://127.0.0.1:5672/
    python examples/faststream_rabbit.py

RabbitMQ takes back a message that is not acknowledged within its `consumer_timeout`, 30 minutes by default. It gives
messages no id that stays the same; a producer may set one of its own, and otherwise the key derives from the body.
"""

import asyncio
import os
from typing import Annotated, Final

from broker_loop import as_bytes, decide, lifespan
from faststream import AckPolicy, Context, FastStream
from faststream.rabbit import Channel, RabbitBroker, RabbitMessage, RabbitQueue

from thredfi_async.worker import ArchiveHandler, DeadLetter

DEAD: Final = RabbitQueue("customers.dead", durable=True)

broker = RabbitBroker(os.environ.get("RABBIT_URL", "amqp://guest:guest@127.0.0.1:5672/"))
app = FastStream(broker, lifespan=lifespan)


@app.after_startup
async def declare_dead_letters() -> None:
    """Make the queue for dead letters, which no one reads here."""
    await broker.declare_queue(DEAD)


@broker.subscriber(
    RabbitQueue("customers.archive", durable=True),
    channel=Channel(prefetch_count=50),  # messages at a time
    decoder=as_bytes,
    ack_policy=AckPolicy.MANUAL,
    no_reply=True,
)
async def archive(payload: bytes, message: RabbitMessage, handler: Annotated[ArchiveHandler, Context()]) -> None:
    """Archive one customer, and acknowledge its message only when the result is final."""
    rejected = await decide(handler, payload)
    if rejected is not None:
        letter = DeadLetter(code=rejected.code, reason=rejected.reason, original=payload, subject="customers.archive")
        # Returns when the broker has stored it.
        await broker.publish(letter.to_json(), queue=DEAD, persist=True, mandatory=True)
    await message.ack()


if __name__ == "__main__":
    asyncio.run(app.run())
