"""Measures one peer in this process; `rounds` starts a new one each time, and reads a line of JSON for each load."""

import argparse
import asyncio
import gc
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from peers import Peer, load
from rounds import MISSING
from work import Work, around, works

CALLS_EACH: Final = 1
"""Minimum calls of each task, however slow they are."""


@dataclass(frozen=True)
class Figures:
    """The figures of one peer under one load.

    Args:
        concurrency: Calls in flight at once.
        calls: Calls measured.
        cpu: Seconds of CPU, user and system, per call.
        wall: Seconds of wall time per call; at a concurrency of n, n of them run side by side.
        peak: The highest resident memory of the process so far, in bytes.
    """

    concurrency: int
    calls: int
    cpu: float
    wall: float
    peak: int


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return the factory of an event loop of this kind."""
    if name == "asyncio":
        return asyncio.new_event_loop
    import uvloop  # noqa: PLC0415 - asyncio must be measured without it

    return uvloop.new_event_loop


def cpu_time() -> float:
    """Return the CPU seconds that this process has used, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def peak_memory() -> int:
    """Return the peak memory of this process in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


async def _call(peer: Peer, items: Iterator[Work], least: int, until: float) -> int:
    done = 0
    while done < least or time.monotonic() < until:
        await peer.archive(next(items))
        done += 1
    return done


async def _side_by_side(peer: Peer, items: Iterator[Work], concurrency: int, least: int, seconds: float) -> int:
    until = time.monotonic() + seconds
    return sum(await asyncio.gather(*(_call(peer, items, least, until) for _ in range(concurrency))))


async def measure(name: str, url: str, concurrency: int, seconds: float) -> Figures:
    """Warm a peer up, and measure it for this many seconds."""
    items = around(works())
    async with load(name)(url, concurrency) as peer:
        await _side_by_side(peer, items, concurrency, 1, seconds / 5)
        gc.collect()
        began, spent = time.monotonic(), cpu_time()
        calls = await _side_by_side(peer, items, concurrency, CALLS_EACH, seconds)
        cpu, wall = cpu_time() - spent, time.monotonic() - began
    return Figures(concurrency, calls, cpu / calls, wall / calls, peak_memory())


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print each load's figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer")
    parser.add_argument("url")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[64])
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--authority", type=Path, help="the file of the only authority to trust, for a server with TLS")
    parser.add_argument("--generated", type=Path, help="where the generated clients are")
    options = parser.parse_args(arguments)
    if options.generated is not None:
        sys.path.append(str(options.generated))
    if options.authority is not None:
        # Before a peer is imported: OpenSSL's own variable, which every default context heeds.
        os.environ["SSL_CERT_FILE"] = str(options.authority)
    try:
        load(options.peer)
    except ModuleNotFoundError as error:
        print(f"the package {error.name} is not installed", file=sys.stderr)
        sys.exit(MISSING)
    for concurrency in options.concurrency:
        with asyncio.Runner(loop_factory=loop_factory(options.loop)) as runner:
            figures = runner.run(measure(options.peer, options.url, concurrency, options.seconds))
        print(json.dumps(asdict(figures)), flush=True)


if __name__ == "__main__":
    main()
