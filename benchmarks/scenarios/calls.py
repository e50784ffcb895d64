"""The same work by every client: CPU, wall time and memory, as ratios to a bare aiohttp post of the same round."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from generate import generate
from peers import BASELINE, ESSENTIAL
from rounds import PeerMissingError, Ratio, in_rounds, run
from settings import Section, Settings, Table, Target

Samples = Mapping[str, list[list[dict[str, Any]]]]

_MEASURES: Final = {"cpu": "CPU per call", "wall": "wall time per call", "peak": "peak memory of the process"}
_PROMISED: Final = ("asyncio", 64)
"""The load that the promises apply to."""


def measure(settings: Settings, say: Callable[[str], None]) -> Section:
    """Compare the clients under every load, on every loop."""
    wanted = [BASELINE, *(peer for peer in settings.peers if peer != BASELINE)]
    missing = generate(wanted, settings.generated)
    missing |= _unusable([peer for peer in wanted if peer not in missing], settings, say)
    peers = [peer for peer in wanted if peer not in missing]
    tasks = {
        f"{peer} on {loop}": partial(_run, settings, peer, loop, settings.concurrency, settings.seconds)
        for loop in settings.loops
        for peer in peers
    }
    samples = in_rounds(tasks, settings.rounds, lambda text: say(f"calls, {text}"))
    ratios = {
        (loop, peer, load, what): _ratio(samples, loop, (peer, BASELINE), index, what)
        for loop in settings.loops
        for peer in peers
        for index, load in enumerate(settings.concurrency)
        for what in _MEASURES
    }
    tables = [
        Table(
            f"On {loop}: {caption}, as ratios to bare aiohttp",
            ["client", *(f"{load} at once" for load in settings.concurrency)],
            [[peer, *(str(ratios[loop, peer, load, what]) for load in settings.concurrency)] for peer in peers],
        )
        for loop in settings.loops
        for what, caption in _MEASURES.items()
    ]
    return Section(
        title="One archive call",
        text=_TEXT,
        tables=tables,
        targets=_targets(samples, settings, peers),
        data={"/".join(map(str, key)): ratio for key, ratio in ratios.items()},
        missing=missing,
    )


def _run(settings: Settings, peer: str, loop: str, concurrency: Sequence[int], seconds: float) -> list[dict[str, Any]]:
    arguments = ["--loop", loop, "--seconds", seconds, "--generated", settings.generated]
    return run("measure.py", peer, settings.url, *arguments, "--concurrency", *concurrency)


def _unusable(peers: list[str], settings: Settings, say: Callable[[str], None]) -> dict[str, str]:
    """Try each once; optional clients that are missing are left out."""
    found: dict[str, str] = {}
    for peer in peers:
        say(f"calls, trying {peer}")
        try:
            _run(settings, peer, settings.loops[0], [1], 0.0)
        except PeerMissingError as error:
            if peer in ESSENTIAL:
                raise
            found[peer] = str(error)
    return found


def _ratio(samples: Samples, loop: str, pair: tuple[str, str], index: int, what: str) -> Ratio:
    ours, theirs = ([each[index][what] for each in samples[f"{peer} on {loop}"]] for peer in pair)
    return Ratio.of(ours, theirs)


def _targets(samples: Samples, settings: Settings, peers: list[str]) -> list[Target]:
    loop, load = _PROMISED
    if loop not in settings.loops or load not in settings.concurrency or "thredfi" not in peers:
        return []
    index = settings.concurrency.index(load)
    promises = {BASELINE: 1.25, "openapi-generator": 0.30, "openapi-python-client": 0.10}
    return [
        Target(
            f"CPU per call, {load} at once on {loop}, to {peer}",
            _ratio(samples, loop, ("thredfi", peer), index, "cpu"),
            bound,
        )
        for peer, bound in promises.items()
        if peer in peers
    ]


_TEXT: Final = (
    (
        "Every client archives the same customers: it is given an id and the 20 fields of a body, and returns the "
        "whole customer in its own way, parsed JSON where it has no types."
    ),
    "It runs in a fresh process, is warmed up, and then keeps the given number of calls in flight.",
    (
        "CPU is the client process's own, user and system together; peak memory is the process's so far, loads running "
        "from the left to the right."
    ),
    (
        "A figure is the median over the rounds of the ratio to bare aiohttp in the same round, with the smallest and "
        "the largest in brackets."
    ),
)
