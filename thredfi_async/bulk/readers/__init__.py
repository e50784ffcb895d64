"""Files of customers to archive, read as a stream: CSV, JSON Lines and Parquet, one `ArchiveItem` a record.

`open_source` checks a file's format and columns before a run sends anything. A `Source` then yields items in the file's
order, and hands every invalid record to a callback and to the file of invalid lines. Nothing here quotes a record's
values, which may be personal data.
"""

from thredfi_async.bulk.readers.format_detection import FORMATS, Format
from thredfi_async.bulk.readers.invalid_line import InvalidLine
from thredfi_async.bulk.readers.io import Fingerprint
from thredfi_async.bulk.readers.source import Check, Source, open_source

__all__ = ["FORMATS", "Check", "Fingerprint", "Format", "InvalidLine", "Source", "open_source"]
