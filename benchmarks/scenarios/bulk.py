"""`thredfi bulk archive` with its journal and its progress, compared with a plain pool of tasks on the same CSV."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from rounds import HERE, PeerFailedError, Ratio, in_rounds
from settings import Section, Settings, Table, Target
from work import BUSINESS, TOKEN, works

_MEBIBYTE: Final = 1024 * 1024
_ROUNDS: Final = 3
"""Rounds of the shorter run; each does the longer one once."""
_BOUND_MIB: Final = 150 * 1000 * 1000 / _MEBIBYTE


def measure(settings: Settings, say: Callable[[str], None]) -> Section:
    """Run both over the shorter file alternately, and then over the longer one."""
    few, many = settings.items
    short, long = (_written(settings.generated, count) for count in settings.items)
    tasks = {"bulk": partial(_command, short, settings.url), "pool": partial(_pool, short, settings.url)}
    samples = in_rounds(tasks, min(_ROUNDS, settings.rounds), lambda text: say(f"bulk, {text}"))
    ours, theirs = ([lines[0]["cpu"] for lines in samples[name]] for name in ("bulk", "pool"))
    peaks = [lines[0]["peak"] for lines in samples["bulk"]]
    say(f"bulk, {many:,} items")
    (big,), (big_pool,) = _command(long, settings.url), _pool(long, settings.url)
    cpu, rate = Ratio.of(ours, theirs), many / big["wall"]
    whole = Ratio.of([big["cpu"]], [big_pool["cpu"]])
    growth = Ratio.of([big["peak"]] * len(peaks), peaks)
    peak = Ratio.of([big["peak"] / _MEBIBYTE], [1.0])
    return Section(
        title="A bulk run",
        text=(
            "`thredfi bulk archive` of a CSV file with whole bodies, 100 at a time, its journal and progress included.",
            "Compared with it: a pool of 100 tasks that reads the same file, awaits the client, and keeps no results.",
            "CPU and peak memory are those of the client's process, from its start to its end.",
        ),
        tables=[
            Table(
                "Bulk",
                ["", "figure"],
                [
                    [f"CPU of {few:,} items, to the pool's, starting included", str(cpu)],
                    [f"CPU of {many:,} items, to the pool's", str(whole)],
                    [f"peak memory of {many:,} items, to that of {few:,}", str(growth)],
                    [f"peak memory of {many:,} items, MiB", f"{peak.median:.0f}"],
                    [f"{many:,} items: items a second, on this machine and beside its server", f"{rate:,.0f}"],
                ],
            )
        ],
        targets=[
            Target(f"CPU of a bulk run of {many:,} items to that of a plain pool", whole, 1.25),
            Target(f"peak memory of {many:,} items to that of {few:,}", growth, 1.2),
            Target(f"peak memory of {many:,} items", peak, _BOUND_MIB, "MiB"),
        ],
        data={"bulk/cpu": cpu, "bulk/cpu/long": whole, "bulk/memory": growth, "bulk/peak": peak},
    )


def _written(folder: Path, count: int) -> Path:
    """Write a file of this many customers, each with its own id."""
    path = folder / f"customers-{count}.csv"
    bodies = [
        [json.dumps(value) if isinstance(value, dict | list | bool) else value for value in work.fields.values()]
        for work in works()
    ]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["business_id", "customer_id", *works()[0].fields])
        writer.writerows(
            [BUSINESS, UUID(int=number << 64 | number, version=4), *bodies[number % len(bodies)]]
            for number in range(count)
        )
    return path


def _command(path: Path, url: str) -> list[dict[str, Any]]:
    journal = path.with_suffix(".db")
    journal.unlink(missing_ok=True)
    arguments = ["bulk", "archive", path, "--journal", journal, "--base-url", url, "--concurrency", "100", "--yes"]
    figures = _timed([sys.executable, "-m", "thredfi_async", *map(str, arguments)])
    journal.unlink()
    return figures


def _pool(path: Path, url: str) -> list[dict[str, Any]]:
    return _timed([sys.executable, str(HERE / "bulk_pool.py"), str(path), url])


def _timed(command: list[str]) -> list[dict[str, Any]]:
    """Run a command; return the figures of its process."""
    before = os.times()
    environment = os.environ | {"THREDFI_TOKEN": TOKEN}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        complaint = process.stderr.read() if process.stderr is not None else ""
    if process.returncode:
        raise PeerFailedError(f"{' '.join(command)}\n{complaint}")
    wall = os.times().elapsed - before.elapsed
    peak = usage.ru_maxrss if sys.platform == "darwin" else usage.ru_maxrss * 1024
    return [{"cpu": usage.ru_utime + usage.ru_stime, "wall": wall, "peak": peak}]
