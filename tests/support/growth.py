"""Holds CPU time against size: whatever looks at bytes from outside must be linear."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

_TIMES: Final = 8
_MOST: Final = 30.0
"""Of eight times the size: linear work takes 8 times as long, quadratic work 64 times."""
_LEAST: Final = 50e-6
"""Seconds below which a measurement says more about the machine."""


def assert_linear(work: Callable[[T], object], make: Callable[[int], T], size: int) -> None:
    """Check that the work on eight times the size takes no more than linear work might.

    Args:
        work: What is measured, best of five runs.
        make: Makes what it works on, of this size.
        size: The smaller size.
    """
    small, large = _best(work, make(size)), _best(work, make(_TIMES * size))
    assert large / max(small, _LEAST) < _MOST, f"{small:.6f} s for {size}, {large:.6f} s for {_TIMES} times as much"


def _best(work: Callable[[T], object], given: T) -> float:
    runs: list[float] = []
    for _ in range(5):
        began = time.thread_time()
        work(given)
        runs.append(time.thread_time() - began)
    return min(runs)
