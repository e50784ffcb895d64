"""`archive`: from a file, and perhaps a journal, to a run."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from thredfi_async.bulk import Journal, read_journal
from thredfi_async.bulk.readers import Source
from thredfi_async.cli.bulk.endpoint import Endpoint
from thredfi_async.cli.bulk.executor import RunExecutor
from thredfi_async.cli.bulk.findings import refuse_unusable, warnings_of
from thredfi_async.cli.bulk.journal_files import read_back, writing
from thredfi_async.cli.bulk.journal_metadata import JournalMetadata, fits_host, fits_source, metadata_of
from thredfi_async.cli.bulk.looking import looking
from thredfi_async.cli.bulk.options import RateOptions
from thredfi_async.cli.bulk.preflight_errors import preflight_error, preflight_errors
from thredfi_async.cli.bulk.reading import Reading
from thredfi_async.cli.bulk.source import InvalidLines, count, invalid_line
from thredfi_async.cli.formatting import plural
from thredfi_async.cli.progress.display import event
from thredfi_async.cli.session import Session
from thredfi_async.cli.settings import Connection


@dataclass(frozen=True, kw_only=True)
class Archive:
    """The job of `thredfi bulk archive`.

    Args:
        connection: How to reach the API.
        reading: The file, and how it is read.
        journal: The journal's path.
        strict: Whether an invalid line keeps the run from starting.
        dry_run: Whether nothing is sent.
        yes: Whether the question is answered before it is asked.
        speed: How fast.
    """

    connection: Connection
    reading: Reading
    journal: Path
    strict: bool = False
    dry_run: bool = False
    yes: bool = False
    speed: RateOptions = field(default_factory=RateOptions)

    def __call__(self, session: Session) -> int:
        """Check everything, show the plan, ask, and do it."""
        target = Endpoint(self.connection.client().base_url)
        out = session.out
        bad = InvalidLines((lambda line: event(out, "invalid_line", **invalid_line(line))) if out.json else None)
        with contextlib.ExitStack() as stack:
            begun = None if self.dry_run else self._goes_on
            with preflight_errors(), looking(session, self.reading.source, journal=begun):
                # Before the file is read through, to find out at once whether another run is using it.
                journal = stack.enter_context(writing(self.journal, create=False)) if self._goes_on else None
                source = stack.enter_context(contextlib.closing(self.reading.open(bad, json=out.json)))
                before, totals = self._before(source, target, journal)
                metadata = self._metadata(source, target)
                counted = count(source, bad, whole=self.strict or self.dry_run, quiet=out.json or out.quiet)
            executor = RunExecutor(
                connection=replace(self.connection, kept_timeouts=before.settings.timeouts),
                target=target,
                source=source,
                bad=bad,
                counted=counted,
                journal=self.journal,
                metadata=metadata.repeating(max(before.duplicates, counted.repeated or 0)),
                before=totals,
                speed=self.speed.after(before),
                warnings=warnings_of(source),
            )
            executor.announce(out, dry_run=self.dry_run)
            if self.strict and counted.bad:
                sentence = f"{source.name} has {plural(counted.bad, 'invalid line')}, and --strict takes none."
                raise preflight_error(sentence, advice="fix them, or leave --strict out to archive the others")
            refuse_unusable(source, counted, bad, self.reading)
            if self.dry_run:
                return executor.rehearsed(out)
            executor.ask(yes=self.yes, json=out.json)
            with preflight_errors():
                journal = journal or stack.enter_context(writing(self.journal, create=True))
                executor.describe(journal)
            return executor.execute(session, journal)

    @property
    def _goes_on(self) -> bool:
        return not self.dry_run and _is_begun(self.journal)

    def _before(
        self, source: Source, target: Endpoint, journal: Journal | None
    ) -> tuple[JournalMetadata, Mapping[str, int]]:
        """Return what the journal says so far, and its items by outcome; refuse one that says something else."""
        if not _is_begun(self.journal):
            return JournalMetadata({}), {}
        with read_journal(self.journal) if journal is None else read_back(journal) as view:
            said, items = JournalMetadata(view.run), view.totals()
        # One without either was killed in its first moment, and counts as new.
        if said.source is not None or items:
            fits_source(self.journal, said, source, business_id=self.reading.business_id)
        fits_host(self.journal, said, target, allow_host_change=False)
        return said, items

    def _metadata(self, source: Source, target: Endpoint) -> JournalMetadata:
        """Return what the journal is to say."""
        reading = self.reading
        return metadata_of(
            source,
            target,
            business_id=reading.business_id,
            allow_missing_fields=reading.allow_missing_fields,
            invalid_lines=None if reading.invalid_lines is None else str(reading.invalid_lines),
        )


def _is_begun(journal: Path) -> bool:
    # `Journal.open` reports a file that cannot be read.
    try:
        return journal.stat().st_size > 0
    except OSError:
        return False
