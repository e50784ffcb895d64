"""One worker, with its outcomes stored, compared with `archive_many` in the same run, each in its turn.

Both make 100 calls at once, the default of `archive_many`. The API is the server of the benchmarks, which is quicker
than either: at a slower one, and with no processor to spare, the broker would wait for the API, and the figure be that
of the machine. A worker always has the metrics of each call; the ratio to `archive_many` with them is shown too.
"""

import argparse
import asyncio
import gc
import tempfile
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path
from statistics import median
from typing import Final
from uuid import UUID

from natsserver import NatsServer
from prometheus_client import CollectorRegistry
from server import serving
from work import BUSINESS, TOKEN
from worker_faults import tell
from workerpark import publish, queue

from thredfi_async import PrometheusHook, ThredfiClient
from thredfi_async.bulk import ArchiveItem, ItemState, archive_many
from thredfi_async.worker import ArchiveCommand, NatsSettings, Worker, WorkerOptions

_SIDES: Final = ("worker, outcomes included", "archive_many, with metrics", "archive_many, without")
_ASKED: Final = 0.75
_YOUNG: Final = 10_000
"""New objects before the garbage collector runs, on both sides, as the `thredfi` command has it."""


async def throughput(given: argparse.Namespace) -> list[str]:
    """Compare them, as often as `given.rounds` says; return what is wrong."""
    gc.set_threshold(_YOUNG)
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as api, NatsServer(Path(folder)) as nats:
        ratios = [await _round(api.url, nats, given, number) for number in range(given.rounds)]
    measured, ratio = (median(each) for each in zip(*ratios, strict=True))
    tell(
        ("messages, in each round", given.messages),
        (f"ratio, median of {given.rounds} rounds", f"{ratio:.2f}"),
        ("the same to archive_many with the metrics of a worker", f"{measured:.2f}"),
    )
    wrong = [] if ratio >= _ASKED else [f"the worker is {ratio:.2f} as fast as archive_many"]
    # Without a body, a call reads the customer first.
    asked = 2 * len(_SIDES) * given.messages * given.rounds
    return wrong if api.answered == asked else [*wrong, f"the API got {api.answered} requests instead of {asked}"]


async def _round(url: str, nats: NatsServer, given: argparse.Namespace, number: int) -> tuple[float, float]:
    """Return the worker's throughput in those of `archive_many`: with metrics of each call, and without."""
    count, concurrency = given.messages, given.concurrency
    items = [ArchiveItem(BUSINESS, UUID(int=each, version=4)) for each in range(count)]
    async with queue(nats) as broker:
        commands = (ArchiveCommand(item.business_id, item.customer_id).to_json() for item in items)
        await publish(broker, ((f"{number}/{position}", command) for position, command in enumerate(commands)))
    async with ThredfiClient(TOKEN, base_url=url) as client:
        worker = Worker(client, nats=NatsSettings(url=nats.url), options=WorkerOptions(concurrency=concurrency))
        by_messages = await _worked_off(worker, count)
    by_bulk: list[tuple[float, float]] = []
    for hooks in ([PrometheusHook(CollectorRegistry())], []):
        async with ThredfiClient(TOKEN, base_url=url, hooks=hooks) as client:
            by_bulk.append(await _timed(_in_bulk(client, items, concurrency)))
    for name, (seconds, busy) in zip(_SIDES, (by_messages, *by_bulk), strict=True):
        ratios = f"worker's ratio {seconds / by_messages[0]:.2f}, of the CPU {busy / by_messages[1]:.2f}"
        tell((name, f"{count / seconds:.0f} a second, {busy / count * 1e6:.0f} µs of CPU; {ratios}"))
    return by_bulk[0][0] / by_messages[0], by_bulk[1][0] / by_messages[0]


async def _worked_off(worker: Worker, count: int) -> tuple[float, float]:
    """Return the seconds from the first message to the last outcome: no start, and no waiting at the end."""
    is_done = asyncio.Event()
    ended = worker.metrics.ended

    def count_down(state: ItemState, seconds: float, requests: int) -> None:
        ended(state, seconds, requests)
        if worker.metrics.progress.done >= count:
            is_done.set()

    setattr(worker.metrics, "ended", count_down)  # noqa: B010 - the worker tells no one of its last outcome
    async with asyncio.TaskGroup() as group:
        is_ready = asyncio.Event()
        group.create_task(worker.run(on_ready=is_ready.set))
        await is_ready.wait()
        figures = await _timed(is_done.wait())
        worker.stop()
    return figures


async def _in_bulk(client: ThredfiClient, items: Sequence[ArchiveItem], concurrency: int) -> None:
    async for result in archive_many(client, items, concurrency=concurrency):
        assert result.state is ItemState.ARCHIVED


async def _timed(work: Awaitable[object]) -> tuple[float, float]:
    """Return the seconds that it takes, and those of this process's CPU: other programs may be busy meanwhile."""
    began, busy = time.monotonic(), time.process_time()
    await work
    return time.monotonic() - began, time.process_time() - busy
