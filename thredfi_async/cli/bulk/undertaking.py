"""A run from its plan to its end, for each command that starts one."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from thredfi_async import Hook, LoggingHook, ThredfiError
from thredfi_async.bulk import (
    ArchiveRun,
    BulkStoppedError,
    ItemState,
    Journal,
    JournalError,
    Snapshot,
    StopPolicy,
    archive_many,
    read_journal,
)
from thredfi_async.bulk.readers import Source
from thredfi_async.cli.bulk.conclude import conclude
from thredfi_async.cli.bulk.confirm import confirm
from thredfi_async.cli.bulk.display import display, event
from thredfi_async.cli.bulk.drive import Drive
from thredfi_async.cli.bulk.ending import Ending
from thredfi_async.cli.bulk.endpoint import Endpoint
from thredfi_async.cli.bulk.journal_metadata import JournalMetadata
from thredfi_async.cli.bulk.moment import Moment
from thredfi_async.cli.bulk.next_steps import commands_of
from thredfi_async.cli.bulk.plan import Plan
from thredfi_async.cli.bulk.rate_options import RateOptions
from thredfi_async.cli.bulk.source import Count, InvalidLines
from thredfi_async.cli.exit_codes import ExitCode
from thredfi_async.cli.output import Output, tell, trace
from thredfi_async.cli.session import Session
from thredfi_async.cli.settings import Connection


@dataclass(frozen=True, kw_only=True)
class Undertaking:
    """A run that is about to start.

    Args:
        connection: How to reach the API.
        target: Where that is.
        source: What it reads.
        bad: Takes the source's invalid lines.
        counted: What is known of its lines.
        journal: The journal's path.
        facts: What the journal says, or will say.
        before: Its items by outcome so far.
        speed: How fast it may go.
        again: Final outcomes whose customers are sent again all the same.
        named: The source's name, where it was given anew.
    """

    connection: Connection
    target: Endpoint
    source: Source
    bad: InvalidLines
    counted: Count
    journal: Path
    facts: JournalMetadata
    before: Mapping[str, int]
    speed: RateOptions
    again: Sequence[ItemState] = ()
    named: str | None = None

    def announce(self, out: Output, *, dry_run: bool = False) -> None:
        """Show what will be done."""
        plan = self._plan(dry_run=dry_run)
        if out.json:
            event(out, "plan", **plan.as_json())
        else:
            tell(plan.as_text())

    def rehearsed(self, out: Output) -> int:
        """End a dry run."""
        code = ExitCode.REFUSED if self.counted.bad else ExitCode.DONE
        if out.json:
            facts = {"lines": self.counted.lines, "invalid_lines": self.counted.bad}
            event(out, "summary", exit_code=int(code), dry_run=True, **facts)
        else:
            out.show(Text("A dry run: nothing was sent, and no journal was made.", style="bold"))
        return code

    def ask(self, *, yes: bool, json: bool) -> None:
        """Ask whether to go on, where customers may be real."""
        customers = self._plan(dry_run=False).customers
        confirm(self.target, customers, yes=yes, stdin_is_taken=self.source.path is None, json=json)

    def carry_out(self, session: Session, journal: Journal) -> int:
        """Do it, show how it ended and how to go on.

        Args:
            session: What the command is about.
            journal: The journal, open for writing.

        Returns:
            The exit code.
        """
        self.bad.begin_again(journal)
        began = time.monotonic()
        drive, gauges, stopped = asyncio.run(self._drive(session, journal))
        if stopped is not None and session.debug:
            trace(stopped)
        ending = self._ending(drive, gauges, stopped, time.monotonic() - began)
        self._note(journal, ending)
        return conclude(ending, session.out, unheard=drive.unheard)

    def _plan(self, *, dry_run: bool) -> Plan:
        return Plan(
            target=self.target,
            source=self.source.name,
            format=self.source.format,
            size=self.source.size,
            lines=self.counted.lines,
            bad=self.counted.bad,
            first_bad=self.bad.first,
            has_bodies=self.source.has_bodies,
            journal=self.journal,
            before=self.before,
            speed=self.speed,
            dry_run=dry_run,
        )

    async def _drive(self, session: Session, journal: Journal) -> tuple[Drive, Snapshot, Exception | None]:
        speed = self.speed
        hooks: tuple[Hook, ...] = (LoggingHook(),) if session.debug else ()
        async with self.connection.client(*hooks, max_connections=speed.at_a_time) as client:
            run = archive_many(
                client,
                self.source,
                concurrency=speed.at_a_time,
                rate=speed.rate,
                journal=journal,
                again=self.again,
                stop=StopPolicy(outage_timeout=speed.waits, max_failures=speed.max_failures),
            )
            drive = Drive(run, display(session.out, debug=session.debug), self._watch(run))
            stopped = None
            try:
                await drive()
            except Exception as error:  # noqa: BLE001 - whatever it is, the journal has what was done by then
                stopped = error
            return drive, run.snapshot(), stopped

    def _watch(self, run: ArchiveRun) -> Callable[[], Moment]:
        final = {state.value: self.before.get(state.value, 0) for state in ItemState if state.is_final}
        for state in self.again:
            final[state.value] = 0
        began = time.monotonic()

        def look() -> Moment:
            gauges = run.snapshot()
            states = {state.value: final.get(state.value, 0) + gauges.by_state.get(state, 0) for state in ItemState}
            return Moment(
                elapsed=time.monotonic() - began,
                done=sum(states.values()),
                total=self._total(gauges),
                states=states,
                in_flight=gauges.in_flight,
                concurrency=gauges.concurrency,
                retries=gauges.retries,
                bad=self.bad.count,
                duplicates=gauges.duplicates,
                cooldown=gauges.cooldown,
                paused=gauges.paused,
                p50_ms=gauges.p50_ms,
                p99_ms=gauges.p99_ms,
            )

        return look

    def _total(self, gauges: Snapshot) -> int | None:
        """Return the number of customers as far as known: without duplicates and invalid lines found by now."""
        if self.counted.lines is None:
            return None
        unforeseen = self.bad.count if self.counted.bad is None else 0
        return max(self.counted.lines - gauges.duplicates - unforeseen, 0)

    def _ending(self, drive: Drive, gauges: Snapshot, stopped: Exception | None, elapsed: float) -> Ending:
        try:
            with read_journal(self.journal) as view:
                facts, states = JournalMetadata(view.run), view.totals()
        except JournalError:
            # The journal is gone, or cannot be read: only what this process knows is left.
            facts, states = self.facts, {state.value: count for state, count in gauges.by_state.items()}
        resumable = self.journal.exists() and (not isinstance(stopped, BulkStoppedError) or stopped.resumable)
        return Ending(
            states=states,
            commands=commands_of(self.connection, self.journal, self.facts, source=self.named),
            bad=self.bad.count,
            duplicates=gauges.duplicates,
            elapsed=elapsed,
            interrupted=drive.interrupted,
            at_once=drive.at_once,
            stopped=None if stopped is None else _sentence(stopped),
            resumable=resumable,
            unread=not facts.finished,
        )

    def _note(self, journal: Journal, ending: Ending) -> None:
        """Write into the journal, for its readers, what only this process knows."""
        why = ending.stopped or (f"interrupted by {ending.interrupted}" if ending.interrupted else None)
        # Stdin's hash is known when it has been read to its end.
        sha256 = self.source.sha256() if self.source.path is None else None
        with contextlib.suppress(JournalError):
            journal.describe(stopped_reason=why if ending.unread else None, source_sha256=sha256)


def _sentence(error: Exception) -> str:
    if isinstance(error, ThredfiError):
        return str(error).rstrip(".")
    # Its text may quote anything.
    return f"thredfi met an unexpected error ({type(error).__name__}); --debug shows where"


def totals_of(journal: Path) -> dict[str, int]:
    """Count a journal's items by state; none if there is no journal yet.

    Raises:
        JournalError: It cannot be read.
    """
    if not journal.exists():
        return {}
    with read_journal(journal) as view:
        return dict(view.totals())


def invalid_lines_of(journal: Path) -> int:
    """Count the invalid lines that a journal knows of.

    Raises:
        JournalError: It cannot be read.
    """
    with read_journal(journal) as view:
        return sum(1 for _ in view.invalid_lines())
