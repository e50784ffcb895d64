"""The number of commands left to do, read from the broker."""

import contextlib

import attrs
from nats.js.errors import NotFoundError

from thredfi_async.worker.broker import Broker
from thredfi_async.worker.errors import BrokerError
from thredfi_async.worker.nats_errors import TROUBLE
from thredfi_async.worker.stream_config import StreamConfig


@attrs.frozen(kw_only=True)
class QueueDepth:
    """The contents of the streams.

    Args:
        waiting: Commands that no worker holds.
        in_flight: Commands that workers hold.
        outcomes: The sequence number of the last outcome event; 0 before the first.
        oldest: The sequence number of the oldest outcome event that is kept.
        epoch: Changes when the stream of outcomes is recreated and its numbers restart.
    """

    waiting: int
    in_flight: int
    outcomes: int
    oldest: int
    epoch: str

    @property
    def queued(self) -> int:
        """Commands that are not done."""
        return self.waiting + self.in_flight


async def read_queue_depth(broker: Broker, stream_config: StreamConfig) -> QueueDepth:
    """Read the queue depth from the broker.

    It reads the queue before the outcomes: a worker stores an outcome before it removes the command from the queue, so
    an empty queue means that `outcomes` covers every outcome.

    Args:
        broker: The broker, connected.
        stream_config: The names.

    Returns:
        The queue depth.

    Raises:
        BrokerError: A stream is missing, or the broker does not answer.
    """
    try:
        jetstream = broker.jetstream
        waiting, in_flight = (await jetstream.stream_info(stream_config.stream)).state.messages, 0
        # The workers' consumer is more accurate, if there is one: a broker that was killed may keep messages in the
        # stream whose acknowledgement it has stored (seen with nats-server 2.9).
        with contextlib.suppress(NotFoundError):
            consumer = await jetstream.consumer_info(stream_config.stream, stream_config.consumer)
            waiting, in_flight = consumer.num_pending or 0, consumer.num_ack_pending or 0
        outcomes = await jetstream.stream_info(stream_config.outcomes_stream)
    except NotFoundError:
        names = f"{stream_config.stream} and {stream_config.outcomes_stream}"
        raise BrokerError(
            f"NATS has no streams {names}: check --stream, or publish or start a worker first, which creates them"
        ) from None
    except TROUBLE as error:
        raise BrokerError(f"cannot read the queue depth from NATS: {broker.connection.why(error)}") from None
    return QueueDepth(
        waiting=waiting,
        in_flight=in_flight,
        outcomes=outcomes.state.last_seq,
        oldest=outcomes.state.first_seq,
        epoch=f"{stream_config.outcomes_stream} {outcomes.created.isoformat()}",
    )
