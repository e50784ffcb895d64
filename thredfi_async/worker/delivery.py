"""What the broker says of a message that it delivers: all of it stands in the subject for the acknowledgement."""

from typing import Final, NamedTuple, Self

_PREFIX: Final = "$JS.ACK."
_FEWEST: Final = 9
_WITH_DOMAIN: Final = 11
"""Tokens from which on a domain and an account stand before the stream, and more may follow at the end."""
_MOST_DELIVERIES: Final = 2**31 - 1
_LONGEST_NUMBER: Final = 19


class Delivery(NamedTuple):
    """One delivery of a message.

    Not nats-py's metadata, which costs as much as to decode a command.

    Args:
        stream: The stream.
        consumer: The consumer.
        deliveries: How often the message was delivered, this time included.
        sequence: Its sequence number in the stream.
        stored_at: When it was stored, in nanoseconds since 1970.
    """

    stream: str
    consumer: str
    deliveries: int
    sequence: int
    stored_at: int

    @classmethod
    def of(cls, reply: str) -> Self | None:
        """Return what a reply subject says; None if it is not of a delivery."""
        tokens = reply.split(".")
        if not reply.startswith(_PREFIX) or not (len(tokens) == _FEWEST or len(tokens) >= _WITH_DOMAIN):
            return None
        start = 2 if len(tokens) == _FEWEST else 4
        stream, consumer, *numbers = tokens[start : start + 6]
        if not all(each.isdecimal() and each.isascii() and len(each) <= _LONGEST_NUMBER for each in numbers):
            return None
        deliveries, sequence, _, stored_at = map(int, numbers)
        return cls(stream, consumer, deliveries, sequence, stored_at) if 0 < deliveries <= _MOST_DELIVERIES else None

    @property
    def message_id(self) -> str:
        """Identifies the message over its deliveries, also if the stream is recreated and counts from 1 again."""
        return f"{self.stream}/{self.sequence}/{self.stored_at / 1e9:.6f}"
