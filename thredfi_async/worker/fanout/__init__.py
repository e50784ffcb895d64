"""One bulk run on many machines: its customers become messages for any number of workers, and outcomes come back."""

from thredfi_async.worker.fanout.backlog import Backlog, backlog
from thredfi_async.worker.fanout.collect import Collector, Until
from thredfi_async.worker.fanout.publish import Publisher, Refused, message_id_of
from thredfi_async.worker.fanout.run import QueueRun

__all__ = ["Backlog", "Collector", "Publisher", "QueueRun", "Refused", "Until", "backlog", "message_id_of"]
