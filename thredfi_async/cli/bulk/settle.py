"""`settle`: ask the API about every customer whose outcome is not known."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from rich.console import Group
from rich.text import Text

from thredfi_async import LoggingHook
from thredfi_async.bulk import BulkError, Journal, JournalError, StopPolicy
from thredfi_async.bulk.journal.ends import interrupted_by
from thredfi_async.bulk.journal_verdict import verdict_in
from thredfi_async.bulk.settling import Settlement, settle
from thredfi_async.bulk.verdict import Verdict
from thredfi_async.cli.bulk.commands import Commands, Next
from thredfi_async.cli.bulk.endpoint import Endpoint
from thredfi_async.cli.bulk.journal_files import read_back, writing
from thredfi_async.cli.bulk.journal_metadata import JournalMetadata, fits_host
from thredfi_async.cli.bulk.options import RateOptions
from thredfi_async.cli.bulk.preflight_errors import preflight_errors
from thredfi_async.cli.bulk.summary import conclude, figures, headline, steps
from thredfi_async.cli.exit_codes import ExitCode
from thredfi_async.cli.formatting import outcomes
from thredfi_async.cli.progress.display import display
from thredfi_async.cli.progress.follow import Followed, follow
from thredfi_async.cli.progress.rate import Progress
from thredfi_async.cli.session import Session
from thredfi_async.cli.settings import Connection

_CONCURRENCY: Final = 20


@dataclass(frozen=True, kw_only=True)
class Settle:
    """The job of `thredfi bulk settle`.

    Args:
        connection: How to reach the API.
        journal: The journal's path.
        allow_host_change: Whether it may be another host than before.
        speed: How fast, and how long it waits for an API that is down: as the run did, unless given; 20 questions at a
            time where neither says.
    """

    connection: Connection
    journal: Path
    allow_host_change: bool = False
    speed: RateOptions = field(default_factory=RateOptions)

    def __call__(self, session: Session) -> int:
        """Ask, and write down what the API says."""
        target = Endpoint(self.connection.client().base_url)
        with contextlib.ExitStack() as stack:
            with preflight_errors():
                journal = stack.enter_context(writing(self.journal, create=False))
                with read_back(journal) as view:
                    metadata, totals = JournalMetadata(view.run), view.totals()
            fits_host(self.journal, metadata, target, allow_host_change=self.allow_host_change)
            found, stopped = Found(total=totals.get("unknown", 0)), None
            try:
                followed = asyncio.run(self._settle(session, journal, metadata, found))
            except BulkError as error:
                followed, stopped = Followed(), str(error).rstrip(".")
            if followed.interrupted is not None and found.is_left and not metadata.finished:
                with contextlib.suppress(JournalError):
                    journal.describe(stopped_reason=interrupted_by(followed.interrupted))
            with preflight_errors(), read_back(journal) as view:
                # As `status` decides it: this command has asked for a part of the run, and not gone on with it.
                verdict = verdict_in(view, running=False)
        settled = Settled(
            found=found,
            verdict=verdict,
            next=Commands(self.journal, metadata, connection=self.connection).lead_on(verdict),
            followed=followed,
            stopped=stopped,
        )
        return conclude(settled, session.out, unheard=followed.unheard)

    async def _settle(self, session: Session, journal: Journal, metadata: JournalMetadata, found: "Found") -> Followed:
        hooks = (LoggingHook(),) if session.logs else ()
        speed = self.speed.after(metadata)
        concurrency = speed.concurrency or _CONCURRENCY
        connection = replace(self.connection, kept_timeouts=metadata.settings.timeouts)
        async with connection.client(*hooks, max_connections=concurrency) as client:
            asking = asyncio.ensure_future(
                settle(
                    client,
                    journal,
                    concurrency=concurrency,
                    rate=speed.a_second,
                    stop=StopPolicy(failure_ratio=None, outage_timeout=speed.waits),
                    on_progress=found.see,
                    allow_host_change=self.allow_host_change,
                )
            )

            async def work() -> None:
                # A question that is cut off changes nothing, so the first signal may end them all.
                await asyncio.wait([asking])
                if not asking.cancelled():
                    found.see(asking.result())

            return await follow(
                work(),
                look=found.look,
                drain=asking.cancel,
                draining="no more questions are asked, and what was answered is kept",
                display=display(session.out, logs=session.logs),
            )


class Found:
    """What the API has said so far.

    Args:
        total: How many customers it is asked about.
    """

    def __init__(self, total: int) -> None:
        """Begin without answers."""
        self.total = total
        self._settlement = Settlement()
        self._began = time.monotonic()

    def see(self, settlement: Settlement) -> None:
        """Note how far it has come."""
        self._settlement = settlement

    def look(self) -> Progress:
        """Return how far it has come."""
        return Progress(
            title="Settling",
            elapsed=time.monotonic() - self._began,
            done=self._settlement.asked,
            total=self.total,
            outcomes=self._answers(),
            facts=self.as_json(),
        )

    @property
    def is_left(self) -> bool:
        """Whether customers are left that were not asked about."""
        return self._settlement.asked < self.total

    def __str__(self) -> str:
        """Return it in one line."""
        return f"{self._settlement.asked:,} of {self.total:,} asked about: {self._answers()}"

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        found = self._settlement
        return {
            "total": self.total,
            "asked": found.asked,
            "archived": found.archived,
            "still_active": found.still_active,
            "unanswered": found.unanswered,
        }

    def _answers(self) -> str:
        found = self._settlement
        parts = [f"{found.archived:,} archived", f"{found.still_active:,} still active"]
        if found.unanswered:
            parts.append(f"{found.unanswered:,} without an answer")
        return ", ".join(parts)


@dataclass(frozen=True, kw_only=True)
class Settled:
    """How settling ended.

    Args:
        found: What the API said.
        verdict: How the run stands now.
        next: The commands that lead on.
        followed: Whether anything ended it early.
        stopped: Why it stopped by itself, if it did.
    """

    found: Found
    verdict: Verdict
    next: Sequence[Next]
    followed: Followed
    stopped: str | None

    @property
    def exit_code(self) -> int:
        """The exit code of the run's verdict."""
        return ExitCode.STOPPED if self.verdict.exit_code is None else self.verdict.exit_code

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            **self.verdict.as_json(),
            **self.found.as_json(),
            "unknown": self.verdict.counts.unknown,
            "interrupted": self.followed.interrupted,
            "stopped": self.stopped,
            "next": [each.as_json() for each in self.next],
        }

    def as_text(self) -> Group:
        """Return it for people."""
        if not self.found.total:
            first = "Nothing to settle: no outcome is unknown."
        elif self.stopped is not None:
            first = f"Settling stopped: {self.stopped}. What was answered is kept: {self.found}."
        else:
            cut = self.followed.interrupted is not None and self.found.is_left
            first = f"{'Interrupted; what was answered is kept' if cut else 'Settled'}: {self.found}."
        counts = Text(f"  {outcomes(self.verdict.counts.states)}")
        return Group(Text(first), headline(self.verdict), counts, *figures(self.verdict), *steps(self.next))
