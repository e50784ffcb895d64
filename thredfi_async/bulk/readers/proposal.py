"""Proposes how a file can be read that cannot be used as it was asked for."""

from pathlib import Path
from uuid import UUID

from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.readers.candidates import Proposal, propose
from thredfi_async.bulk.readers.columns import Rules
from thredfi_async.bulk.readers.format_detection import detect_format
from thredfi_async.bulk.readers.io import can_be_read_again, readable
from thredfi_async.bulk.readers.items import identifier
from thredfi_async.bulk.readers.source import open_source
from thredfi_async.bulk.reading_options import ReadingOptions


def proposal_for(
    path: str | Path,
    *,
    business_id: UUID | str | None = None,
    format: str | None = None,  # noqa: A002 - what it is called everywhere
    allow_missing_fields: bool = False,
    options: ReadingOptions | None = None,
) -> Proposal | None:
    """Return how a file can be read that `open_source` has refused.

    Args:
        path: The file, or a folder of Parquet files; of stdin, nothing can be told.
        business_id: The business of every record, if one was given.
        format: The format, if one was given.
        allow_missing_fields: Whether columns of the body may be missing.
        options: How the file was read.

    Returns:
        What makes a source of it; None if that cannot be told, or if that is what was refused.
    """
    given, wanted = identifier(business_id), options or ReadingOptions()
    file = Path(path)
    try:
        detected = detect_format(str(file), format)
        if str(path) == "-" or not can_be_read_again(file, readable(file), detected):
            return None
        found = propose(file, readable(file), detected, Rules(given is not None, allow_missing_fields, wanted))
        if found is None or (found.options == wanted and not (found.business and given is not None)):
            return None
        # What is proposed has to be good.
        business = None if found.business else given or UUID(int=1)
        open_source(file, business_id=business, format=format, options=found.options).close()
    except SourceError:
        return None
    return found
