"""What a run will do, shown before it starts."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from thredfi_async.bulk import ItemState
from thredfi_async.cli.bulk.endpoint import Endpoint
from thredfi_async.cli.bulk.findings import data_sent, skipped
from thredfi_async.cli.bulk.options import RateOptions
from thredfi_async.cli.bulk.source import Count
from thredfi_async.cli.formatting import outcomes, plural, size


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run will do.

    Args:
        target: Where it sends to.
        source: The file's name.
        format: The file's format.
        size: Bytes of it, or None for stdin.
        counted: What is known of its lines.
        first_bad: The first of them, each with its place and reason.
        has_bodies: Whether bodies come from the source.
        journal: The journal.
        before: Items by outcome that the journal has already; empty for a new one.
        again: Final outcomes whose customers are sent again all the same.
        speed: How fast it may go.
        dry_run: Whether it stops there.
        warnings: What to look at first.
    """

    target: Endpoint
    source: str
    format: str
    size: int | None
    counted: Count
    first_bad: Sequence[str]
    has_bodies: bool
    journal: Path
    before: Mapping[str, int]
    again: Collection[ItemState]
    speed: RateOptions
    dry_run: bool = False
    warnings: Sequence[str] = ()

    @property
    def customers(self) -> str:
        """How many it is about, in words."""
        if self.counted.customers is None:
            return "the customers that stdin lists"
        # A file that was only counted may have invalid lines, and a long one may list customers again.
        at_most = "" if self.counted.exact else "at most "
        return at_most + plural(self.left or 0, "customer")

    @property
    def left(self) -> int | None:
        """How many customers have no final outcome yet, as far as known."""
        final = sum(self.before.get(state, 0) for state in ItemState if state.is_final and state not in self.again)
        return None if self.counted.customers is None else max(self.counted.customers - final, 0)

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "base_url": self.target.base_url,
            "host": self.target.host,
            "kind": self.target.kind.name.lower(),
            "source": self.source,
            "format": self.format,
            "size": self.size,
            "lines": self.counted.lines,
            "invalid_lines": self.counted.bad,
            "duplicates": self.counted.repeated,
            "bodies": "source" if self.has_bodies else "server",
            "journal": str(self.journal),
            "before": dict(self.before),
            "concurrency": self.speed.at_a_time,
            "rate": self.speed.a_second,
            "outage_timeout": self.speed.waits,
            "max_failures": self.speed.max_failures,
            "dry_run": self.dry_run,
            "warnings": list(self.warnings),
        }

    def as_text(self) -> Group:
        """Return it for people."""
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in self._rows():
            table.add_row(name, value)
        more = (self.counted.bad or 0) - len(self.first_bad)
        bad = [Text(f"  {line}") for line in self.first_bad]
        if more > 0 and bad:
            bad.append(Text(f"  and {plural(more, 'other')}; --invalid-lines FILE writes them all to a file"))
        bad += [Text.assemble(("warning: ", "bold yellow"), each) for each in self.warnings]
        title = "Nothing is left to archive" if self.left == 0 else f"To archive {self.customers}"
        return Group(Text(f"{title} at {self.target}", style="bold"), table, *bad)

    def _rows(self) -> list[tuple[str, str]]:
        noun = "customer" if self.counted.exact else "line"
        counted = "" if self.counted.customers is None else f", {plural(self.counted.customers, noun)}"
        measured = "" if self.size is None else f", {size(self.size)}"
        rows = [
            ("from", f"{self.source} ({self.format}{measured}{counted})"),
            ("data sent", f"{data_sent(self.has_bodies)}{'' if self.has_bodies else ', with one more request'}"),
            ("journal", f"{self.journal} ({self._journal()})"),
            ("speed", str(self.speed)),
        ]
        if self.counted.repeated:
            rows.append(("repeated", f"{plural(self.counted.repeated, 'line')}; each customer is sent once"))
        if self.counted.bad is None:
            rows.append(("invalid lines", "left out, if there are any; --dry-run looks for them first"))
        elif self.counted.bad:
            rows.append(("left out", plural(self.counted.bad, "invalid line")))
        if self.counted.skipped:
            rows.append(("skipped", ", ".join(skipped(self.counted.skipped))))
        return rows

    def _journal(self) -> str:
        return f"goes on: {outcomes(self.before)}" if self.before else "new"
