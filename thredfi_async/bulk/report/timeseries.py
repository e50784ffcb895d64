"""Merges a run's samples into a few hundred points of time."""

from collections.abc import Callable, Iterable
from typing import Final

import attrs

from thredfi_async.bulk.journal import Sample

MOST_POINTS: Final = 240
"""Points of a series; with twice as many, neighbours are merged, so that a run of a week costs no more than this."""
_LONGEST_STEP: Final = 10.0
"""Most seconds between two samples of a running run; a longer gap is left out."""


@attrs.define
class Point:
    """A stretch of a run.

    Args:
        seconds: How long it was.
        samples: Samples in it.
        done: Outcomes in it.
        retries: Requests in it that repeated one before.
        in_flight: Sum over the samples.
        concurrency: Sum over the samples.
        paused: Samples that found the run paused, or the API cooling down.
        p50_ms: The highest median among the samples; None if nothing ended.
        p90_ms: The highest 90th percentile.
        p99_ms: The highest 99th percentile.
        resumed: Whether a session of the run begins here, the first apart.
    """

    seconds: float
    samples: int
    done: int
    retries: int
    in_flight: int
    concurrency: int
    paused: int
    p50_ms: int | None
    p90_ms: int | None
    p99_ms: int | None
    resumed: bool = False

    def absorb(self, other: "Point") -> None:
        """Add the stretch that follows."""
        self.seconds += other.seconds
        self.samples += other.samples
        self.done += other.done
        self.retries += other.retries
        self.in_flight += other.in_flight
        self.concurrency += other.concurrency
        self.paused += other.paused
        self.p50_ms = _higher(self.p50_ms, other.p50_ms)
        self.p90_ms = _higher(self.p90_ms, other.p90_ms)
        self.p99_ms = _higher(self.p99_ms, other.p99_ms)
        self.resumed = self.resumed or other.resumed


def points_of(samples: Iterable[Sample]) -> list[Point]:
    """Merge samples into points.

    Args:
        samples: The samples of a run, the oldest first; the counts of a resumed run begin again at 0.

    Returns:
        At most 2 * `MOST_POINTS` points that follow each other, of the time in which the run was running.
    """
    points: list[Point] = []
    width = 1
    last: Sample | None = None
    for sample in samples:
        if last is not None and not (sample.requests or sample.done) and is_resumed(last, sample):
            # A session that has sent nothing by now is none that the run was resumed in.
            continue
        point = _step(last, sample)
        last = sample
        if points and points[-1].samples < width:
            points[-1].absorb(point)
        else:
            points.append(point)
        if len(points) > 2 * MOST_POINTS:
            points = _halved(points)
            width *= 2
    return points


def is_resumed(last: Sample, sample: Sample) -> bool:
    """Return whether a sample is of another session than the one before it; counts begin at 0 with each session."""
    return sample.done < last.done or sample.at - last.at > _LONGEST_STEP


def _step(last: Sample | None, sample: Sample) -> Point:
    resumed = last is not None and is_resumed(last, sample)
    restarted = last is None or sample.done < last.done
    seconds = 1.0 if last is None or resumed else max(sample.at - last.at, 0.001)
    return Point(
        seconds=seconds,
        samples=1,
        done=sample.done - (0 if restarted or last is None else last.done),
        retries=max(0, sample.retries - (0 if restarted or last is None else last.retries)),
        in_flight=sample.in_flight,
        concurrency=sample.concurrency,
        paused=int(sample.paused or sample.cooldown > 0),
        p50_ms=sample.p50_ms,
        p90_ms=sample.p90_ms,
        p99_ms=sample.p99_ms,
        resumed=resumed,
    )


def _halved(points: list[Point]) -> list[Point]:
    for first, second in zip(points[::2], points[1::2], strict=False):
        first.absorb(second)
    return points[::2]


def _higher(one: int | None, other: int | None) -> int | None:
    given = [each for each in (one, other) if each is not None]
    return max(given) if given else None


Measure = Callable[[Point], float | None]


def per_second(value: Callable[[Point], int]) -> Measure:
    """Return the rate of a count."""
    return lambda point: value(point) / point.seconds


def mean(value: Callable[[Point], int]) -> Measure:
    """Return the mean of a sum over samples."""
    return lambda point: value(point) / point.samples
