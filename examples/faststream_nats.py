"""A FastStream app on NATS JetStream that archives the customers in messages.

    pip install thredfi-async faststream[nats]
    export THREDFI_BASE_URL=... THREDFI_PARTNER_UUID=... THREDFI_API_KEY=... NATS_URL=nats://127.0.0.1:4222
    python examples/faststream_nats.py
    nats pub customers.archive '{"version": 1, "business_id": "BUSINESS_ID", "customer_id": "CUSTOMER_ID"}'

The handler knows no broker: for another one, change only what `archive` below does with its decision.
"""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Final

from faststream import AckPolicy, Context, ContextRepo, FastStream
from faststream.nats import ConsumerConfig, JStream, NatsBroker, NatsMessage, PullSub, RetentionPolicy

from thredfi_async import ThredfiClient, Timeouts
from thredfi_async.worker import ArchiveHandler, DeadLetter, Done, Rejected, RetryLater

WORKERS: Final = 50
"""Messages in flight, and connections to the API."""

# The broker delivers a message again after `ack_wait`: it must be longer than a message's wait and call together.
# Without `max_deliver`, since JetStream leaves messages that reach it in the stream.
CONSUMER: Final = ConsumerConfig(ack_wait=300.0, max_deliver=-1, max_ack_pending=2 * WORKERS)
COMMANDS: Final = JStream("CUSTOMERS", retention=RetentionPolicy.WORK_QUEUE)
DEAD: Final = JStream("CUSTOMERS_DEAD")


@asynccontextmanager
async def lifespan(context: ContextRepo) -> AsyncGenerator[None]:
    """Own one client from start to end; it closes after the broker, when no handler runs any more."""
    async with ThredfiClient.from_env(timeouts=Timeouts(deadline=60.0), max_connections=WORKERS) as client:
        context.set_global("handler", ArchiveHandler(client))
        yield


# Otherwise FastStream logs two lines per message.
broker = NatsBroker(os.environ.get("NATS_URL", "nats://127.0.0.1:4222"), log_level=logging.DEBUG)
app = FastStream(broker, lifespan=lifespan)
dead_letters = broker.publisher("dead.customers", stream=DEAD)


async def as_bytes(message: NatsMessage) -> bytes:
    """Leave the payload unchanged: the handler rejects an invalid one, which becomes a dead letter."""
    return message.body


@broker.subscriber(
    "customers.archive",
    stream=COMMANDS,
    durable="archiver",
    config=CONSUMER,
    pull_sub=PullSub(),
    max_workers=WORKERS,
    decoder=as_bytes,
    ack_policy=AckPolicy.MANUAL,
    no_reply=True,
)
async def archive(payload: bytes, message: NatsMessage, handler: Annotated[ArchiveHandler, Context()]) -> None:
    """Archive one customer, and acknowledge its message only when the result is final.

    If anything here raises, the message is not acknowledged, and is delivered again after `ack_wait`.
    """
    delivered = message.raw_message.metadata
    # The same for every delivery, so that the API gets the same idempotency key each time.
    message_id = f"{delivered.stream}-{delivered.sequence.stream}"
    decision = await handler(payload, message_id=message_id, delivery=delivered.num_delivered)
    match decision:
        case Done():
            await message.ack()
        case Rejected(code=code, reason=reason):
            letter = DeadLetter(code=code, reason=reason, original=payload, subject=message.raw_message.subject)
            # Returns when the broker has stored it; only then acknowledge the message.
            await dead_letters.publish(letter.to_json())
            await message.ack()
        case RetryLater(delay=delay):
            await message.nack(delay=delay)


if __name__ == "__main__":
    # On SIGTERM, messages in flight end first, then the app.
    asyncio.run(app.run())
