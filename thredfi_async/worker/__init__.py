"""Archiving in event-driven workers: a handler for any broker, and a worker for NATS JetStream (extra `worker`)."""

from thredfi_async.worker.command import ArchiveCommand
from thredfi_async.worker.errors import BrokerError
from thredfi_async.worker.events import DeadLetter, OutcomeEvent
from thredfi_async.worker.handler import ArchiveHandler, Decision, Done, Rejected, RetryLater
from thredfi_async.worker.settings import NatsSettings
from thredfi_async.worker.topology import Topology

__all__ = [
    "ArchiveCommand",
    "ArchiveHandler",
    "BrokerError",
    "DeadLetter",
    "Decision",
    "Done",
    "NatsSettings",
    "OutcomeEvent",
    "Rejected",
    "RetryLater",
    "Topology",
]
