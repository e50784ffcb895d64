"""Files of customers to archive, read as a stream: CSV, JSON Lines and Parquet, one `ArchiveItem` a record.

`open_source` looks at a file's form and its columns before a run sends anything. A `Source` then yields items in the
file's order, and hands every invalid record to a callback and to the file of invalid lines. Nothing here quotes what stands in a
record: it may be anybody's name.
"""

from thredfi_async.bulk.readers.format_detection import FORMATS, Format
from thredfi_async.bulk.readers.invalid_line import InvalidLine
from thredfi_async.bulk.readers.source import Check, Source, open_source

__all__ = ["FORMATS", "Check", "Format", "InvalidLine", "Source", "open_source"]
