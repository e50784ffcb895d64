"""The settings of a benchmark run, and the results of a scenario."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rounds import Ratio


@dataclass(frozen=True)
class Settings:
    """The settings of a run.

    Args:
        rounds: How often everything is measured.
        seconds: How long one peer is measured under one load.
        peers: The clients to compare.
        loops: The event loops.
        concurrency: Numbers of calls in flight at once.
        calls: How many calls are gathered at once.
        items: The numbers of items of a short and a long bulk run.
        url: The server's URL.
        tls_url: Its URL with TLS.
        authority: The file of the authority that signed its certificate.
        generated: The folder of the generated clients.
    """

    rounds: int
    seconds: float
    peers: Sequence[str]
    loops: Sequence[str]
    concurrency: Sequence[int]
    calls: Sequence[int]
    items: tuple[int, int]
    url: str
    tls_url: str
    authority: Path
    generated: Path


@dataclass(frozen=True)
class Table:
    """Rows of text under a caption."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Target:
    """A promise of the project.

    Args:
        promise: The promise, as a sentence without its end.
        figure: The measurement: the median, and the smallest and the largest of the rounds.
        bound: The maximum of the median.
        unit: The unit of both; empty for a ratio.
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
    """The result of a scenario.

    Args:
        title: Its heading.
        text: What the tables show, and how it was measured: one sentence per item.
        tables: The figures.
        targets: The promises that they decide.
        data: The medians and extremes for machines, by name.
        missing: What could not be measured, and why.
    """

    title: str
    text: Sequence[str]
    tables: Sequence[Table]
    targets: Sequence[Target] = ()
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    missing: Mapping[str, str] = field(default_factory=dict[str, str])
