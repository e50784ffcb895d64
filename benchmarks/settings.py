"""What a run of the benchmarks is asked to do, and what each scenario hands back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rounds import Ratio


@dataclass(frozen=True)
class Settings:
    """A run.

    Args:
        rounds: How often everything is measured.
        seconds: How long one peer is measured under one load.
        peers: Which clients are compared.
        loops: On which event loops.
        concurrency: How many calls are under way at once.
        calls: How many calls are gathered at once.
        items: How many items a short and a long bulk run have.
        url: Where the server is.
        generated: Where the generated clients are.
    """

    rounds: int
    seconds: float
    peers: Sequence[str]
    loops: Sequence[str]
    concurrency: Sequence[int]
    calls: Sequence[int]
    items: tuple[int, int]
    url: str
    generated: Path


@dataclass(frozen=True)
class Table:
    """Rows of text under a caption."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Target:
    """Something that the project promises.

    Args:
        promise: What, as a sentence without its end.
        figure: What was measured: the median, and the smallest and the largest of the rounds.
        bound: What the median may be at most.
        unit: Of both; empty for a ratio.
    """

    promise: str
    figure: Ratio
    bound: float
    unit: str = ""

    @property
    def holds(self) -> bool:
        """Whether the median is within the bound."""
        return self.figure.median <= self.bound


@dataclass(frozen=True)
class Section:
    """What a scenario found.

    Args:
        title: Its heading.
        text: What the tables show, and how it was measured: one sentence an item.
        tables: The figures.
        targets: The promises that these decide.
        data: The medians and extremes for machines, by name.
        missing: What could not be measured, and why.
    """

    title: str
    text: Sequence[str]
    tables: Sequence[Table]
    targets: Sequence[Target] = ()
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    missing: Mapping[str, str] = field(default_factory=dict[str, str])
