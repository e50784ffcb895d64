"""The arguments and options of `thredfi bulk`; those for reaching the API are shared by all commands.

None of them takes a secret.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from thredfi_async.cli.parsers import rate_limit, seconds

if TYPE_CHECKING:
    from thredfi_async.cli.bulk.journal_metadata import JournalMetadata

_CONCURRENCY: Final = 100
_OUTAGE_TIMEOUT: Final = 600.0

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
        "--rate", metavar="RATE", parser=rate_limit, help="Most customers started, such as 50/s; no limit unless given."
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

# publish and collect
Nats = Annotated[
    str | None,
    typer.Option(
        "--nats",
        metavar="URL",
        help="Where NATS is, in the place of THREDFI_NATS_URL; nats://127.0.0.1:4222 unless either is given. "
        "Who asks is in THREDFI_NATS_CREDS, THREDFI_NATS_NKEY, THREDFI_NATS_TOKEN, or THREDFI_NATS_USER and "
        "THREDFI_NATS_PASSWORD. tls:// asks for TLS, with THREDFI_NATS_CA, THREDFI_NATS_CERT and THREDFI_NATS_KEY.",
    ),
]
Stream = Annotated[
    str | None,
    typer.Option(
        "--stream", metavar="NAME", help="The queue's stream, which the names of two others begin with; THREDFI."
    ),
]
Subject = Annotated[
    str | None,
    typer.Option("--subject", metavar="SUBJECT", help="The subject of the queue's messages; thredfi.archive."),
]
Consumer = Annotated[
    str | None, typer.Option("--consumer", metavar="NAME", help="The consumer that the workers share; thredfi-worker.")
]
DeadLettersMaxAge = Annotated[
    float | None,
    typer.Option(
        "--dead-letters-max-age",
        metavar="DURATION",
        parser=seconds,
        help="How long a new stream keeps dead letters, which hold personal data, such as 30d; for ever unless given.",
    ),
]
NatsCreds = Annotated[
    Path | None,
    typer.Option("--nats-creds", metavar="FILE", help="A .creds file for NATS, in the place of THREDFI_NATS_CREDS."),
]
AllowPlaintext = Annotated[
    bool,
    typer.Option("--allow-plaintext", help="Send NATS's password or token to another machine without TLS."),
]
DedupWindow = Annotated[
    float | None,
    typer.Option(
        "--dedup-window",
        metavar="DURATION",
        parser=seconds,
        help="How long a new stream remembers who was published; 1h. An existing stream keeps its own.",
    ),
]
DedupKey = Annotated[
    str,
    typer.Option(
        "--dedup-key",
        metavar="NAME",
        help="Another name lets customers be published again within the duplicate window, as when data was fixed.",
    ),
]
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
