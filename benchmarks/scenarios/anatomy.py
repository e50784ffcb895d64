"""Where the CPU time of one call goes."""

import statistics
from collections.abc import Callable
from functools import partial

from rounds import Ratio, in_rounds, run
from settings import Section, Settings, Table

_WHOLE = "the whole call"


def measure(settings: Settings, say: Callable[[str], None]) -> Section:
    """Take the call apart, in every round."""
    tasks = {"apart": partial(run, "apart.py", settings.url)}
    found = [lines[0] for lines in in_rounds(tasks, settings.rounds, lambda text: say(f"anatomy, {text}"))["apart"]]
    wholes = [each[_WHOLE] for each in found]
    shares = {part: Ratio.of([each[part] for each in found], wholes) for part in found[0]}
    rows = [
        [part, f"{statistics.median(each[part] for each in found) * 1e6:.1f}", str(share)]
        for part, share in shares.items()
    ]
    return Section(
        title="One call taken apart",
        text=(
            "CPU of the parts of one call on asyncio: each real function runs by itself, thousands of times, with what "
            "it calls inside replaced by an answer at hand; aiohttp, read and the whole call run 64 at once.",
            "Read is the time from the head's arrival to the whole body in hand.",
            "The rest is what the parts do not explain: coroutine frames, garbage collection, caches that are warm for "
            "one function alone.",
            "Microseconds are this machine's; the share of the whole call is what can be compared.",
        ),
        tables=[Table("CPU of one call", ["part", "microseconds", "share of the call"], rows)],
        data=dict(shares),
    )
