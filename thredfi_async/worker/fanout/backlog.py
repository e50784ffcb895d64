"""How much there is left to do, as the broker knows it."""

import attrs
from nats.js.errors import NotFoundError

from thredfi_async.worker.broker import TROUBLE, Broker, words
from thredfi_async.worker.errors import BrokerError
from thredfi_async.worker.topology import Topology


@attrs.frozen(kw_only=True)
class Backlog:
    """What is in the streams.

    Args:
        queued: Commands that are not done: those that wait, and those that workers hold.
        held: Commands that workers hold.
        dead: Dead letters.
        outcomes: The sequence number of the last outcome event; 0 before the first.
        oldest: The sequence number of the oldest outcome event that is kept.
        epoch: Changes when the stream of outcomes is made anew, and its numbers begin again.
    """

    queued: int
    held: int
    dead: int
    outcomes: int
    oldest: int
    epoch: str

    @property
    def waiting(self) -> int:
        """Commands that no worker holds."""
        return max(self.queued - self.held, 0)


async def backlog(broker: Broker, topology: Topology) -> Backlog:
    """Ask the broker.

    The queue is looked at before the outcomes: a worker stores an outcome before it takes the command off the queue,
    so that an empty queue means that every outcome counts up to `outcomes`.

    Args:
        broker: The broker, connected.
        topology: The names.

    Returns:
        The figures.

    Raises:
        BrokerError: A stream is missing, or the broker does not answer.
    """
    jetstream = broker.jetstream
    try:
        queue = (await jetstream.stream_info(topology.stream)).state
        try:
            held = (await jetstream.consumer_info(topology.stream, topology.consumer)).num_ack_pending
        except NotFoundError:
            held = 0  # no worker was ever started
        outcomes = await jetstream.stream_info(topology.outcomes_stream)
        dead = (await jetstream.stream_info(topology.dead_stream)).state
    except NotFoundError:
        raise BrokerError(
            f"NATS has no streams {topology.stream}, {topology.outcomes_stream} and {topology.dead_stream}: look at "
            "--stream, or publish or start a worker first, which make them"
        ) from None
    except TROUBLE as error:
        raise BrokerError(f"NATS does not say how far the queue is: {words(error)}") from None
    return Backlog(
        queued=queue.messages,
        held=held or 0,
        dead=dead.messages,
        outcomes=outcomes.state.last_seq,
        oldest=outcomes.state.first_seq,
        epoch=f"{topology.outcomes_stream} {outcomes.created.isoformat()}",
    )
