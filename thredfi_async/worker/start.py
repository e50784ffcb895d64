"""The start of a worker: NATS is reached, streams and consumer are there, and the API accepts the credentials.

Whatever is missing, the worker goes on trying, as it does later; only settings that can never work end it.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final, NamedTuple

from thredfi_async import Clock, ConfigurationError, ThredfiClient, ThredfiError
from thredfi_async._outcomes import Fault, classify, code_of
from thredfi_async.worker.broker import Broker
from thredfi_async.worker.conditions import Conditions
from thredfi_async.worker.errors import BrokerError
from thredfi_async.worker.stream_config import StreamConfig
from thredfi_async.worker.streams import ensure_consumer, ensure_streams

CHECK_SECONDS: Final = 60.0
"""Seconds after which a running worker checks its streams and consumer again, which someone may have changed."""
_WAIT_INITIAL: Final = 0.5
_WAIT_MAX: Final = 5.0
_SLOWLY: Final = 30.0
"""Seconds between two tries while the API refuses the credentials, which only people change."""

logger: logging.Logger = logging.getLogger("thredfi_async.worker")


class PreparedQueue(NamedTuple):
    """A queue whose streams and consumer are there.

    Args:
        ack_wait: Seconds after which the broker delivers a message again.
        created_at: When the stream of its commands was created, in nanoseconds since 1970.
    """

    ack_wait: float
    created_at: int


async def prepare_queue(
    broker: Broker, stream_config: StreamConfig, clock: Clock, *, again_after: float | None = None
) -> PreparedQueue:
    """Create the streams and the consumer where they are missing; again and again until the broker has done it.

    Args:
        broker: The broker.
        stream_config: The names.
        clock: Sleeps between the tries.
        again_after: Seconds to wait first, for a worker that runs already: it also waits until what someone has changed
            is suitable again. None, the default, at the start.

    Raises:
        ConfigurationError: At the start, an existing stream or consumer is not suitable.
    """
    endured = BrokerError if again_after is None else (BrokerError, ConfigurationError)
    await clock.sleep(again_after or 0.0)
    wait = _WAIT_INITIAL
    while True:
        try:
            await broker.connection.is_up.wait()
            created_at = await ensure_streams(broker, stream_config)
            ack_wait = await ensure_consumer(broker, stream_config)
        except endured as error:
            broker.conditions.begin("queue", str(error))
            logger.warning("%s; trying again within %g s", error, wait)
            await clock.sleep(wait)
            wait = min(_WAIT_MAX, wait * 2)
        else:
            broker.conditions.end("queue")
            return PreparedQueue(ack_wait, created_at)


async def prove_credentials(client: object, conditions: Conditions, clock: Clock) -> None:
    """Get a token, again and again until the API gives one; a fixed token is proved by the first call instead.

    Args:
        client: The client; a stand-in for one has nothing to prove.
        conditions: Is told why there is no token.
        clock: Sleeps between the tries.

    Raises:
        ClientStateError: The client is closed.
    """
    if not isinstance(client, ThredfiClient):
        return
    wait = _WAIT_INITIAL
    while True:
        try:
            proved = await client.authenticate()
        except ThredfiError as error:
            if classify(error).fault is Fault.CLIENT:
                raise
            longest = _SLOWLY if classify(error).fault in {Fault.SETTINGS, Fault.TOKEN} else _WAIT_MAX
            what = "refuses the credentials" if longest == _SLOWLY else "gives no token"
            conditions.begin("credentials", f"the API {what}: {code_of(error)}")
            logger.warning("the API %s (%s): %s; trying again within %g s", what, code_of(error), error, wait)
            await clock.sleep(wait)
            wait = min(longest, wait * 2)
        else:
            conditions.end("credentials")
            if proved:
                logger.info("the API accepted the credentials")
            else:
                logger.info("the credentials are a fixed token, which the first call proves")
            return


async def until_stopped(work: Coroutine[Any, Any, object], stopping: asyncio.Event) -> bool:
    """Do some work, unless a stop comes first, which cancels it.

    Args:
        work: The work.
        stopping: Set by the stop.

    Returns:
        Whether the work was done.
    """
    working, stop = asyncio.ensure_future(work), asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait({working, stop}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait({working})
    if working.cancelled():
        return False
    working.result()
    return True
