"""The CPU time of one call, by part."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from rounds import Ratio, in_rounds, run
from settings import Section, Settings, Table

_PARTS: Final[Mapping[str, Sequence[str]]] = {
    "body": ["validation"],
    "request": ["ids and URL", "encode", "key and headers"],
    "pipeline": ["limiter", "auth", "clock, alarm, retry entry"],
    "transport": ["aiohttp", "read"],
    "answer": ["decode", "structure", "is it the customer asked for?"],
}
"""The layers of a call, in order, and their parts."""
_WHOLE: Final = "the whole call"


def measure(settings: Settings, say: Callable[[str], None]) -> Section:
    """Measure the parts of the call, in every round."""
    tasks = {"apart": partial(run, "apart.py", settings.url)}
    rounds = [lines[0] for lines in in_rounds(tasks, settings.rounds, lambda text: say(f"anatomy, {text}"))["apart"]]
    inside = [_inside(each) for each in rounds]
    shares = {part: Ratio.of(*_columns(inside, part)) for part in inside[0]}
    rows = [
        [
            part,
            *(_microseconds([found[part] for found in column]) for column in (_alone(rounds), inside)),
            f"{share.median:.3f} ({share.low:.3f} to {share.high:.3f})",
        ]
        for part, share in shares.items()
    ]
    return Section(
        title="One call taken apart",
        text=(
            (
                "CPU of one call on asyncio, 64 at once: validation is building the `CustomerRequest`, read the time "
                "from the head's arrival to the whole body in hand."
            ),
            (
                "Alone: each part's real function by itself, thousands of times, with everything that it calls "
                "replaced by a prepared answer."
            ),
            (
                "In the call: the call is measured in layers (transport, pipeline, answer, request, body) that run 64 "
                "at once against the server; what a layer adds is divided among its parts by their cost alone."
            ),
            "The second is larger than the first, since code and data are no longer in the processor's nearest caches.",
            "Microseconds are this machine's; the share of the call is what can be compared.",
        ),
        tables=[Table("CPU of one call", ["part", "alone, µs", "in the call, µs", "share of the call"], rows)],
        data=dict(shares),
    )


def _inside(found: Mapping[str, Any]) -> dict[str, float]:
    """Return the cost of each part in the call, and of the whole call."""
    costs: dict[str, float] = {}
    for layer, parts in _PARTS.items():
        together = sum(found["alone"][part] for part in parts)
        costs |= {part: found["layers"][layer] * found["alone"][part] / together for part in parts}
    return costs | {_WHOLE: sum(found["layers"].values())}


def _alone(rounds: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
    return [each["alone"] | {_WHOLE: sum(each["alone"].values())} for each in rounds]


def _columns(inside: Sequence[Mapping[str, float]], part: str) -> tuple[list[float], list[float]]:
    return [each[part] for each in inside], [each[_WHOLE] for each in inside]


def _microseconds(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds) * 1e6:.1f}"
