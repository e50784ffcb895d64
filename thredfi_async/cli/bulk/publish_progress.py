"""Messages about a file that is published: before, during and after."""

import contextlib
import datetime as dt
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.text import Text

from thredfi_async.bulk import Journal, JournalError
from thredfi_async.bulk.journal.facts import path_fact
from thredfi_async.bulk.readers import Source
from thredfi_async.cli.bulk.findings import skipped, warnings_of
from thredfi_async.cli.bulk.source import Count, InvalidLines
from thredfi_async.cli.exit_codes import ExitCode
from thredfi_async.cli.formatting import duration, plural
from thredfi_async.cli.output import Output, tell
from thredfi_async.cli.progress.display import event
from thredfi_async.cli.progress.follow import Followed
from thredfi_async.cli.progress.rate import Progress
from thredfi_async.worker.broker import Broker
from thredfi_async.worker.fanout import DistributedRun, Publisher, Refused

_SHOWN: Final = 10
"""Items that cannot be messages and are shown to people one by one."""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What will be published, and where.

    Args:
        source: The file.
        counted: What is known of its lines.
        bad: Its invalid lines.
        nats: The broker's address.
        stream: The queue.
    """

    source: Source
    counted: Count
    bad: InvalidLines
    nats: str
    stream: str

    @property
    def customers(self) -> str:
        """How many it is about, in words."""
        return (
            "the customers that stdin lists"
            if self.counted.customers is None
            else f"{'' if self.counted.exact else 'at most '}{plural(self.counted.customers, 'customer')}"
        )

    def announce(self, out: Output, journal: Path | None) -> None:
        """Show what will be done."""
        if out.json:
            facts: dict[str, Any] = {
                "nats": self.nats,
                "stream": self.stream,
                "source": self.source.name,
                "lines": self.counted.lines,
                "invalid_lines": self.counted.bad,
                "duplicates": self.counted.repeated,
                "bodies": "source" if self.source.has_bodies else "server",
                "journal": None if journal is None else str(journal),
                "warnings": warnings_of(self.source),
            }
            event(out, "plan", **facts)
            return
        bodies = "with their bodies" if self.source.has_bodies else "without bodies: the server's own records are sent"
        kept = "no journal" if journal is None else f"journal {journal}"
        lines: list[RenderableType] = [
            Text(f"To publish {self.customers} to the queue {self.stream} at {self.nats}", style="bold"),
            f"  from {self.source.name}, {bodies}; {kept}",
        ]
        if self.counted.skipped:
            lines.append(f"  skipped: {', '.join(skipped(self.counted.skipped))}")
        lines += [Text.assemble(("warning: ", "bold yellow"), each) for each in warnings_of(self.source)]
        if self.counted.bad:
            lines += [
                f"  {plural(self.counted.bad, 'invalid line')}, left out:",
                *(f"  {line}" for line in self.bad.first),
            ]
        tell(*lines)


class Publishing:
    """How far publishing has come.

    Args:
        goal: What is published.
        journal: Its journal, if there is one.
        run: Keeps that.

    Attributes:
        complete: Whether the file was read to its end.
        refused: The first items that could not be messages.
        queued: Commands in the queue once all are published; None while it is not known.
    """

    def __init__(self, goal: Goal, *, journal: Journal | None = None, run: DistributedRun | None = None) -> None:
        """Begin with nothing."""
        self.goal: Goal = goal
        self.run: DistributedRun | None = run
        self.complete: bool = False
        self.refused: list[str] = []
        self.queued: int | None = None
        self._journal = journal
        self._began = time.monotonic()
        self._publisher: Publisher | None = None
        self._broker: Broker | None = None

    def begin(self, broker: Broker, publisher: Publisher) -> None:
        """Note the broker and the publisher; what an earlier command published may not be all any more."""
        self._broker, self._publisher = broker, publisher
        if self._journal is not None:
            self._journal.describe(published_at="", queue_is_empty=0)

    def note(self) -> None:
        """Write into the journal whether the file was read to its end, and which of its lines are no customers."""
        if self._journal is None or self._publisher is None:
            return
        copy, now = self.goal.source.invalid_lines_path, dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        with contextlib.suppress(JournalError):
            self._journal.describe(
                published_at=now if self.complete else "",
                duplicates=max(self.counts["duplicates"], self.goal.counted.repeated or 0),
                invalid_lines_path=None if copy is None else path_fact(copy),
            )

    def refuse(self, refused: Refused) -> None:
        """Take an item that cannot be a message."""
        if len(self.refused) < _SHOWN:
            self.refused.append(str(refused))
        if self.run is not None:
            self.run.refuse(refused)

    @property
    def published(self) -> int:
        """Messages that are stored, whether or not they were before."""
        return self.counts["new"] + self.counts["there_already"]

    @property
    def counts(self) -> dict[str, int]:
        """The outcomes of the lines so far."""
        publisher, run = self._publisher, self.run
        return {
            "new": 0 if publisher is None else publisher.stored,
            "there_already": 0 if publisher is None else publisher.repeats,
            "refused": 0 if publisher is None else publisher.refused,
            "duplicates": 0 if run is None else run.duplicates,
            "settled_before": 0 if run is None else run.settled,
            "invalid_lines": self.goal.bad.count,
        }

    @property
    def gone(self) -> int:
        """How many of those that were published before are certainly no longer in the queue."""
        if self.queued is None or self._publisher is None:
            return 0
        return max(self._publisher.gone, self._publisher.repeats - self.queued)

    @property
    def window(self) -> float:
        """Seconds for which the queue remembers who was published."""
        return 0.0 if self._publisher is None else self._publisher.duplicate_window

    def look(self) -> Progress:
        """Return how far it has come."""
        counts = self.counts
        connected = self._broker is None or self._broker.is_connected
        troubles = [] if self._broker is None else self._broker.troubles
        return Progress(
            title="Publishing",
            elapsed=time.monotonic() - self._began,
            done=sum(counts.values()) - counts["invalid_lines"],
            total=self.goal.counted.lines,
            outcomes=f"{self.published:,} published",
            notes=tuple(f"WAITING: {trouble}" for trouble in troubles),
            facts={**counts, "total": self.goal.counted.lines, "connected": connected, "troubles": troubles},
            warning=bool(troubles),
        )


@dataclass(frozen=True, kw_only=True)
class Published:
    """How it ended.

    Args:
        progress: How far it came.
        followed: Whether anything ended it early.
        elapsed: Seconds.
        work: The command that archives.
        collect: The command that shows how far that is.
    """

    progress: Publishing
    followed: Followed
    elapsed: float
    work: str
    collect: str

    @property
    def exit_code(self) -> ExitCode:
        """The exit code."""
        if not self.progress.complete:
            return ExitCode.INTERRUPTED if self.followed.interrupted else ExitCode.STOPPED
        counts = self.progress.counts
        return ExitCode.REFUSED if counts["refused"] + counts["invalid_lines"] else ExitCode.DONE

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "exit_code": int(self.exit_code),
            "elapsed": round(self.elapsed, 3),
            "complete": self.progress.complete,
            "interrupted": self.followed.interrupted,
            **self.progress.counts,
            "queued": self.progress.queued,
        }

    def as_text(self) -> Group:
        """Return it for people."""
        progress, counts = self.progress, self.progress.counts
        window = duration(progress.window)
        if progress.complete:
            # Green says that nothing was left out.
            style = "bold green" if self.exit_code is ExitCode.DONE else "bold yellow"
            lines = [Text(f"Published: {plural(counts['new'], 'customer')}, in {duration(self.elapsed)}.", style=style)]
        else:
            ended = "Interrupted" if self.followed.interrupted else "Stopped: the output cannot be written"
            head = f"{ended}. Published by now: {plural(progress.published, 'customer')}."
            lines = [Text(head, style="bold yellow")]
            again = f"what the queue has is not stored again within {window}, and does no harm after that"
            lines.append(Text(f"  Running the same again is safe: {again}."))
        told = {
            "there_already": ("customer", f" published before: the queue knows each for {window}"),
            "settled_before": ("customer", " with a final outcome in the journal already"),
            "duplicates": ("repeated line", "; each customer was published once"),
            "invalid_lines": ("invalid line", ", left out"),
            "refused": ("customer", " left out, who cannot be in a message:"),
        }
        lines += [Text(f"  {plural(counts[name], what)}{why}") for name, (what, why) in told.items() if counts[name]]
        lines += [Text(f"    {line}") for line in progress.refused]
        if progress.gone:
            lines.append(Text(f"  {_no_longer_queued(progress)}", style="yellow"))
        steps = {"Archive them, on any number of machines": self.work, "See how far they are": self.collect}
        lines += [Text.assemble((f"{why}: ", "bold"), command) for why, command in steps.items()]
        return Group(*lines)


def _no_longer_queued(progress: Publishing) -> str:
    """Return what became of those that were published before and are not in the queue."""
    return (
        f"{progress.gone:,} of them have left the queue: workers are done with them, unless it was purged. "
        f"To publish these customers again, give --dedup-key a new name, such as --dedup-key again."
    )
