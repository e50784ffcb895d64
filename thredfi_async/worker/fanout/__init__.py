"""One bulk run on many machines: its customers become messages for any number of workers, and outcomes come back."""

from thredfi_async.worker.fanout.backlog import Backlog, backlog
from thredfi_async.worker.fanout.collect import Collector, Until
from thredfi_async.worker.fanout.publish import Publisher, Refused

__all__ = ["Backlog", "Collector", "Publisher", "Refused", "Until", "backlog"]
