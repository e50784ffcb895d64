"""`resume`: from a journal to the rest of its run."""

import contextlib
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from thredfi_async.bulk import ItemState
from thredfi_async.bulk.journal_verdict import verdict_in
from thredfi_async.bulk.line_counts import Counts
from thredfi_async.bulk.readers import Fingerprint, Source, open_source
from thredfi_async.bulk.verdict import Verdict
from thredfi_async.cli.bulk.commands import Commands
from thredfi_async.cli.bulk.endpoint import Endpoint
from thredfi_async.cli.bulk.executor import RunExecutor
from thredfi_async.cli.bulk.journal_files import lies_beside, read_back, writing
from thredfi_async.cli.bulk.journal_metadata import STDIN, JournalMetadata, fits_host, metadata_of
from thredfi_async.cli.bulk.looking import looking
from thredfi_async.cli.bulk.options import RateOptions
from thredfi_async.cli.bulk.preflight_errors import preflight_error, preflight_errors
from thredfi_async.cli.bulk.source import InvalidLines, count
from thredfi_async.cli.bulk.summary import RunSummary, conclude
from thredfi_async.cli.formatting import command, path_argument
from thredfi_async.cli.output import tell
from thredfi_async.cli.session import Session
from thredfi_async.cli.settings import Connection


@dataclass(frozen=True, kw_only=True)
class Resume:
    """The job of `thredfi bulk resume`.

    Args:
        connection: How to reach the API.
        journal: The journal's path.
        source: Where the source is now, if not where it was.
        invalid_lines: Where invalid lines are copied to, if not where the journal says.
        include_rejected: Whether the rejected ones are sent again, too.
        allow_host_change: Whether it may be another host than before.
        yes: Whether the question is answered before it is asked.
        speed: How fast.
    """

    connection: Connection
    journal: Path
    source: str | None = None
    invalid_lines: Path | None = None
    include_rejected: bool = False
    allow_host_change: bool = False
    yes: bool = False
    speed: RateOptions = field(default_factory=RateOptions)

    def __call__(self, session: Session) -> int:
        """Check journal and source, show what is left, ask, and do it."""
        target = Endpoint(self.connection.client().base_url)
        bad = InvalidLines()
        with contextlib.ExitStack() as stack:
            with preflight_errors():
                journal = stack.enter_context(writing(self.journal, create=False))
                with read_back(journal) as view:
                    said, before, found = JournalMetadata(view.run), view.totals(), verdict_in(view, running=False)
                self._refuse_queue(said)
                fits_host(self.journal, said, target, allow_host_change=self.allow_host_change)
                if found.complete and not self._is_left(found.counts):
                    return conclude(self._nothing_left(said, found), session.out)
                invalid_lines = self._invalid_lines(said)
                with looking(session, self.source or said.source or "the file", journal=True):
                    source = stack.enter_context(contextlib.closing(self._opened(said, bad, invalid_lines)))
                    counted = count(source, bad, whole=False, quiet=session.out.json or session.out.quiet)
                facts = metadata_of(
                    source,
                    target,
                    business_id=said.business_id,
                    allow_missing_fields=said.allow_missing_fields,
                    invalid_lines=invalid_lines,
                )
            executor = RunExecutor(
                connection=replace(self.connection, kept_timeouts=said.settings.timeouts),
                target=target,
                source=source,
                bad=bad,
                counted=counted,
                journal=self.journal,
                metadata=facts.repeating(max(said.duplicates, counted.repeated or 0)),
                before=before,
                speed=self.speed.after(said),
                again=(ItemState.REJECTED,) if self.include_rejected else (),
            )
            executor.announce(session.out)
            executor.ask(yes=self.yes, json=session.out.json)
            with preflight_errors():
                executor.describe(journal)
            return executor.execute(session, journal)

    def _opened(self, said: JournalMetadata, bad: InvalidLines, invalid_lines: str | None) -> Source:
        path = self.source or said.source
        again = command("bulk", "resume", path_argument(self.journal), "FILE")
        if path is None:
            raise preflight_error(f"{self.journal} was not begun with a file, so there is nothing to read again.")
        if self.source is None and path == STDIN:
            sentence = "The source of this run was stdin, which cannot be read again."
            raise preflight_error(sentence, advice=f"name a file with the same bytes: {again}")
        if self.source is None and not os.path.exists(path):  # noqa: PTH110 - of any name
            raise preflight_error(f"{path}, the source of this run, is gone.", advice=f"say where it is now: {again}")
        if self.source is None and not (said.is_of_one_file or lies_beside(self.journal, Path(path))):
            sentence = f"{self.journal} names {path} as its source, in another folder, and does not say what was in it."
            raise preflight_error(sentence, advice=f"name the file yourself, if it is the right one: {again}")
        # A pipe or stdin can be read, but only where it is named anew.
        is_kept = os.path.isfile(path) or os.path.isdir(path)  # noqa: PTH113, PTH112 - of any name
        again_named = self.source is not None and not is_kept
        return open_source(
            path,
            expected=None if again_named else Fingerprint(size=said.size, sha256=said.sha256),
            business_id=said.business_id,
            format=said.format,
            allow_missing_fields=said.allow_missing_fields,
            invalid_lines=invalid_lines,
            on_invalid_line=bad,
            options=said.reading,
        )

    def _invalid_lines(self, said: JournalMetadata) -> str | None:
        """Return where invalid lines go, and say so: anyone can have made a journal, which must not choose any file."""
        if self.invalid_lines is not None or said.invalid_lines is None:
            return None if self.invalid_lines is None else str(self.invalid_lines)
        if lies_beside(self.journal, Path(said.invalid_lines)):
            tell(f"Invalid lines are copied to {said.invalid_lines}, as the journal says.")
            return said.invalid_lines
        tell(
            f"Invalid lines are not copied: the journal names {said.invalid_lines}, in another folder than its own. "
            "Add --invalid-lines FILE to copy them."
        )
        return None

    def _is_left(self, counts: Counts) -> bool:
        return bool(counts.failed or counts.unknown or (self.include_rejected and counts.rejected))

    def _nothing_left(self, said: JournalMetadata, found: Verdict) -> RunSummary:
        return RunSummary(verdict=found, next=Commands(self.journal, said, connection=self.connection).lead_on(found))

    def _refuse_queue(self, said: JournalMetadata) -> None:
        if said.queue is not None:
            sentence = f"{self.journal} is the journal of a run over the queue {said.queue}, whose workers archive."
            status = command("bulk", "status", path_argument(self.journal))
            raise preflight_error(sentence, advice=f"see how to go on with: {status}")
