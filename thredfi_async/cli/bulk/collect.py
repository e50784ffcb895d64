"""`collect`: writes the workers' outcomes into a journal."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.text import Text

from thredfi_async.cli.bulk.conclude import conclude
from thredfi_async.cli.bulk.formatting import command, outcomes, plural
from thredfi_async.cli.bulk.journal_files import writing
from thredfi_async.cli.bulk.nats import Nats, broker_preflight_errors
from thredfi_async.cli.bulk.preflight_errors import preflight_errors
from thredfi_async.cli.bulk.undertaking import totals_of
from thredfi_async.cli.bulk.watch import Watched, watch
from thredfi_async.cli.exit_codes import ExitCode
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
        progress = Collecting(self.journal)
        with preflight_errors(), broker_preflight_errors():
            watched = asyncio.run(self._collect(session, progress))
            collected = Collected(
                progress=progress,
                watched=watched,
                followed=self.follow,
                states=totals_of(self.journal),
                report=command("bulk", "report", str(self.journal)),
                again=self.nats.repeated("bulk", "collect", "--journal", str(self.journal), "--until-done"),
            )
        return conclude(collected, session.out, unheard=collected.watched.unheard)

    async def _collect(self, session: Session, progress: "Collecting") -> Watched:
        stream_config = self.nats.stream_config()
        # Before the journal, so that a missing broker leaves no empty file behind.
        async with connected(self.nats.settings(), name="thredfi bulk collect") as broker:
            with writing(self.journal, create=True) as journal:
                collector = Collector(broker, stream_config, DistributedRun(journal, stream_config))
                progress.begin(broker, collector)
                watched = await watch(
                    collector.collect(self._until),
                    drain=collector.drain,
                    glance=progress.glance,
                    draining="what is being recorded is recorded",
                    out=session.out,
                    debug=session.debug,
                )
                if await asyncio.to_thread(lambda: progress.is_done):
                    await asyncio.to_thread(journal.finish, None)
        return watched

    @property
    def _until(self) -> Until:
        return Until.STOPPED if self.follow else Until.DONE if self.until_done else Until.NOW


class Collecting:
    """How far collecting has come.

    Args:
        journal: The journal's path.
    """

    def __init__(self, journal: Path) -> None:
        """Begin with nothing."""
        self._journal = journal
        self._broker: Broker | None = None
        self._collector: Collector | None = None
        self._states: Mapping[str, int] = {}
        self._due = 0.0

    def begin(self, broker: Broker, collector: Collector) -> None:
        """Note the broker and the collector."""
        self._broker, self._collector = broker, collector

    def glance(self) -> "Collecting":
        """Count the journal's rows, in the thread that shows them; the more there are, the less often."""
        began = time.monotonic()
        if began >= self._due:
            self._states = totals_of(self._journal)
            self._due = began + 10 * (time.monotonic() - began)
        return self

    @property
    def queue(self) -> dict[str, int | None]:
        """What the broker reported last."""
        state = None if self._collector is None else self._collector.queue_depth
        return {
            "waiting": None if state is None else state.waiting,
            "in_flight": None if state is None else state.in_flight,
            "dead_letters": None if state is None else state.dead,
        }

    @property
    def is_done(self) -> bool:
        """Whether the queue is empty, and every customer in the journal has an outcome."""
        state = None if self._collector is None else self._collector.queue_depth
        empty = state is not None and state.queued == 0 and self.read == state.outcomes
        return empty and not totals_of(self._journal).get("pending", 0)

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
        """Events of another version."""
        return 0 if self._collector is None else self._collector.unreadable

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        away = self._broker is not None and not self._broker.is_connected
        return {"states": dict(self._states), "collected": self.collected, "queue": self.queue, "connected": not away}

    def __str__(self) -> str:
        """Return it in one line."""
        parts = [standing(self._states, self.queue)]
        if self._broker is not None and not self._broker.is_connected:
            parts.append("NATS IS AWAY: waiting until it is back")
        return "; ".join(parts)


@dataclass(frozen=True, kw_only=True)
class Collected:
    """How it ended.

    Args:
        progress: How far it came.
        watched: Whether anything ended it early.
        followed: Whether it was to go on until it was ended.
        states: The journal's items by state.
        report: The command that shows who is not archived, and why.
        again: The command to go on with.
    """

    progress: Collecting
    watched: Watched
    followed: bool
    states: Mapping[str, int]
    report: str
    again: str

    @property
    def exit_code(self) -> ExitCode:
        """The exit code; Ctrl-C is the regular end of following."""
        return ExitCode.INTERRUPTED if self.watched.interrupted and not self.followed else ExitCode.DONE

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "exit_code": int(self.exit_code),
            "interrupted": self.watched.interrupted,
            **self.progress.as_json(),
            "states": dict(self.states),
            "done": self.progress.is_done,
        }

    def as_text(self) -> Group:
        """Return it for people."""
        queue, pending = self.progress.queue, self.states.get("pending", 0)
        lines = [Text(f"Collected: {plural(self.progress.collected, 'new outcome')}.", style="bold green")]
        lines.append(Text(f"  {standing(self.states, queue)}"))
        if self.progress.unreadable:
            lines.append(
                Text(f"  {plural(self.progress.unreadable, 'event')} of another version, left out", style="yellow")
            )
        if pending and queue["waiting"] == queue["in_flight"] == 0:
            words = "pending, and the queue is empty: publish them again, with --dedup-key again"
            lines.append(Text(f"  {pending:,} {words}", style="bold yellow"))
        elif not self.progress.is_done:
            lines.append(Text.assemble(("Go on with: ", "bold"), self.again))
        lines.append(Text.assemble(("See who is not archived, and why, with: ", "bold"), self.report))
        return Group(*lines)


def standing(states: Mapping[str, int], queue: Mapping[str, int | None]) -> str:
    """Return how a run over a queue stands.

    Args:
        states: Its items by state.
        queue: What the broker reported.

    Returns:
        A line.
    """
    pending = f"{states.get('pending', 0):,} pending"
    line = f"{plural(sum(states.values()), 'customer')}: {outcomes(states)}, {pending}"
    if queue["waiting"] is None:
        return line
    dead = f", {plural(queue['dead_letters'] or 0, 'dead letter')}" if queue["dead_letters"] else ""
    return f"{line}; in the queue {queue['waiting']:,} waiting and {queue['in_flight']:,} with workers{dead}"
