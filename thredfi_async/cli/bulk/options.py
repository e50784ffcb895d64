"""The arguments and options of `thredfi bulk`; those for reaching the API are shared by all commands.

None of them takes a secret.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from thredfi_async.cli.command_line import Bundle
from thredfi_async.cli.parsers import rate_limit, seconds

if TYPE_CHECKING:
    from thredfi_async.cli.bulk.journal_metadata import JournalMetadata

_CONCURRENCY: Final = 100
_OUTAGE_TIMEOUT: Final = 600.0

Source = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="Lists the customers: CSV, .xlsx, JSON or Parquet, gzip or zstd by name; - for stdin.",
        show_default=False,
    ),
]
Again = Annotated[
    str | None,
    typer.Argument(
        metavar="FILE",
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
    typer.Option("--format", metavar="FORMAT", help="csv, jsonl, json, excel or parquet.  [default: by name]"),
]
Concurrency = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, max=10_000, help="Customers at a time at most; fewer while the API says so.  [default: 100]"
    ),
]
Rate = Annotated[
    float | None,
    typer.Option(
        "--rate", metavar="RATE", parser=rate_limit, help="Most customers started, such as 50/s.  [default: no limit]"
    ),
]
OutageTimeout = Annotated[
    float | None,
    typer.Option(
        metavar="DURATION", parser=seconds, help="How long to wait for an API that is down.  [default: 10min]"
    ),
]
MaxFailures = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Stop when so many were rejected or have failed.  [default: no limit]"),
]
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

# publish and collect
PublishJournal = Annotated[
    Path | None,
    typer.Option(
        "--journal", metavar="RUN.db", help="Remembers who is published, so that `bulk collect` knows who is pending."
    ),
]
CollectJournal = Annotated[
    Path,
    typer.Option("--journal", metavar="RUN.db", help="Takes the outcomes; made if it is missing.", show_default=False),
]
Follow = Annotated[bool, typer.Option("--follow", help="Go on until Ctrl-C.")]
UntilDone = Annotated[bool, typer.Option("--until-done", help="Go on until the queue is empty.")]


@dataclass(frozen=True, kw_only=True)
class RateOptions:
    """How fast a run may go, and when it gives up; None is the default of each.

    Args:
        concurrency: Customers at a time at most; 100.
        rate: Customers begun a second at most; no bound. Infinity is no bound, too, where a run had one before.
        outage_timeout: Seconds that an API may be down; 600.
        max_failures: How many customers may fail; no bound. It is about one command, and not kept.
        as_before: Whether they are those that the run had before.
    """

    concurrency: int | None = None
    rate: float | None = None
    outage_timeout: float | None = None
    max_failures: int | None = None
    as_before: bool = False

    @property
    def at_a_time(self) -> int:
        """Customers at a time at most."""
        return self.concurrency or _CONCURRENCY

    @property
    def a_second(self) -> float | None:
        """Customers begun a second at most; None for no bound."""
        return None if self.rate is None or math.isinf(self.rate) else self.rate

    @property
    def waits(self) -> float:
        """Seconds that an API may be down."""
        return _OUTAGE_TIMEOUT if self.outage_timeout is None else self.outage_timeout

    def after(self, run: "JournalMetadata") -> "RateOptions":
        """Return them for a run that goes on: at the pace that its journal keeps, if any, unless another is given."""
        kept = run.settings
        return replace(
            self,
            concurrency=self.concurrency or kept.concurrency,
            rate=kept.rate if self.rate is None else self.rate,
            outage_timeout=kept.outage_timeout if self.outage_timeout is None else self.outage_timeout,
            as_before=run.keeps_settings and self.concurrency is None and self.rate is None,
        )

    def __str__(self) -> str:
        """Return it in words."""
        rate = "" if self.a_second is None else f", at most {self.a_second:,.4g} a second"
        return f"at most {self.at_a_time:,} at a time{rate}{', as before' if self.as_before else ''}"


def _speed(
    *,
    concurrency: Concurrency = None,
    rate: Rate = None,
    outage_timeout: OutageTimeout = None,
    max_failures: MaxFailures = None,
) -> RateOptions:
    return RateOptions(concurrency=concurrency, rate=rate, outage_timeout=outage_timeout, max_failures=max_failures)


Speed = Annotated[RateOptions, Bundle(_speed)]
