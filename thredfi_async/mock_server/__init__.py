"""A fake Thredfi server on loopback, with faults on demand.

It imports nothing of the client, so that the two cannot share a mistake.
"""

from thredfi_async.mock_server.faults import Fault, FaultKind, Faults
from thredfi_async.mock_server.request_log import CustomerRecord, RequestLog
from thredfi_async.mock_server.seed import SeededCustomer, seeded_customers
from thredfi_async.mock_server.server import MockServer
from thredfi_async.mock_server.thread import in_thread

__all__ = [
    "CustomerRecord",
    "Fault",
    "FaultKind",
    "Faults",
    "MockServer",
    "RequestLog",
    "SeededCustomer",
    "in_thread",
    "seeded_customers",
]
