"""Counts the functions that asynchronous work calls: a cost that is the same on every machine."""

import sys
from collections.abc import Awaitable, Callable
from types import FrameType


async def calls_made(work: Callable[[], Awaitable[object]], *, runs: int, without: str | None = None) -> int:
    """Return the fewest Python and C functions that one run called.

    Args:
        work: What is run.
        runs: How often: in at least one of them, the process does nothing else.
        without: A part of the paths of files whose functions do not count.
    """
    counts = list[int]()
    calls = 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"} and (without is None or without not in frame.f_code.co_filename)

    for _ in range(runs):
        calls = 0
        sys.setprofile(count)
        try:
            await work()
        finally:
            sys.setprofile(None)
        counts.append(calls)
    return min(counts)
