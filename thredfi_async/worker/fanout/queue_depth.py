"""How much there is left to do, as the broker knows it."""

import contextlib

import attrs
from nats.js.errors import NotFoundError

from thredfi_async.worker.broker import TROUBLE, Broker, words
from thredfi_async.worker.errors import BrokerError
from thredfi_async.worker.stream_config import StreamConfig


@attrs.frozen(kw_only=True)
class QueueDepth:
    """What is in the streams.

    Args:
        waiting: Commands that no worker holds.
        in_flight: Commands that workers hold.
        dead: Dead letters.
        outcomes: The sequence number of the last outcome event; 0 before the first.
        oldest: The sequence number of the oldest outcome event that is kept.
        epoch: Changes when the stream of outcomes is made anew, and its numbers begin again.
    """

    waiting: int
    in_flight: int
    dead: int
    outcomes: int
    oldest: int
    epoch: str

    @property
    def queued(self) -> int:
        """Commands that are not done."""
        return self.waiting + self.in_flight


async def read_queue_depth(broker: Broker, stream_config: StreamConfig) -> QueueDepth:
    """Ask the broker.

    The queue is looked at before the outcomes: a worker stores an outcome before it takes the command off the queue,
    so that an empty queue means that every outcome counts up to `outcomes`.

    Args:
        broker: The broker, connected.
        stream_config: The names.

    Returns:
        The metrics.

    Raises:
        BrokerError: A stream is missing, or the broker does not answer.
    """
    jetstream = broker.jetstream
    try:
        waiting, in_flight = (await jetstream.stream_info(stream_config.stream)).state.messages, 0
        # The workers' consumer knows better, if there is one: a broker that was killed may keep messages in the stream
        # whose acknowledgement it has stored (seen with nats-server 2.9).
        with contextlib.suppress(NotFoundError):
            consumer = await jetstream.consumer_info(stream_config.stream, stream_config.consumer)
            waiting, in_flight = consumer.num_pending or 0, consumer.num_ack_pending or 0
        outcomes = await jetstream.stream_info(stream_config.outcomes_stream)
        dead = (await jetstream.stream_info(stream_config.dead_stream)).state
    except NotFoundError:
        raise BrokerError(
            f"NATS has no streams {stream_config.stream}, {stream_config.outcomes_stream} and {stream_config.dead_stream}: look at "
            "--stream, or publish or start a worker first, which make them"
        ) from None
    except TROUBLE as error:
        raise BrokerError(f"NATS does not say how far the queue is: {words(error)}") from None
    return QueueDepth(
        waiting=waiting,
        in_flight=in_flight,
        dead=dead.messages,
        outcomes=outcomes.state.last_seq,
        oldest=outcomes.state.first_seq,
        epoch=f"{stream_config.outcomes_stream} {outcomes.created.isoformat()}",
    )
