"""A bulk run on many machines: publishes its customers as messages for any number of workers, and collects outcomes."""

from thredfi_async.worker.fanout.collect import Collector, Until
from thredfi_async.worker.fanout.publish import Publisher, Refused, message_id_of
from thredfi_async.worker.fanout.queue_depth import QueueDepth, read_queue_depth
from thredfi_async.worker.fanout.run import DistributedRun

__all__ = [
    "Collector",
    "DistributedRun",
    "Publisher",
    "QueueDepth",
    "Refused",
    "Until",
    "message_id_of",
    "read_queue_depth",
]
