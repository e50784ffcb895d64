"""Messages about a file that is published: before, during and after."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.text import Text

from thredfi_async.bulk.readers import Source
from thredfi_async.cli.bulk.display import event
from thredfi_async.cli.bulk.formatting import duration, plural
from thredfi_async.cli.bulk.moment import Moment, Pace
from thredfi_async.cli.bulk.source import Count, InvalidLines
from thredfi_async.cli.bulk.watch import Watched
from thredfi_async.cli.exit_codes import ExitCode
from thredfi_async.cli.output import Output, tell
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
            "the customers that stdin lists" if self.counted.lines is None else plural(self.counted.lines, "customer")
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
                "bodies": "source" if self.source.has_bodies else "server",
                "journal": None if journal is None else str(journal),
            }
            event(out, "plan", **facts)
            return
        bodies = "with their bodies" if self.source.has_bodies else "without bodies: the server's own records are sent"
        kept = "no journal" if journal is None else f"journal {journal}"
        lines: list[RenderableType] = [
            Text(f"To publish {self.customers} to the queue {self.stream} at {self.nats}", style="bold"),
            f"  from {self.source.name}, {bodies}; {kept}",
        ]
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
        run: Keeps its journal, if there is one.

    Attributes:
        complete: Whether the file was read to its end.
        refused: The first items that could not be messages.
    """

    def __init__(self, goal: Goal, run: DistributedRun | None) -> None:
        """Begin with nothing."""
        self.goal: Goal = goal
        self.run: DistributedRun | None = run
        self.complete: bool = False
        self.refused: list[str] = []
        self._pace, self._began = Pace(), time.monotonic()
        self._publisher: Publisher | None = None
        self._broker: Broker | None = None

    def begin(self, broker: Broker, publisher: Publisher) -> None:
        """Note the broker and the publisher."""
        self._broker, self._publisher = broker, publisher
        self.glance()

    def refuse(self, refused: Refused) -> None:
        """Take an item that cannot be a message."""
        if len(self.refused) < _SHOWN:
            self.refused.append(str(refused))
        if self.run is not None:
            self.run.refuse(refused)

    def glance(self) -> "Publishing":
        """Update the rate."""
        self._pace.see(self._moment())
        return self

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
    def window(self) -> float:
        """Seconds for which the queue remembers who was published."""
        return 0.0 if self._publisher is None else self._publisher.duplicate_window

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        left = self._pace.left(self._moment())
        return {
            **self.counts,
            "total": self.goal.counted.lines,
            "rate": round(self._pace.rate, 1),
            "seconds_left": None if left is None else round(left, 1),
            "connected": self._connected,
        }

    def __str__(self) -> str:
        """Return it in one line."""
        moment = self._moment()
        of = "" if moment.total is None else f" of {moment.total:,}"
        left = self._pace.left(moment)
        parts = [f"{self.published:,}{of} published", f"{self._pace.rate:,.0f}/s"]
        if left is not None and not self.complete:
            parts.append(f"{duration(left)} left")
        if not self._connected:
            parts.append("NATS IS AWAY: waiting until it is back")
        return ", ".join(parts)

    @property
    def _connected(self) -> bool:
        return self._broker is None or self._broker.is_connected

    def _moment(self) -> Moment:
        counts = self.counts
        done = sum(counts.values()) - counts["invalid_lines"]
        return Moment(elapsed=time.monotonic() - self._began, done=done, total=self.goal.counted.lines)


@dataclass(frozen=True, kw_only=True)
class Published:
    """How it ended.

    Args:
        progress: How far it came.
        watched: Whether anything ended it early.
        elapsed: Seconds.
        work: The command that archives.
        collect: The command that shows how far that is.
    """

    progress: Publishing
    watched: Watched
    elapsed: float
    work: str
    collect: str

    @property
    def exit_code(self) -> ExitCode:
        """The exit code."""
        if not self.progress.complete:
            return ExitCode.INTERRUPTED if self.watched.interrupted else ExitCode.STOPPED
        counts = self.progress.counts
        return ExitCode.REFUSED if counts["refused"] + counts["invalid_lines"] else ExitCode.DONE

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "exit_code": int(self.exit_code),
            "elapsed": round(self.elapsed, 3),
            "complete": self.progress.complete,
            "interrupted": self.watched.interrupted,
            **self.progress.counts,
        }

    def as_text(self) -> Group:
        """Return it for people."""
        progress, counts = self.progress, self.progress.counts
        window = duration(progress.window)
        if progress.complete:
            lines = [
                Text(
                    f"Published: {plural(counts['new'], 'customer')}, in {duration(self.elapsed)}.", style="bold green"
                )
            ]
        else:
            style = "bold yellow"
            lines = [Text(f"Interrupted. Published by now: {plural(progress.published, 'customer')}.", style=style)]
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
        steps = {"Archive them, on any number of machines": self.work, "See how far they are": self.collect}
        lines += [Text.assemble((f"{why}: ", "bold"), command) for why, command in steps.items()]
        return Group(*lines)
