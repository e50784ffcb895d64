"""What can go wrong between a worker and its broker."""

from thredfi_async import ThredfiError


class BrokerError(ThredfiError):
    """NATS cannot be reached, or refuses what is asked of it; the sentence says what, and what to do."""
