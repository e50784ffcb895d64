"""Counts the lines of a file that are no records, and keeps the numbers of the first of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

WITHOUT_IDS: Final = "without_ids"
"""Rows, such as totals, in which no id stands."""
MOST_NUMBERS: Final = 5
"""Line numbers that are kept of each kind."""


class Skipped(Counter[str]):
    """Lines that are no records, by what they are.

    Attributes:
        numbers: The first line numbers of each kind.
    """

    def __init__(self) -> None:
        super().__init__()
        self.numbers: dict[str, list[int]] = {}

    def add(self, kind: str, line: int) -> None:
        """Count a line."""
        self[kind] += 1
        numbers = self.numbers.setdefault(kind, [])
        if len(numbers) < MOST_NUMBERS:
            numbers.append(line)


def first_numbers(skipped: Mapping[str, int], kind: str) -> Sequence[int]:
    """Return the first line numbers of a kind, where they are known."""
    return skipped.numbers.get(kind, []) if isinstance(skipped, Skipped) else []
