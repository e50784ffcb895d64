"""Archiving in event-driven workers: a handler for any broker, and a worker for NATS JetStream (extra `worker`).

This package imports the handler at once, and `Worker` when it is first used, since that needs nats-py and
prometheus-client.
"""

from typing import TYPE_CHECKING

from thredfi_async import ConfigurationError
from thredfi_async._extras import how_to_install
from thredfi_async.bulk import ArchiveClient
from thredfi_async.worker.command import ArchiveCommand
from thredfi_async.worker.errors import BrokerError
from thredfi_async.worker.events import DeadLetter, OutcomeEvent
from thredfi_async.worker.handler import ArchiveHandler, Decision, Done, Rejected, RetryLater
from thredfi_async.worker.options import WorkerOptions
from thredfi_async.worker.settings import NatsSettings
from thredfi_async.worker.stream_config import StreamConfig

if TYPE_CHECKING:
    from thredfi_async.worker.worker import Worker

__all__ = [
    "ArchiveClient",
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
    "StreamConfig",
    "Worker",
    "WorkerOptions",
]


def __getattr__(name: str) -> object:
    if name != "Worker":
        raise AttributeError(f"module {__name__} has no attribute {name}")
    try:
        from thredfi_async.worker.worker import Worker  # noqa: PLC0415 - see above
    except ModuleNotFoundError as error:
        sentence = f"{error.name} is not installed: {how_to_install('worker')}"
        raise ConfigurationError(sentence) from None
    return Worker
