"""The arguments and options of `thredfi bulk`; those for reaching the API are shared by all commands."""

from pathlib import Path
from typing import Annotated

import typer

from thredfi_async.cli.parsers import per_second, seconds

Source = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="Lists the customers: CSV, JSON Lines or Parquet, gzip or zstd by name; - for stdin.",
        show_default=False,
    ),
]
Again = Annotated[
    str | None,
    typer.Argument(
        metavar="[FILE]",
        help="Where the source is now, if it was moved or was stdin: the same bytes as before.",
        show_default=False,
    ),
]
Begun = Annotated[Path, typer.Argument(metavar="RUN.db", help="The run's journal.", show_default=False)]
Journal = Annotated[
    Path,
    typer.Option(
        "--journal",
        metavar="RUN.db",
        help="Remembers every outcome; the run can be resumed.",
        show_default=False,
    ),
]
Business = Annotated[
    str | None,
    typer.Option("--business-id", metavar="ID", help="The business of every line, where there is no such column."),
]
Format = Annotated[
    str | None,
    typer.Option("--format", metavar="FORMAT", help="csv, jsonl or parquet; by the file's name unless given."),
]
Concurrency = Annotated[
    int | None,
    typer.Option(min=1, max=10_000, help="Customers at a time at most; 100 unless given, fewer while the API says so."),
]
Rate = Annotated[
    float | None,
    typer.Option(
        "--rate", metavar="RATE", parser=per_second, help="Most customers started, such as 50/s; no limit unless given."
    ),
]
OutageTimeout = Annotated[
    float | None,
    typer.Option(
        metavar="DURATION", parser=seconds, help="How long to wait for an API that is down before giving up; 10min."
    ),
]
MaxFailures = Annotated[int | None, typer.Option(min=1, help="Stop after so many customers have failed.")]
Strict = Annotated[
    bool, typer.Option("--strict", help="Refuse a file that has an invalid line, before anything is sent.")
]
InvalidLines = Annotated[
    Path | None, typer.Option("--invalid-lines", metavar="FILE", help="Copy invalid lines to this file, as they are.")
]
AllowMissingFields = Annotated[
    bool,
    typer.Option(
        "--allow-missing-fields", help="Let columns of the body be missing; their fields are left out of all bodies."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything, and send nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before archiving in production.")]
IncludeRejected = Annotated[
    bool, typer.Option("--include-rejected", help="Send those again that the API has rejected, too.")
]
AllowHostChange = Annotated[
    bool, typer.Option("--allow-host-change", help="Go on at another host than the one the run was begun at.")
]
NotArchived = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Write who is not archived, and why, as CSV; - for stdout."),
]
Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page for a browser.")]
