"""One dead letter in its stream, and what becomes of it."""

import enum
from hashlib import sha256

import attrs

from thredfi_async import InvalidRequestError
from thredfi_async.worker.command import ArchiveCommand
from thredfi_async.worker.events import DeadLetter
from thredfi_async.worker.jetstream import StoredMessage


@attrs.frozen(kw_only=True)
class StoredLetter:
    """A message in the stream of dead letters.

    Args:
        number: Its sequence number there, by which it is named.
        letter: What it holds; None if it is no dead letter that this release reads.
        fingerprint: Tells it from another letter that has the same number in a stream that was created anew.
    """

    number: int
    letter: DeadLetter | None
    fingerprint: str

    @property
    def command(self) -> ArchiveCommand | None:
        """The command that was given up; None if the original holds none, or not all of it."""
        if self.letter is None or self.letter.cut:
            return None
        try:
            return ArchiveCommand.from_json(self.letter.original)
        except InvalidRequestError:
            return None


class Ended(enum.StrEnum):
    """What became of a dead letter."""

    REDRIVEN = "redriven"
    """Its command is in the queue, and the letter is deleted."""
    REDRIVEN_BEFORE = "redriven_before"
    """Its command is in the queue from another redrive, and the letter is deleted."""
    LEFT = "left"
    """It is kept: another redrive put its command into the queue, where it is no more; a worker is done with it, unless
    the queue was purged."""
    DISCARDED = "discarded"
    """It is deleted."""
    CUT = "cut"
    """It is kept: it does not hold all of the original message."""
    TOO_LARGE = "too_large"
    """It is kept: the queue takes no message of this size."""
    UNREADABLE = "unreadable"
    """It is kept: it is no dead letter that this release reads."""


def letter_in(message: StoredMessage) -> StoredLetter:
    """Return the letter that a message of the stream holds."""
    try:
        letter = DeadLetter.from_json(message.data)
    except InvalidRequestError:
        letter = None
    return StoredLetter(number=message.sequence, letter=letter, fingerprint=sha256(message.data).hexdigest()[:16])
