"""Errors between a worker and its broker."""

from typing import ClassVar

from thredfi_async import ThredfiError
from thredfi_async._outcomes import Fault, Remedy, Row


class BrokerError(ThredfiError):
    """NATS cannot be reached or refuses a request; the message says why, and what to do."""

    row: ClassVar[Row] = Row(ThredfiError, Fault.SETTINGS, Remedy.CHECK_BROKER, code="broker_error")


class NotDoneError(BrokerError):
    """NATS was reached, and did not do in time what it was asked for."""

    row: ClassVar[Row] = Row(ThredfiError, Fault.SETTINGS, Remedy.RUN_AGAIN_LATER, code="broker_error")
