"""`status`: how far a run has come, read from its journal without a lock."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from thredfi_async.bulk import JournalView
from thredfi_async.bulk.journal import Sample
from thredfi_async.bulk.journal_verdict import verdict_in
from thredfi_async.bulk.report.timeseries import is_resumed
from thredfi_async.bulk.verdict import Outcome, Verdict
from thredfi_async.cli.bulk.commands import Commands, Next
from thredfi_async.cli.bulk.journal_files import reading
from thredfi_async.cli.bulk.journal_metadata import JournalMetadata, title, when
from thredfi_async.cli.bulk.preflight_errors import preflight_errors
from thredfi_async.cli.bulk.progress import Seen, progress_of
from thredfi_async.cli.bulk.summary import figures, headline, steps
from thredfi_async.cli.exit_codes import ExitCode
from thredfi_async.cli.formatting import outcomes
from thredfi_async.cli.progress.rate import Progress, Rate
from thredfi_async.cli.session import Session


@dataclass(frozen=True, kw_only=True)
class Status:
    """The job of `thredfi bulk status`.

    Args:
        journal: The journal.
    """

    journal: Path

    def __call__(self, session: Session) -> int:
        """Show how far the run has come; the exit code is 0 wherever that is."""
        with preflight_errors(), reading(self.journal) as view:
            status = RunStatus.of(view)
        next_ = Commands(self.journal, status.metadata).lead_on(status.verdict)
        if session.out.json:
            session.out.data({"journal": str(self.journal), **status.as_json(next_)})
        else:
            heads = (Text(line, style="" if number else "bold") for number, line in enumerate(self._title(status)))
            session.out.show(*heads, *status.as_text(), *steps(next_), wrap=False)
        return ExitCode.DONE

    def _title(self, status: "RunStatus") -> list[str]:
        return title(self.journal, status.metadata)


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """The status of a run.

    Args:
        metadata: What the journal says of it.
        verdict: How it stands.
        progress: How far it has come, by its latest sample; None without one.
        rate: How fast.
    """

    metadata: JournalMetadata
    verdict: Verdict
    progress: Progress | None
    rate: Rate

    @classmethod
    def of(cls, view: JournalView) -> "RunStatus":
        """Read it from a journal.

        Args:
            view: The journal.

        Returns:
            The status.
        """
        metadata, found = JournalMetadata(view.finished_run()), verdict_in(view)
        rate, progress = Rate(), None
        for progress in _moments(view.samples(), metadata, found):
            rate.see(progress.elapsed, progress.done)
        return cls(metadata=metadata, verdict=found, progress=progress, rate=rate)

    @property
    def running(self) -> Progress | None:
        """How far it has come, if it is running."""
        return self.progress if self.verdict.outcome is Outcome.RUNNING else None

    def as_json(self, next_: list[Next]) -> dict[str, Any]:
        """Return it for machines."""
        now = None
        if self.running is not None:
            now = {**self.running.facts, **self.rate.as_json(self.running)}
            del now["elapsed"]  # of a sample, it is the time of day
        return {
            "run": self.metadata.as_json(),
            "running": self.running is not None,
            "now": now,
            **self.verdict.as_json(),
            "next": [each.as_json() for each in next_ if not each.is_offer],
        }

    def as_text(self) -> list[Text]:
        """Return it for people."""
        counts = self.verdict.counts
        total = None if counts.not_started is None else counts.started + counts.not_started
        of = "" if total is None else f" of {total:,}"
        done = counts.started - counts.pending
        lines = [headline(self.verdict), Text(f"  {done:,}{of}: {outcomes(counts.states)}"), *figures(self.verdict)]
        if self.running is not None:
            lines.append(Text(f"  running: {self.rate.as_text(self.running)}", style="cyan"))
        elif self.metadata.finished and self.verdict.complete:
            lines.append(Text(f"  at its end since {when(self.metadata.run.get('finished_at'))}"))
        return lines


def _moments(samples: Iterable[Sample], metadata: JournalMetadata, verdict: Verdict) -> Iterable[Progress]:
    """Turn the samples of the latest session into its progress; counts begin anew with each session."""
    session: list[Sample] = []
    for sample in samples:
        if session and is_resumed(session[-1], sample):
            session.clear()
        session.append(sample)
        del session[:-60]
    counts = verdict.counts
    done = counts.started - counts.pending
    total = None if counts.not_started is None else counts.started + counts.not_started
    for sample in session:
        # Only the latest sample's outcomes are known by state; the earlier ones make the rate.
        count = max(done - session[-1].done + sample.done, 0)
        states = counts.states if sample is session[-1] else {"archived": count}
        seen = Seen(
            states=states,
            before=max(done - session[-1].done, 0),
            total=total,
            invalid_lines=counts.invalid_lines,
            duplicates=counts.duplicates,
        )
        yield progress_of(seen, sample, elapsed=sample.at, rate_limit=metadata.settings.rate)
