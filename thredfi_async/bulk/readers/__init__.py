"""Files of customers to archive, read as a stream: CSV, workbooks, JSON and Parquet, one `ArchiveItem` a record.

`open_source` checks a file's format and columns before a run sends anything. A `Source` then yields items in the file's
order, and hands every invalid record to a callback and to the file of invalid lines. Nothing here quotes a record's
values, which may be personal data.
"""

from thredfi_async.bulk.readers.fingerprint import Fingerprint
from thredfi_async.bulk.readers.invalid_line import InvalidLine
from thredfi_async.bulk.readers.scan import EncodingError
from thredfi_async.bulk.readers.source import Check, Source, open_source
from thredfi_async.bulk.reading_options import FORMATS, Format, ReadingOptions

__all__ = [
    "FORMATS",
    "Check",
    "EncodingError",
    "Fingerprint",
    "Format",
    "InvalidLine",
    "ReadingOptions",
    "Source",
    "open_source",
]
