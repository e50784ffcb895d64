"""A worker on SQS that archives the customers in messages.

    pip install thredfi-async aiobotocore
    export THREDFI_BASE_URL=... THREDFI_PARTNER_UUID=... THREDFI_API_KEY=...
    python examples/sqs.py QUEUE_URL DEAD_LETTERS_URL

Leave `maxReceiveCount` of a redrive policy high: an outage of the API spends deliveries here.
"""

import asyncio
import sys
from importlib import import_module
from math import ceil
from typing import Any

from thredfi_async import ThredfiClient, Timeouts
from thredfi_async.worker import ArchiveHandler, DeadLetter, Done, Rejected, RetryLater


async def settle(sqs: Any, queue: str, dead: str, handler: ArchiveHandler, message: Any) -> None:  # noqa: ANN401 - botocore makes its clients from JSON
    """Archive one customer, and delete its message only when the result is final."""
    payload, receipt = message["Body"].encode(), message["ReceiptHandle"]
    delivery = int(message["Attributes"]["ApproximateReceiveCount"])
    match await handler(payload, message_id=message["MessageId"], delivery=delivery):
        case RetryLater(delay=delay):
            seconds = min(ceil(delay), 43_200)
            await sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=receipt, VisibilityTimeout=seconds)
            return
        case Rejected(code=code, reason=reason):
            letter = DeadLetter(code=code, reason=reason, original=payload, subject=queue)
            await sqs.send_message(QueueUrl=dead, MessageBody=letter.to_json().decode())
        case Done():
            pass
    await sqs.delete_message(QueueUrl=queue, ReceiptHandle=receipt)


async def consume(sqs: Any, queue: str, dead: str, handler: ArchiveHandler) -> None:  # noqa: ANN401 - as above
    """Take ten messages after ten messages, until it is cancelled."""
    while True:
        answer = await sqs.receive_message(
            QueueUrl=queue,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=20,
            VisibilityTimeout=300,  # longer than a call takes: queue and deadline of `Timeouts`
            AttributeNames=["ApproximateReceiveCount"],
        )
        async with asyncio.TaskGroup() as group:
            for message in answer.get("Messages", []):
                group.create_task(settle(sqs, queue, dead, handler, message))


async def main(queue: str, dead: str) -> None:
    """Own the clients for as long as the worker runs."""
    session: Any = import_module("aiobotocore.session").get_session()
    async with (
        session.create_client("sqs") as sqs,
        ThredfiClient.from_env(timeouts=Timeouts(queue=30.0, deadline=60.0)) as client,
    ):
        await consume(sqs, queue, dead, ArchiveHandler(client))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
