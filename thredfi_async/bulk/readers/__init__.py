"""Files of customers to archive, read as a stream: CSV, JSON Lines and Parquet, one `ArchiveItem` a record.

`open_source` looks at a file's form and its columns before a run sends anything. A `Source` then yields items in the
file's order, and hands every bad record to a callback and to the rejected file. Nothing here quotes what stands in a
record: it may be anybody's name.
"""

from thredfi_async.bulk.readers.bad_line import BadLine
from thredfi_async.bulk.readers.layout import FORMATS, Format
from thredfi_async.bulk.readers.source import Check, Source, open_source

__all__ = ["FORMATS", "BadLine", "Check", "Format", "Source", "open_source"]
