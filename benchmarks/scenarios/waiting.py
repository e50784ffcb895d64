"""Many calls at once through one client, compared with as many bare waiting tasks."""

from collections.abc import Callable
from functools import partial
from typing import Any

from rounds import Ratio, in_rounds, run
from settings import Section, Settings, Table, Target

_KINDS = ("thredfi", "bare")


def measure(settings: Settings, say: Callable[[str], None]) -> Section:
    """Gather this many calls, and as many bare tasks, alternately."""
    tasks = {
        f"{kind} {count}": partial(run, "gathered.py", kind, settings.url, count)
        for count in settings.calls
        for kind in _KINDS
    }
    samples = in_rounds(tasks, settings.rounds, lambda text: say(f"waiting, {text}"))
    memory = {count: _beyond(samples, count) for count in settings.calls}
    stalls = {count: Ratio.of(*_pair(samples, count, "stall")) for count in settings.calls}
    rows = [
        ["memory of a waiting call beyond a bare task's, KiB", *(str(memory[count]) for count in settings.calls)],
        ["longest stall of the event loop, to the bare tasks'", *(str(stalls[count]) for count in settings.calls)],
    ]
    targets: list[Target] = []
    for count in settings.calls[-1:]:
        targets = [
            Target(f"memory of each of {count:,} waiting calls beyond a bare task's", memory[count], 2.0, "KiB"),
            Target(f"longest stall of the loop with {count:,} calls, to the bare tasks'", stalls[count], 1.5),
        ]
    return Section(
        title="Very many at once",
        text=(
            (
                "`asyncio.gather` of archive calls with a `CustomerRequest` each, through one client with its 100 "
                "connections, on asyncio, until all have been answered."
            ),
            "They are compared with as many bare tasks that wait for a future each, released a hundred at a time.",
            "Memory is the growth of the process's peak, divided by the number of calls.",
            "A stall is how long a timer of 1 ms had to wait for its turn.",
        ),
        tables=[Table("Gathered at once", ["calls", *(f"{count:,}" for count in settings.calls)], rows)],
        targets=targets,
        data={f"memory/{count}": memory[count] for count in settings.calls}
        | {f"stall/{count}": stalls[count] for count in settings.calls},
    )


def _pair(samples: dict[str, list[list[dict[str, Any]]]], count: int, what: str) -> tuple[list[float], list[float]]:
    ours, bare = ([lines[0][what] for lines in samples[f"{kind} {count}"]] for kind in _KINDS)
    return ours, bare


def _beyond(samples: dict[str, list[list[dict[str, Any]]]], count: int) -> Ratio:
    ours, bare = _pair(samples, count, "memory")
    return Ratio.of([(one - other) / 1024 for one, other in zip(ours, bare, strict=True)], [1.0] * len(ours))
