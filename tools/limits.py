"""The table and the plot of docs/benchmarks/limits.md: the limiter's controller at the limits of simulated APIs.

    python tools/limits.py                the table, in a minute or two
    python tools/limits.py --output DIR   also limits.md and limits.svg there

Nothing is sent: time, way and API are simulated (tests/support/limit_simulation.py), the controller is the real one.
"""

import argparse
import functools
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs
import limited_apis as apis
from limit_simulation import Result, Scenario, simulate
from limited_clients import Client

_RATE: Final = 200.0
_EDGES: Final = (10, 60, 600)
_FOUR: Final = [(0.0, 1e9)] * 4


def kinds() -> Mapping[str, Scenario]:
    """Return the kinds of limits at 200 requests a second and 20 ms, by name."""
    bucket = Scenario(api=lambda _: apis.TokenBucket(_RATE))
    window = Scenario(api=lambda choose: apis.FixedWindow(_RATE, offset=choose.random()))
    sliding = Scenario(api=lambda _: apis.SlidingWindow(_RATE))
    up = apis.rounded_up
    return {
        "bucket, no Retry-After": bucket,
        "bucket, Retry-After in seconds": attrs.evolve(bucket, retry_after=up),
        "bucket, exact Retry-After": attrs.evolve(bucket, retry_after=apis.exact),
        "bucket, a date": attrs.evolve(bucket, retry_after=apis.date),
        "bucket, Retry-After 30": attrs.evolve(bucket, retry_after=apis.too_long),
        "bucket, round trip 300 ms": attrs.evolve(bucket, round_trip=0.3),
        "bucket, round trip 0.5 ms": attrs.evolve(bucket, round_trip=0.0005),
        "leaky bucket with a queue": Scenario(api=lambda _: apis.LeakyBucket(_RATE)),
        "leaky bucket without a queue": Scenario(api=lambda _: apis.TokenBucket(_RATE, 1.0)),
        "fixed window of a second": window,
        "fixed window, Retry-After in seconds": attrs.evolve(window, retry_after=up),
        "fixed window, exact Retry-After": attrs.evolve(window, retry_after=apis.exact),
        "sliding window of a second": Scenario(api=lambda _: apis.SlidingWindow(_RATE, 1.0)),
        "sliding window of a second, Retry-After in seconds": Scenario(
            api=lambda _: apis.SlidingWindow(_RATE, 1.0), retry_after=up
        ),
        "sliding window of 10 s": sliding,
        "sliding window of 10 s, Retry-After in seconds": attrs.evolve(sliding, retry_after=up),
        "12,000 a minute, Retry-After in seconds": Scenario(
            api=lambda _: apis.FixedWindow(_RATE, 60.0), retry_after=up
        ),
        "8 in flight": Scenario(api=lambda _: apis.Concurrency(8, 0.02), round_trip=0.0005),
        "8 in flight and 200 a second": Scenario(
            api=lambda _: apis.Both(apis.TokenBucket(_RATE), apis.Concurrency(8, 0.02)), round_trip=0.0005
        ),
        "four businesses with a bucket each": Scenario(
            api=lambda choose: apis.PerBusiness([apis.TokenBucket(_RATE / 4, 5.0) for _ in range(4)], choose)
        ),
        "3 % refused at random, else 1,000": Scenario(
            api=lambda choose: apis.Both(apis.TokenBucket(1000.0), apis.Random(0.03, choose.random))
        ),
        "bucket of 1 a minute": Scenario(api=lambda _: apis.TokenBucket(1 / 60, 1.0)),
        "bucket of 5 a second": Scenario(api=lambda _: apis.TokenBucket(5.0, 5.0)),
        "bucket of 5,000 a second": Scenario(api=lambda _: apis.TokenBucket(5000.0, 500.0), round_trip=0.002),
        "bucket, bursts of load": attrs.evolve(bucket, load=150.0),
        "4 clients, bucket": attrs.evolve(bucket, clients=_FOUR),
        "4 clients, bucket, Retry-After in seconds": attrs.evolve(bucket, clients=_FOUR, retry_after=up),
        "4 clients, fixed window": attrs.evolve(window, clients=_FOUR),
        "16 clients, bucket": attrs.evolve(bucket, clients=_FOUR * 4),
        "64 clients, bucket": attrs.evolve(bucket, clients=_FOUR * 16),
    }


def rows(names: Sequence[str]) -> Iterator[tuple[str, Result]]:
    """Run each for as long as it takes to see it settle."""
    for name, scenario in kinds().items():
        if not names or any(each in name for each in names):
            seconds = 120.0 if "5,000" in name or "random" in name else 600.0
            yield name, simulate(attrs.evolve(scenario, seconds=seconds), _client)


def _client(choose: random.Random) -> Client:
    return Client(choose)


def line(name: str, result: Result) -> str:
    """Return a row of the table."""
    cells: list[str] = []
    for edge in _EDGES:
        if edge <= result.seconds:
            cells.append(f"{result.used(0.0, edge):.2f} | {result.refusals(0.0, edge):.1%}")
        else:
            cells.append("- | -")
    return f"| {name} | {' | '.join(cells)} |\n"


def head() -> str:
    """Return the head of the table."""
    columns = " | ".join(f"used, {edge} s | refused" for edge in _EDGES)
    return f"| limit | {columns} |\n|---|{'---|' * 2 * len(_EDGES)}\n"


def plot(results: Mapping[str, Result]) -> str:
    """Return an SVG with what was used of each limit, second by second."""
    width, height, gap = 640, 44, 18
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="11" '
            f'viewBox="0 0 {width} {len(results) * (height + gap)}">'
        )
    ]
    for number, (name, result) in enumerate(results.items()):
        top = number * (height + gap) + gap
        counts = [0] * 120
        for times in result.granted:
            for when in times:
                if when < len(counts):
                    counts[int(when)] += 1
        points = " ".join(
            f"{second / len(counts) * width:.1f},{top + height - min(1.5, count / result.limit) / 1.5 * height:.1f}"
            for second, count in enumerate(counts)
        )
        level = top + height / 3
        parts += [
            f'<text x="0" y="{top - 4}">{name}</text>',
            f'<line x1="0" x2="{width}" y1="{level:.1f}" y2="{level:.1f}" stroke="#bbb"/>',
            f'<polyline points="{points}" fill="none" stroke="#06c"/>',
        ]
    return "\n".join([*parts, "</svg>\n"])


def main() -> int:
    """Print the table, and write it with its plot where that is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="parts of names; all by default")
    parser.add_argument("--output", type=Path, help="a folder for limits.svg and limits-table.md")
    options = parser.parse_args()
    say = functools.partial(print, end="", flush=True)
    say(head())
    results: dict[str, Result] = {}
    table = head()
    for name, result in rows(options.names):
        results[name] = result
        table += line(name, result)
        say(line(name, result))
    if options.output is not None:
        (options.output / "limits-table.md").write_text(table, encoding="utf-8")
        (options.output / "limits.svg").write_text(plot(results), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
