"""Errors between a worker and its broker."""

from thredfi_async import ThredfiError


class BrokerError(ThredfiError):
    """NATS cannot be reached or refuses a request; the message says why, and what to do."""
