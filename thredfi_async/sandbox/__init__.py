"""A fake Thredfi server on loopback, with faults on demand.

It imports nothing of the client, so that the two cannot share a mistake.
"""

from thredfi_async.sandbox.faults import Fault, FaultKind, Faults
from thredfi_async.sandbox.record import CustomerRecord, Record
from thredfi_async.sandbox.seed import SeededCustomer, seeded_customers
from thredfi_async.sandbox.server import SandboxServer
from thredfi_async.sandbox.thread import in_thread

__all__ = [
    "CustomerRecord",
    "Fault",
    "FaultKind",
    "Faults",
    "Record",
    "SandboxServer",
    "SeededCustomer",
    "in_thread",
    "seeded_customers",
]
