"""`collect`: writes the workers' outcomes into a journal."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.text import Text

from thredfi_async.bulk import read_journal
from thredfi_async.bulk.journal import Journal
from thredfi_async.bulk.journal_verdict import verdict_in
from thredfi_async.bulk.verdict import Verdict
from thredfi_async.cli.bulk.commands import Commands, Next
from thredfi_async.cli.bulk.journal_files import read_back, writing
from thredfi_async.cli.bulk.journal_metadata import JournalMetadata
from thredfi_async.cli.bulk.nats import Nats, broker_preflight_errors
from thredfi_async.cli.bulk.preflight_errors import preflight_errors
from thredfi_async.cli.bulk.summary import conclude, figures, headline, steps
from thredfi_async.cli.exit_codes import ExitCode
from thredfi_async.cli.formatting import outcomes, plural
from thredfi_async.cli.progress.display import display
from thredfi_async.cli.progress.follow import Followed, follow
from thredfi_async.cli.progress.rate import Progress
from thredfi_async.cli.session import Session
from thredfi_async.worker.broker import Broker, connected
from thredfi_async.worker.fanout import Collector, DistributedRun, Until


@dataclass(frozen=True, kw_only=True)
class Collect:
    """The job of `thredfi bulk collect`.

    Args:
        journal: The journal's path.
        nats: Where the queue is.
        follow: Whether to go on until Ctrl-C.
        until_done: Whether to go on until the queue is empty.
    """

    journal: Path
    nats: Nats
    follow: bool = False
    until_done: bool = False

    def __call__(self, session: Session) -> int:
        """Collect, and show how far the run is."""
        progress = Collecting()
        with preflight_errors(), broker_preflight_errors():
            followed = asyncio.run(self._collect(session, progress))
            with read_journal(self.journal) as view:
                metadata, found = JournalMetadata(view.run), verdict_in(view, running=False)
            commands = Commands(self.journal, metadata, nats=self.nats)
            collected = Collected(
                progress=progress,
                followed=followed,
                following=self.follow,
                verdict=found,
                next=commands.lead_on(found),
            )
        return conclude(collected, session.out, unheard=followed.unheard)

    async def _collect(self, session: Session, progress: "Collecting") -> Followed:
        stream_config = self.nats.stream_config()
        # Before the journal, so that a missing broker leaves no empty file behind.
        async with connected(self.nats.settings(), name="thredfi bulk collect") as broker:
            with writing(self.journal, create=True) as journal:
                collector = Collector(broker, stream_config, DistributedRun(journal, stream_config))
                await asyncio.to_thread(lambda: journal.describe(**self.nats.as_facts()))
                progress.begin(broker, collector, journal)
                followed = await follow(
                    collector.collect(self._until),
                    look=progress.look,
                    drain=collector.drain,
                    draining="what is being recorded is recorded",
                    display=display(session.out, debug=session.debug),
                )
                await asyncio.to_thread(progress.note, journal)
        return followed

    @property
    def _until(self) -> Until:
        return Until.STOPPED if self.follow else Until.DONE if self.until_done else Until.NOW


class Collecting:
    """How far collecting has come."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._journal: Journal | None = None
        self._broker: Broker | None = None
        self._collector: Collector | None = None
        self._states: Mapping[str, int] = {}
        self._due = 0.0
        self._began = time.monotonic()

    def begin(self, broker: Broker, collector: Collector, journal: Journal) -> None:
        """Note the broker, the collector and the journal."""
        self._broker, self._collector, self._journal = broker, collector, journal

    def note(self, journal: Journal) -> None:
        """Write into the journal whether the queue is empty, and whether the run is at its end."""
        journal.describe(queue_is_empty=int(self.is_empty))
        if self.is_empty and not self._count().get("pending", 0):
            journal.finish(None)

    @property
    def queue(self) -> dict[str, int | None]:
        """What the broker reported last."""
        state = None if self._collector is None else self._collector.queue_depth
        return {
            "waiting": None if state is None else state.waiting,
            "in_flight": None if state is None else state.in_flight,
        }

    @property
    def is_empty(self) -> bool:
        """Whether the queue is empty, and every outcome was read."""
        state = None if self._collector is None else self._collector.queue_depth
        return state is not None and state.queued == 0 and self.read == state.outcomes

    @property
    def read(self) -> int:
        """The number of the last outcome that was read."""
        return 0 if self._collector is None else self._collector.next - 1

    @property
    def collected(self) -> int:
        """Outcomes that were read this time."""
        return 0 if self._collector is None else self._collector.read

    @property
    def unreadable(self) -> int:
        """Events that cannot be read: invalid ones, and those of another version."""
        return 0 if self._collector is None else self._collector.unreadable

    def _count(self) -> Mapping[str, int]:
        if self._journal is None:
            return {}
        with read_back(self._journal) as view:
            return view.totals()

    def look(self) -> Progress:
        """Count the journal's rows, in the thread that shows them; the more there are, the less often."""
        began = time.monotonic()
        if began >= self._due:
            self._states = self._count()
            self._due = began + 10 * (time.monotonic() - began)
        connected = self._broker is None or self._broker.is_connected
        troubles = [] if self._broker is None else self._broker.troubles
        facts = {
            "states": dict(self._states),
            "collected": self.collected,
            "queue": self.queue,
            "connected": connected,
            "troubles": troubles,
        }
        total = sum(self._states.values())
        return Progress(
            title="Collecting",
            elapsed=began - self._began,
            done=total - self._states.get("pending", 0),
            total=total,
            outcomes=standing(self._states, self.queue),
            notes=tuple(f"WAITING: {trouble}" for trouble in troubles),
            facts=facts,
            warning=bool(troubles),
        )


@dataclass(frozen=True, kw_only=True)
class Collected:
    """How it ended.

    Args:
        progress: How far it came.
        followed: Whether anything ended it early.
        following: Whether it was to go on until it was ended.
        verdict: How the run stands.
        next: The commands that lead on.
    """

    progress: Collecting
    followed: Followed
    following: bool
    verdict: Verdict
    next: Sequence[Next]

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of collecting, which the outcomes do not change; Ctrl-C is the regular end of following."""
        return ExitCode.INTERRUPTED if self.followed.interrupted and not self.following else ExitCode.DONE

    def as_json(self) -> dict[str, Any]:
        """Return it for machines; the run's own verdict is apart from how collecting ended."""
        run = self.verdict.as_json()
        return {
            "exit_code": int(self.exit_code),
            "interrupted": self.followed.interrupted,
            "collected": self.progress.collected,
            "unreadable": self.progress.unreadable,
            "queue": self.progress.queue,
            "states": run["states"],
            "done": self.verdict.complete,
            "run": run,
            "next": [each.as_json() for each in self.next],
        }

    def as_text(self) -> Group:
        """Return it for people."""
        states = self.verdict.counts.states
        lines = [Text(f"Collected: {plural(self.progress.collected, 'new outcome')}.", style="bold")]
        if self.progress.unreadable:
            words = f"  {plural(self.progress.unreadable, 'event')} that cannot be read, passed over"
            lines.append(Text(words, style="yellow"))
        lines += [headline(self.verdict), Text(f"  {standing(states, self.progress.queue)}")]
        return Group(*lines, *figures(self.verdict), *steps(self.next))


def standing(states: Mapping[str, int], queue: Mapping[str, int | None]) -> str:
    """Return how a run over a queue stands.

    Args:
        states: Its items by state.
        queue: What the broker reported.

    Returns:
        A line.
    """
    known = {name: count for name, count in states.items() if name != "pending"}
    pending = f"{states.get('pending', 0):,} pending"
    line = f"{plural(sum(states.values()), 'customer')}: {outcomes(known)}, {pending}"
    if queue["waiting"] is None:
        return line
    return f"{line}; in the queue {queue['waiting']:,} waiting and {queue['in_flight']:,} with workers"
