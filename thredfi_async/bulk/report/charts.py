"""Lines over time, as the geometry of an SVG; the page's template draws it."""

import math
from collections.abc import Sequence
from typing import Final

import attrs

from thredfi_async.bulk.report.timeseries import Measure, Point, mean, per_second

WIDTH: Final = 560
HEIGHT: Final = 190
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 10, 24
_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)


@attrs.frozen
class Tick:
    """A mark of an axis: its place and its label."""

    at: float
    label: str


@attrs.frozen
class Line:
    """A series: its name, its highest and last value as text, and the paths of its line and the area under it."""

    name: str
    highest: str
    path: str
    area: str


@attrs.frozen
class Chart:
    """Lines over the run's time.

    Args:
        key: A name for ids and styles.
        title: What is shown, with its unit.
        note: How to read it, as a sentence.
        lines: The series.
        x_ticks: Marks of the time.
        y_ticks: Marks of the values.
        bands: Stretches in which the run was paused, as pairs of start and width.
        resumptions: Where the run was resumed.
        description: The chart in words, for screen readers.
    """

    key: str
    title: str
    note: str
    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    bands: tuple[tuple[float, float], ...]
    resumptions: tuple[float, ...]
    description: str


def charts_of(points: Sequence[Point]) -> list[Chart]:
    """Return charts of what happened over time.

    Args:
        points: The run's stretches, in order.

    Returns:
        The charts; none if there is too little to draw a line.
    """
    if len(points) < 2:  # noqa: PLR2004 - a line has two ends
        return []
    axis = _Axis(points)
    return [
        axis.chart(
            "throughput",
            "Throughput, items per second",
            "Items that got their outcome.",
            {"items": per_second(lambda point: point.done)},
        ),
        axis.chart(
            "concurrency",
            "Concurrency, calls",
            "The limit that the client has set itself, and the calls in flight.",
            {"limit": mean(lambda point: point.concurrency), "in flight": mean(lambda point: point.in_flight)},
        ),
        axis.chart(
            "retries",
            "Retries per second",
            "Requests that were sent again.",
            {"retries": per_second(lambda point: point.retries)},
        ),
        axis.chart(
            "latency",
            "Time to an outcome, milliseconds",
            "The highest percentile of any second in each stretch of time.",
            {"p99": lambda point: point.p99_ms, "p90": lambda point: point.p90_ms, "p50": lambda point: point.p50_ms},
        ),
    ]


class _Axis:
    """The time of a run, from left to right."""

    def __init__(self, points: Sequence[Point]) -> None:
        self._points = points
        self._total = sum(point.seconds for point in points)
        self._ends: list[float] = []
        passed = 0.0
        for point in points:
            passed += point.seconds
            self._ends.append(passed)

    def chart(self, key: str, title: str, note: str, measures: dict[str, Measure]) -> Chart:
        values = {name: [measure(point) for point in self._points] for name, measure in measures.items()}
        highest = max((value for each in values.values() for value in each if value is not None), default=0.0)
        step = _nice(highest / 4)
        top = step * max(1, math.ceil(highest / step - 1e-9))
        lines = tuple(self._line(name, each, top) for name, each in values.items())
        said = ", ".join(f"{line.name} at most {line.highest}" for line in lines)
        return Chart(
            key=key,
            title=title,
            note=note,
            lines=lines,
            x_ticks=self._x_ticks(),
            y_ticks=tuple(Tick(_y(step * n, top), _number(step * n)) for n in range(round(top / step) + 1)),
            bands=self._bands(),
            resumptions=tuple(self._x(end - point.seconds) for point, end in self._pairs() if point.resumed),
            description=f"{title}, over {_duration(self._total)}: {said}.",
        )

    def _pairs(self) -> list[tuple[Point, float]]:
        return list(zip(self._points, self._ends, strict=True))

    def _x(self, seconds: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * seconds / self._total, 1)

    def _line(self, name: str, values: Sequence[float | None], top: float) -> Line:
        path, area = "", ""
        for run in self._unbroken(values):
            corners = " ".join(f"{x:g},{y:g}" for x, y in ((x, _y(value, top)) for x, value in run))
            path += f"M{corners}"
            area += f"M{run[0][0]:g},{HEIGHT - BOTTOM} L{corners} L{run[-1][0]:g},{HEIGHT - BOTTOM}Z"
        return Line(name, _number(max((value for value in values if value is not None), default=0.0)), path, area)

    def _unbroken(self, values: Sequence[float | None]) -> list[list[tuple[float, float]]]:
        """Cut a series where it has no value; a stretch of one point is drawn as long as it lasted."""
        runs: list[list[tuple[float, float]]] = [[]]
        for (point, end), value in zip(self._pairs(), values, strict=True):
            if value is None:
                runs.append([])
                continue
            if not runs[-1]:
                runs[-1].append((self._x(end - point.seconds), value))
            runs[-1].append((self._x(end), value))
        return [run for run in runs if run]

    def _x_ticks(self) -> tuple[Tick, ...]:
        step = next((each for each in _STEPS if self._total / each <= 6), _STEPS[-1] * math.ceil(self._total / 518400))  # noqa: PLR2004 - labels that fit
        return tuple(Tick(self._x(step * n), _duration(step * n)) for n in range(int(self._total / step) + 1))

    def _bands(self) -> tuple[tuple[float, float], ...]:
        bands: list[tuple[float, float]] = []
        for point, end in self._pairs():
            if point.paused:
                start, stop = self._x(end - point.seconds), self._x(end)
                if bands and bands[-1][1] >= start:
                    bands[-1] = (bands[-1][0], stop)
                else:
                    bands.append((start, stop))
        return tuple((start, round(stop - start, 1)) for start, stop in bands)


def _y(value: float, top: float) -> float:
    return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top, 1)


def _nice(step: float) -> float:
    """Round a step up to 1, 2 or 5 times a power of ten."""
    if step <= 0:
        return 1.0
    power = 10 ** math.floor(math.log10(step))
    return float(next(each * power for each in (1, 2, 5, 10) if each * power >= step * (1 - 1e-9)))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"  # noqa: PLR2004 - two digits


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
