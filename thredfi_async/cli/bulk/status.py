"""`status`: how far a run has come, read from its journal without a lock."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.text import Text

from thredfi_async.bulk import JournalView
from thredfi_async.bulk.journal import Sample
from thredfi_async.cli.bulk.ending import Ending
from thredfi_async.cli.bulk.formatting import going, outcomes, plural
from thredfi_async.cli.bulk.journal_files import reading
from thredfi_async.cli.bulk.journal_metadata import JournalMetadata, when
from thredfi_async.cli.bulk.moment import Moment, Pace
from thredfi_async.cli.bulk.next_steps import commands_of
from thredfi_async.cli.bulk.preflight_errors import preflight_errors
from thredfi_async.cli.exit_codes import ExitCode
from thredfi_async.cli.session import Session
from thredfi_async.cli.settings import Connection

_FRESH: Final = 5.0
"""Seconds: a run that goes on writes a sample each second."""

_OF_A_PROCESS: Final = frozenset({"exit_code", "elapsed", "interrupted", "duplicates"})


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
            standing = Standing.of(view, time.time())
        ending = Ending(
            states=standing.states,
            commands=commands_of(Connection(), self.journal, standing.facts),
            bad=standing.bad,
            stopped=standing.facts.stopped,
            unread=not standing.facts.finished,
        )
        if session.out.json:
            ended = {name: value for name, value in ending.as_json().items() if name not in _OF_A_PROCESS}
            session.out.data({"journal": str(self.journal), **standing.as_json(), **ended})
        else:
            session.out.show(*title(self.journal, standing.facts), *standing.as_text(), wrap=False)
            if not standing.running:
                session.out.show(*ending.steps_as_text(), wrap=False)
        return ExitCode.DONE


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a run stands.

    Args:
        facts: What it is.
        states: Its items by outcome, `pending` among them.
        bad: Lines that are no items.
        moment: How it goes, if it is running.
        pace: How fast.
    """

    facts: JournalMetadata
    states: Mapping[str, int]
    bad: int
    moment: Moment | None
    pace: Pace

    @classmethod
    def of(cls, view: JournalView, now: float) -> "Standing":
        """Read it from a journal.

        Args:
            view: The journal.
            now: The time, in unix seconds.

        Returns:
            How the run stands.
        """
        facts, states = JournalMetadata(view.run), view.totals()
        pace, moment = Pace(), None
        for moment in _moments(view.samples(), facts, states):
            pace.see(moment)
        goes_on = moment is not None and not facts.finished and facts.stopped is None and now - moment.elapsed < _FRESH
        bad = sum(1 for _ in view.invalid_lines())
        return cls(facts=facts, states=states, bad=bad, moment=moment if goes_on else None, pace=pace)

    @property
    def running(self) -> bool:
        """Whether it is running."""
        return self.moment is not None

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        now = None
        if self.moment is not None:
            now = {**self.moment.as_json(), "rate": round(self.pace.rate, 1)}
            del now["elapsed"]  # of a sample, it is the time of day
        return {"run": dict(self.facts.run), "running": self.running, "now": now}

    def as_text(self) -> list[Text]:
        """Return it for people."""
        done = {state: count for state, count in self.states.items() if state != "pending"}
        of = "" if self.facts.lines is None else f" of {max(self.facts.lines - self.bad, 0):,}"
        lines = [Text(f"  {sum(done.values()):,}{of}: {outcomes(done)}")]
        if self.bad:
            lines.append(Text(f"  {plural(self.bad, 'invalid line')}, left out"))
        if self.moment is not None:
            lines.append(Text(f"  running: {going(self.moment, self.pace)}", style="cyan"))
        elif self.facts.finished:
            lines.append(Text(f"  at its end since {when(self.facts.run.get('finished_at'))}"))
        elif self.facts.queue is not None:
            pending = f"{self.states.get('pending', 0):,} pending in the queue {self.facts.queue}"
            lines.append(Text(f"  {pending}, or not collected from it", style="yellow"))
        else:
            lines.append(Text(f"  {self.facts.stopped or 'not running, and not at its end'}", style="yellow"))
        return lines


def title(journal: Path, facts: JournalMetadata) -> list[Text]:
    """Return which run it is.

    Args:
        journal: Its journal.
        facts: What that says.

    Returns:
        Two lines.
    """
    begun = when(facts.run.get("created_at"))
    source = "stdin" if facts.source == "-" else facts.source
    parts = [f"begun {begun}" if begun else "", f"at {facts.run['host']}" if facts.run.get("host") else ""]
    lines = [Text(f"{journal}: a run {', '.join(filter(None, parts))}", style="bold")]
    return [*lines, Text(f"  from {source}")] if source else lines


def _moments(samples: Iterable[Sample], facts: JournalMetadata, states: Mapping[str, int]) -> Iterable[Moment]:
    """Turn the samples of the latest session into moments; counts begin anew with each session."""
    session: list[Sample] = []
    for sample in samples:
        if session and sample.done < session[-1].done:
            session.clear()
        session.append(sample)
        del session[:-60]
    done = sum(count for state, count in states.items() if state != "pending")
    for sample in session:
        yield Moment(
            elapsed=sample.at,
            done=done - session[-1].done + sample.done,
            total=facts.lines,
            in_flight=sample.in_flight,
            concurrency=sample.concurrency,
            retries=sample.retries,
            cooldown=sample.cooldown,
            paused=sample.paused,
            p50_ms=sample.p50_ms,
            p99_ms=sample.p99_ms,
            states=states,
        )
