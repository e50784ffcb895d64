"""A run over a queue in its journal: which items were published, and their outcomes."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from thredfi_async.bulk import ArchiveItem, ItemState, JournalError
from thredfi_async.bulk.journal import Journal, Outcome
from thredfi_async.bulk.journal.store import Known
from thredfi_async.worker.fanout.publish import Refused, message_id_of
from thredfi_async.worker.fanout.queue_depth import QueueDepth
from thredfi_async.worker.fanout.tally import Tally
from thredfi_async.worker.stream_config import StreamConfig

_PENDING: Final = "pending"
_GIVEN_UP: Final = frozenset({ItemState.FAILED, ItemState.UNKNOWN})
_AGAIN: Final = _GIVEN_UP | {_PENDING}


class DistributedRun:
    """Keeps the journal of a run over a queue; its methods block, and only one thread at a time may call them.

    A row is `pending` from just before its message is published until its outcome is collected.

    Args:
        journal: The journal, open for writing.
        stream_config: The queue.

    Attributes:
        duplicates: Items listed more than once in this publication.
        settled: Items of this publication that already have their final outcome.

    Raises:
        JournalError: It is the journal of another run.
    """

    def __init__(self, journal: Journal, stream_config: StreamConfig) -> None:
        facts = journal.run
        queue = facts.get("queue")
        if queue is None and "sessions" in facts:
            raise JournalError(f"{journal.path} is the journal of a run without a queue: name another one")
        if queue not in {None, stream_config.stream}:
            raise JournalError(
                f"{journal.path} is the journal of a run over the queue {queue}, not {stream_config.stream}"
            )
        self.duplicates: int = 0
        self.settled: int = 0
        self._journal = journal
        self._stream_config = stream_config
        # Without a list, every customer in the events belongs to the run.
        self._listed = "queue_listed" in facts
        self._position = 0
        self._unsent: set[bytes] = set()
        self._given_up: set[bytes] = set()
        self._refused: deque[Outcome] = deque()
        self._tally = Tally()
        journal.describe(queue=stream_config.stream)

    def key(self, item: ArchiveItem) -> str:
        """Return an item's idempotency key, the same each time this run publishes it."""
        return self._journal.key_of(item.business_id, item.customer_id)

    def message_id(self, item: ArchiveItem) -> str:
        """Return an item's message id; a new one after a worker gave the item up."""
        again = f"/{self._journal.rows.session}" if _key(item) in self._given_up else ""
        return f"{message_id_of(item)}{again}"

    def begin(self, state: QueueDepth) -> None:
        """Start publishing; outcomes from before the first start belong to other runs.

        Args:
            state: The broker's state before the first message.
        """
        self._journal.begin()
        if not self._listed:
            self._listed = True
            self._journal.describe(queue_listed=1, outcomes_epoch=state.epoch, outcomes_next=state.outcomes + 1)

    def take(self, chunk: Sequence[ArchiveItem]) -> Sequence[ArchiveItem]:
        """Record items before they are published.

        Args:
            chunk: Items, in the input's order.

        Returns:
            The items to publish: neither repeated nor settled.
        """
        with self._journal.transaction() as rows:
            known = rows.admit(self._position, [_key(item) for item in chunk], [item.line for item in chunk])
            self._position += len(chunk)
            wanted = self._wanted(chunk, known)
            rows.retake(each.position for _, each in wanted if each.state is not None)
        self._write_refused()
        # An earlier session may have published its items, except those that have failed since.
        self._unsent = {_key(item) for item, each in wanted if each.state in {None, ItemState.FAILED}}
        self._given_up.update(_key(item) for item, each in wanted if each.state in _GIVEN_UP)
        return [item for item, _ in wanted]

    def refuse(self, refused: Refused) -> None:
        """Queue the record of an item that cannot become a message, for the next write."""
        item = refused.item
        self._refused.append(
            Outcome(
                business_id=item.business_id,
                customer_id=item.customer_id,
                state=ItemState.REJECTED,
                code=refused.code,
            )
        )

    def release(self, items: Iterable[ArchiveItem]) -> None:
        """Remove the records of items that were not published after all, and write what is queued."""
        keys = [key for item in items if (key := _key(item)) in self._unsent]
        with self._journal.transaction() as rows:
            if keys:
                known = rows.admit(self._position, keys)
                rows.release({key: each.position for key, each in zip(keys, known, strict=True)})
        self._write_refused()

    def start(self, state: QueueDepth) -> int:
        """Return the sequence number to collect from: the last position, if the stream is still the same.

        A broker that loses its power may lose the last events of a stream, whose numbers are used again then.
        """
        facts = self._journal.run
        if facts.get("outcomes_epoch") == state.epoch:
            return min(int(facts["outcomes_next"]), state.outcomes + 1)
        self._journal.describe(outcomes_epoch=state.epoch, outcomes_next=1)
        return 1

    def record(self, outcomes: Sequence[Outcome], following: int, in_flight: int) -> int:
        """Record outcomes with the next position, and then a sample of the run; return how many belong to the run."""
        ours = self._ours(outcomes)
        self._journal.record(ours, {"outcomes_next": str(following)})
        sample = self._tally.sample(ours, in_flight)
        if sample is not None:
            with self._journal.transaction(sample):
                pass
        return len(ours)

    def _ours(self, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        if not self._listed:
            return outcomes
        keys = [_key(outcome) for outcome in outcomes]
        known = self._journal.rows.known(keys)
        return [outcome for key, outcome in zip(keys, outcomes, strict=True) if key in known]

    def _wanted(self, chunk: Sequence[ArchiveItem], known: Sequence[Known]) -> list[tuple[ArchiveItem, Known]]:
        wanted: dict[int, tuple[ArchiveItem, Known]] = {}
        for item, each in zip(chunk, known, strict=True):
            if each.state not in _AGAIN and each.state is not None:
                self.settled += 1
            elif each.position in wanted or (each.state is not None and each.session == self._journal.rows.session):
                self.duplicates += 1
            else:
                wanted[each.position] = item, each
        return list(wanted.values())

    def _write_refused(self) -> None:
        refused: list[Outcome] = []
        while self._refused:
            refused.append(self._refused.popleft())
        if refused:
            self._journal.record(refused)


def _key(item: ArchiveItem | Outcome) -> bytes:
    return item.customer_id.bytes + item.business_id.bytes
