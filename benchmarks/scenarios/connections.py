"""How the cost of a call grows with the number of connections."""

from collections.abc import Callable
from functools import partial
from typing import Final

from peers import BASELINE
from rounds import Ratio, in_rounds, run
from settings import Section, Settings, Table

_LOADS: Final = (1, 4, 16, 64, 256)
_PEERS: Final = ("thredfi", BASELINE)


def measure(settings: Settings, say: Callable[[str], None]) -> Section:
    """Measure this client and bare aiohttp with 1 to 256 connections, all in use."""
    tasks = {
        peer: partial(run, "measure.py", peer, settings.url, "--seconds", settings.seconds, "--concurrency", *_LOADS)
        for peer in _PEERS
    }
    samples = in_rounds(tasks, settings.rounds, lambda text: say(f"connections, {text}"))
    costs = {peer: [[each[index]["cpu"] for each in samples[peer]] for index in range(len(_LOADS))] for peer in _PEERS}
    growth = {peer: [Ratio.of(cost, costs[peer][0]) for cost in costs[peer]] for peer in _PEERS}
    to_bare = [Ratio.of(ours, bare) for ours, bare in zip(costs["thredfi"], costs[BASELINE], strict=True)]
    rows = [
        ["thredfi, to one connection", *map(str, growth["thredfi"])],
        ["bare aiohttp, to one connection", *map(str, growth[BASELINE])],
        ["thredfi to bare aiohttp", *map(str, to_bare)],
    ]
    return Section(
        title="From 1 to 256 connections",
        text=(
            "CPU per call with all connections in use, on asyncio, relative to one connection, and to bare aiohttp.",
            "With one connection every call needs its own turn of the event loop; with more, calls share turns.",
        ),
        tables=[Table("CPU per call, as ratios", ["connections", *map(str, _LOADS)], rows)],
        data={f"thredfi/{load}": ratio for load, ratio in zip(_LOADS, growth["thredfi"], strict=True)},
    )
