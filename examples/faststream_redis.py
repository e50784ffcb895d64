"""A FastStream app on Redis streams that archives the customers in messages.

    pip install thredfi-async faststream[redis]
    export THREDFI_BASE_URL=... THREDFI_PARTNER_UUID=... THREDFI_API_KEY=... REDIS_URL=redis://127.0.0.1:6379
    CONSUMER=host-1 python examples/faststream_redis.py

Each process has a name of its own, `CONSUMER`. A producer without FastStream puts the payload in the field `__data__`.
"""

import asyncio
import os
from typing import Annotated, Final

from broker_loop import as_bytes, decide, lifespan
from faststream import AckPolicy, Context, FastStream
from faststream.redis import RedisBroker, RedisStreamMessage, StreamSub

from thredfi_async.worker import ArchiveHandler, DeadLetter

CONSUMER: Final = os.environ.get("CONSUMER", "host-1")
NEW: Final = StreamSub("customers.archive", group="archiver", consumer=CONSUMER)
# Takes over the messages of a process that died, here after an hour; without it, they are never delivered again.
LEFT: Final = StreamSub("customers.archive", group="archiver", consumer=CONSUMER, min_idle_time=3_600_000)

broker = RedisBroker(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379"))
app = FastStream(broker, lifespan=lifespan)


@broker.subscriber(stream=NEW, max_workers=50, decoder=as_bytes, ack_policy=AckPolicy.MANUAL, no_reply=True)
@broker.subscriber(stream=LEFT, decoder=as_bytes, ack_policy=AckPolicy.MANUAL, no_reply=True)
async def archive(payload: bytes, message: RedisStreamMessage, handler: Annotated[ArchiveHandler, Context()]) -> None:
    """Archive one customer, and acknowledge its message only when the result is final."""
    message_id = message.raw_message["message_ids"][0].decode()
    rejected = await decide(handler, payload, message_id)
    if rejected is not None:
        letter = DeadLetter(code=rejected.code, reason=rejected.reason, original=payload, subject="customers.archive")
        await broker.publish(letter.to_json(), stream="customers.dead")
    await message.ack()


if __name__ == "__main__":
    asyncio.run(app.run())
