"""What the FastStream apps on Kafka, RabbitMQ and Redis share.

These brokers cannot deliver one message again after a delay, so the process keeps it and tries again. A message that is
kept comes again if the process dies.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from faststream import ContextRepo
from faststream.message import StreamMessage

from thredfi_async import ThredfiClient, Timeouts
from thredfi_async.worker import ArchiveHandler, Rejected, RetryLater


@asynccontextmanager
async def lifespan(context: ContextRepo) -> AsyncGenerator[None]:
    """Own one client from start to end; it closes after the broker, when no handler runs any more."""
    async with ThredfiClient.from_env(timeouts=Timeouts(deadline=60.0)) as client:
        context.set_global("handler", ArchiveHandler(client))
        yield


async def as_bytes(message: StreamMessage[Any]) -> bytes:
    """Leave the payload unchanged: the handler rejects an invalid one, which becomes a dead letter."""
    return bytes(message.body)


async def decide(handler: ArchiveHandler, payload: bytes, message_id: str | None = None) -> Rejected | None:
    """Return when the customer is archived, or with the reason why it never will be."""
    delivery = 1
    while isinstance(decision := await handler(payload, message_id=message_id, delivery=delivery), RetryLater):
        await asyncio.sleep(decision.delay)
        delivery += 1
    return decision if isinstance(decision, Rejected) else None
