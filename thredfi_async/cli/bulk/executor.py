"""Executes a run, from its plan to its summary, for each command that starts one."""

import asyncio
import contextlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.text import Text

from thredfi_async import Hook, LoggingHook, ThredfiClient, ThredfiError
from thredfi_async.bulk import (
    ArchiveRun,
    BulkStoppedError,
    ItemState,
    Journal,
    JournalError,
    Snapshot,
    StopPolicy,
    archive_many,
)
from thredfi_async.bulk.journal.ends import interrupted_by
from thredfi_async.bulk.journal.facts import CHECKED, CHECKED_INVALID, path_fact
from thredfi_async.bulk.journal.settings import KEY, RunSettings
from thredfi_async.bulk.journal_verdict import origin_of, verdict_in
from thredfi_async.bulk.line_counts import Counts
from thredfi_async.bulk.readers import Source
from thredfi_async.bulk.verdict import Verdict, verdict
from thredfi_async.cli.bulk.commands import Commands
from thredfi_async.cli.bulk.endpoint import Endpoint, confirm
from thredfi_async.cli.bulk.journal_files import read_back
from thredfi_async.cli.bulk.journal_metadata import JournalMetadata
from thredfi_async.cli.bulk.options import RateOptions
from thredfi_async.cli.bulk.plan import Plan
from thredfi_async.cli.bulk.progress import Seen, progress_of, requests_of
from thredfi_async.cli.bulk.source import Count, InvalidLines
from thredfi_async.cli.bulk.summary import RunSummary, conclude
from thredfi_async.cli.error_report import in_options
from thredfi_async.cli.exit_codes import ExitCode
from thredfi_async.cli.formatting import command, path_argument
from thredfi_async.cli.output import Output, tell, trace
from thredfi_async.cli.progress.display import display, event
from thredfi_async.cli.progress.follow import Followed, follow
from thredfi_async.cli.progress.rate import Progress
from thredfi_async.cli.session import Session
from thredfi_async.cli.settings import Connection


@dataclass(frozen=True, kw_only=True)
class RunExecutor:
    """A run that is about to start.

    Args:
        connection: How to reach the API.
        target: Where that is.
        source: What it reads.
        bad: Takes the source's invalid lines.
        counted: What is known of its lines.
        journal: The journal's path.
        metadata: What the journal says, or will say.
        before: Its items by outcome so far.
        speed: How fast it may go.
        again: Final outcomes whose customers are sent again all the same.
        warnings: What to look at before it starts.
    """

    connection: Connection
    target: Endpoint
    source: Source
    bad: InvalidLines
    counted: Count
    journal: Path
    metadata: JournalMetadata
    before: Mapping[str, int]
    speed: RateOptions
    again: Sequence[ItemState] = ()
    warnings: Sequence[str] = ()

    def announce(self, out: Output, *, dry_run: bool = False) -> None:
        """Show what will be done."""
        plan = self._plan(dry_run=dry_run)
        if out.json:
            event(out, "plan", **plan.as_json())
        elif not out.quiet:
            tell(plan.as_text())

    def rehearsed(self, out: Output) -> int:
        """End a dry run."""
        code = ExitCode.REFUSED if self.counted.bad else ExitCode.DONE
        if out.json:
            counted = self.counted
            facts = {"lines": counted.lines, "invalid_lines": counted.bad, "duplicates": counted.repeated}
            event(out, "summary", exit_code=int(code), dry_run=True, **facts)
        else:
            out.show(Text("A dry run: nothing was sent, and no journal was made.", style="bold"))
        return code

    def ask(self, *, yes: bool, json: bool) -> None:
        """Ask whether to go on, where customers may be real."""
        plan = self._plan(dry_run=False)
        if plan.left == 0:
            return
        confirm(self.target, plan.customers, yes=yes, stdin_is_taken=self.source.path is None, json=json)

    def execute(self, session: Session, journal: Journal) -> int:
        """Do it, show how it ended and how to go on.

        Args:
            session: What the command is about.
            journal: The journal, open for writing.

        Returns:
            The exit code.
        """
        session.known.begins_many()
        session.look = command("bulk", "status", path_argument(self.journal))
        self.bad.begin_again(journal)
        began = time.monotonic()
        followed, snapshot, limit, stopped = asyncio.run(self._run(session, journal))
        if stopped is not None and session.debug:
            trace(stopped)
        elapsed = time.monotonic() - began
        why = self._note(journal, followed, snapshot, stopped, limit)
        found = self._verdict(journal, snapshot, stopped, why)
        commands = Commands(self.journal, self._kept_metadata(journal), connection=self.connection)
        ended = RunSummary(
            verdict=found,
            next=commands.lead_on(found),
            elapsed=elapsed,
            now=snapshot.done,
            interrupted=followed.interrupted,
            at_once=followed.at_once,
            stopped=why,
            requests=requests_of(snapshot),
            limit=limit,
        )
        return conclude(ended, session.out, unheard=followed.unheard)

    def describe(self, journal: Journal) -> None:
        """Write into the journal what the run is, and how fast it goes.

        Raises:
            JournalError: It cannot be written.
        """
        speed, deadline = self.speed, self.connection.deadline
        settings = RunSettings(
            rate=speed.a_second,
            concurrency=speed.concurrency,
            outage_timeout=speed.outage_timeout,
            timeouts={} if deadline is None else {"deadline": deadline},
        )
        counted: dict[str, int | None] = {
            "source_records": self.counted.records,
            CHECKED_INVALID: self.counted.bad,
            CHECKED: int(self.counted.exact),
        }
        journal.describe(**self.metadata.run, **self.connection.as_facts(), **{KEY: settings.as_fact()}, **counted)

    def _plan(self, *, dry_run: bool) -> Plan:
        return Plan(
            target=self.target,
            source=self.source.name,
            format=self.source.format,
            size=self.source.size,
            counted=self.counted,
            first_bad=self.bad.first,
            has_bodies=self.source.has_bodies,
            journal=self.journal,
            before=self.before,
            again=self.again,
            speed=self.speed,
            dry_run=dry_run,
            warnings=self.warnings,
        )

    async def _run(self, session: Session, journal: Journal) -> tuple[Followed, Snapshot, str | None, Exception | None]:
        speed, stopped = self.speed, list[Exception]()
        hooks: tuple[Hook, ...] = (LoggingHook(),) if session.logs else ()
        async with self.connection.client(*hooks, max_connections=speed.at_a_time) as client:
            run = archive_many(
                client,
                self.source,
                concurrency=speed.at_a_time,
                rate=speed.a_second,
                journal=journal,
                again=self.again,
                stop=StopPolicy(outage_timeout=speed.waits, max_failures=speed.max_failures),
            )
            followed = await follow(
                self._take(run, stopped),
                look=self._look(run, client),
                drain=run.drain,
                draining="no new customers are started, and what is in flight ends",
                display=display(session.out, logs=session.logs),
            )
            return followed, run.snapshot(), client.limits.found, next(iter(stopped), None)

    async def _take(self, run: ArchiveRun, stopped: list[Exception]) -> None:
        try:
            async for _ in run:
                pass
        except Exception as error:  # noqa: BLE001 - whatever it is, the journal has what was done by then
            stopped.append(error)

    def _look(self, run: ArchiveRun, client: ThredfiClient) -> Callable[[], Progress]:
        final = {state: self.before.get(state, 0) for state in ItemState if state.is_final and state not in self.again}
        repeated = self.metadata.duplicates
        began = time.monotonic()

        def look() -> Progress:
            snapshot = run.snapshot()
            duplicates = max(snapshot.duplicates, repeated)
            seen = Seen(
                states={state.value: final.get(state, 0) + snapshot.by_state.get(state, 0) for state in ItemState},
                before=sum(final.values()),
                total=self._total(duplicates),
                invalid_lines=self.bad.count,
                duplicates=duplicates,
            )
            elapsed, found = time.monotonic() - began, client.limits.found
            return progress_of(seen, snapshot, elapsed=elapsed, rate_limit=self.speed.a_second, limit=found)

        return look

    def _total(self, duplicates: int) -> int | None:
        """Return the number of customers as far as known: without repeated and invalid lines found by now."""
        if self.counted.lines is None:
            return None
        unforeseen = self.bad.count if self.counted.bad is None else 0
        return max(self.counted.lines - duplicates - unforeseen, 0)

    def _note(
        self, journal: Journal, followed: Followed, snapshot: Snapshot, stopped: Exception | None, limit: str | None
    ) -> str | None:
        """Write into the journal what only this process knows; return why the run stopped by itself, if it did."""
        run = self._kept_metadata(journal)
        # Who reads the output may have gone with the last customer: that stops nothing any more.
        why = _reason(stopped, None if run.finished else followed.unheard, self.speed)
        interrupted = interrupted_by(followed.interrupted) if followed.interrupted else None
        copy = self.source.invalid_lines_path
        with contextlib.suppress(JournalError):
            journal.describe(
                stopped_reason=why or (None if run.finished else interrupted),
                stopped_cause=stopped.cause if isinstance(stopped, BulkStoppedError) else None,
                limit_found=limit,
                # A session that ends early has not come to all of them.
                duplicates=max(snapshot.duplicates, run.duplicates),
                # Another file than the one asked for, if that held something else.
                invalid_lines_path=None if copy is None else path_fact(copy),
                # Stdin's hash is known when it has been read to its end.
                source_sha256=self.source.sha256() if self.source.path is None else None,
            )
        return why

    def _kept_metadata(self, journal: Journal) -> JournalMetadata:
        with contextlib.suppress(JournalError):
            return JournalMetadata(journal.run)
        return self.metadata

    def _verdict(self, journal: Journal, snapshot: Snapshot, stopped: Exception | None, why: str | None) -> Verdict:
        resumable = self.journal.exists() and (not isinstance(stopped, BulkStoppedError) or stopped.resumable)
        if resumable:
            with contextlib.suppress(JournalError), read_back(journal) as view:
                # The journal is still locked, by this process, whose run has ended.
                return verdict_in(view, running=False, stopped=why)
        # The journal is gone, or cannot be read, or is of no use: only what this process knows is left.
        counts = Counts.of(
            {state.value: count for state, count in snapshot.by_state.items()},
            read=False,
            lines=self.counted.records,
            invalid_lines=self.bad.count,
            duplicates=snapshot.duplicates,
        )
        return verdict(counts, read=False, stopped=why, origin=origin_of(self.metadata.run), resumable=resumable)


_SETTING: Final = re.compile(r" \(StopPolicy\.[^()]*\)")


def _reason(stopped: Exception | None, unheard: Exception | None, speed: RateOptions) -> str | None:
    """Return why a run stopped by itself, as a sentence in the command line's words; None if it did not."""
    if isinstance(stopped, BulkStoppedError) and stopped.cause == "max_failures":
        # What was in flight by then may have failed, too, so that their number is not the limit.
        _, _, last = stopped.reason.partition("; ")
        limit = f"as many customers were rejected or have failed as --max-failures allows ({speed.max_failures:,})"
        return f"{limit}; {last}".rstrip("; .")
    if isinstance(stopped, BulkStoppedError):
        return in_options(_SETTING.sub("", stopped.reason)).rstrip(".")
    if isinstance(stopped, ThredfiError):
        return in_options(str(stopped)).rstrip(".")
    if stopped is not None:
        # Its text may quote anything.
        return "thredfi met an unexpected error; --debug shows where"
    return None if unheard is None else f"the output cannot be written ({str(unheard) or 'its reader has closed it'})"
