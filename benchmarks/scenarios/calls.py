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
_AT_ONCE: Final = 64
"""The load that the promises apply to."""
_TLS: Final = " over TLS"
_PROMISES: Final[Mapping[tuple[str, str], float]] = {
    ("asyncio", BASELINE): 1.20,
    ("uvloop", BASELINE): 1.30,
    ("asyncio" + _TLS, BASELINE): 1.25,
    ("uvloop" + _TLS, BASELINE): 1.25,
    ("asyncio", "openapi-generator"): 0.30,
    ("asyncio", "openapi-python-client"): 0.10,
}
"""The maximum of this client's CPU per call, by the way there and the peer that it is compared with."""


def measure(settings: Settings, say: Callable[[str], None]) -> Section:
    """Compare the clients under every load, on every loop; the essential ones over TLS too."""
    wanted = [BASELINE, *(peer for peer in settings.peers if peer != BASELINE)]
    missing = generate(wanted, settings.generated)
    missing |= _unusable([peer for peer in wanted if peer not in missing], settings, say)
    peers = [peer for peer in wanted if peer not in missing]
    ways = dict.fromkeys(settings.loops, peers)
    ways |= {loop + _TLS: [peer for peer in peers if peer in ESSENTIAL] for loop in settings.loops}
    tasks = {
        f"{peer} on {way}": partial(_run, settings, peer, way, settings.concurrency, settings.seconds)
        for way, able in ways.items()
        for peer in able
    }
    samples = in_rounds(tasks, settings.rounds, lambda text: say(f"calls, {text}"))
    ratios = {
        (way, peer, load, what): _ratio(samples, way, (peer, BASELINE), index, what)
        for way, able in ways.items()
        for peer in able
        for index, load in enumerate(settings.concurrency)
        for what in _MEASURES
    }
    tables = [
        Table(
            f"On {way}: {caption}, as ratios to bare aiohttp",
            ["client", *(f"{load} at once" for load in settings.concurrency)],
            [[peer, *(str(ratios[way, peer, load, what]) for load in settings.concurrency)] for peer in able],
        )
        for way, able in ways.items()
        for what, caption in _MEASURES.items()
    ]
    return Section(
        title="One archive call",
        text=_TEXT,
        tables=tables,
        targets=_targets(samples, settings),
        data={"/".join(map(str, key)): ratio for key, ratio in ratios.items()},
        missing=missing,
    )


def _run(settings: Settings, peer: str, way: str, concurrency: Sequence[int], seconds: float) -> list[dict[str, Any]]:
    loop = way.removesuffix(_TLS)
    arguments = ["--loop", loop, "--seconds", seconds, "--generated", settings.generated]
    if loop == way:
        return run("measure.py", peer, settings.url, *arguments, "--concurrency", *concurrency)
    arguments += ["--authority", settings.authority]
    return run("measure.py", peer, settings.tls_url, *arguments, "--concurrency", *concurrency)


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


def _ratio(samples: Samples, way: str, pair: tuple[str, str], index: int, what: str) -> Ratio:
    ours, theirs = ([each[index][what] for each in samples[f"{peer} on {way}"]] for peer in pair)
    return Ratio.of(ours, theirs)


def _targets(samples: Samples, settings: Settings) -> list[Target]:
    if _AT_ONCE not in settings.concurrency:
        return []
    index = settings.concurrency.index(_AT_ONCE)
    return [
        Target(
            f"CPU per call, {_AT_ONCE} at once on {way}, to {peer}",
            _ratio(samples, way, ("thredfi", peer), index, "cpu"),
            bound,
        )
        for (way, peer), bound in _PROMISES.items()
        if {f"thredfi on {way}", f"{peer} on {way}"} <= samples.keys()
    ]


_TEXT: Final = (
    (
        "Every client archives the same customers: it is given an id and the 20 fields of a body, and returns the "
        "whole customer in its own way, parsed JSON where it has no types."
    ),
    "It runs in a fresh process, is warmed up, and then keeps the given number of calls in flight.",
    "Over TLS, the clients are compared that need no packages but the project's.",
    (
        "CPU is the client process's own, user and system together; peak memory is the process's so far, loads running "
        "from the left to the right."
    ),
    (
        "A figure is the median over the rounds of the ratio to bare aiohttp in the same round, with the smallest and "
        "the largest in brackets."
    ),
)
