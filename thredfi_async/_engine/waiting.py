"""The calls that wait for a slot, and which of them is next."""

import heapq
import math
from collections import deque
from collections.abc import Iterator
from typing import Final

from thredfi_async._engine.turns import Gate, Turn

_NO_TURNS: Final[deque[Turn]] = deque()


class Waiting:
    """The calls that wait for a slot, first come, first served.

    Calls that return for another attempt and calls that were not sent yet take turns, so that neither kind can hold up
    the other: those that return may be the only ones that the API refuses. A call that it refuses while it serves
    others goes last.

    Attributes:
        count: How many wait; one that was cancelled counts until its turn would have come.
        gate: Holds back those that were not sent yet; None lets all go.
    """

    __slots__ = ("_arriving", "_expiring", "_has_returned", "_odd", "_order", "_returning", "count", "gate")

    def __init__(self) -> None:
        """Start without any."""
        self._returning: deque[Turn] = deque()
        self._arriving: deque[Turn] = deque()
        self._odd: deque[Turn] = deque()
        self._has_returned = False
        # Those that arrive while there is a gate, by when each has waited for as long as it may.
        self._expiring: list[tuple[float, int, Turn]] = []
        self._order = 0
        self.gate: Gate | None = None
        self.count = 0

    def __iter__(self) -> Iterator[Turn]:
        """Yield all turns."""
        for turns in (self._returning, self._arriving, self._odd):
            yield from turns

    def join(self, turn: Turn, *, is_returning: bool, is_odd: bool) -> None:
        """Add a call.

        Args:
            turn: Its turn.
            is_returning: Whether it has had a slot before.
            is_odd: Whether the API refuses it while it serves others.
        """
        self.count += 1
        if is_odd:
            self._odd.append(turn)
        elif is_returning:
            self._returning.append(turn)
        else:
            self._arriving.append(turn)
            if self.gate is not None:
                heapq.heappush(self._expiring, self._expires(self.gate, turn))

    def hold_back(self, gate: Gate | None) -> None:
        """Let a gate decide when a call gets a slot that was not sent yet; None lets all go."""
        self.gate, self._expiring = gate, []
        if gate is not None:
            self._expiring = [self._expires(gate, turn) for turn in self._arriving if not turn.done()]
            heapq.heapify(self._expiring)

    def next(self, *, is_held: bool) -> deque[Turn]:
        """Return the queue of which the first has the next turn; it is empty if no call may go.

        Args:
            is_held: Whether those that were not sent yet are held back for now.
        """
        arriving = _NO_TURNS if is_held else self._arriving
        if self._returning and not (self._has_returned and arriving):
            return self._returning
        return arriving or self._odd

    def is_gated(self, turns: deque[Turn]) -> bool:
        """Return whether the gate decides about the first of them."""
        return turns is self._arriving and self.gate is not None and not turns[0].done()

    def pop(self, turns: deque[Turn]) -> Turn:
        """Remove the first of them."""
        turn = turns.popleft()
        self.count -= 1
        if not turn.done():
            self._has_returned = turns is self._returning
        return turn

    def drop(self) -> None:
        """Remove those at the front that were cancelled."""
        for turns in (self._returning, self._arriving, self._odd):
            while turns and turns[0].done():
                del turns[0]
                self.count -= 1

    def let_one_go(self, gate: Gate, now: float) -> Turn | float:
        """Return the turn that the gate lets go, or for how many seconds there is none."""
        expiring = self._expiring
        while expiring and expiring[0][2].done():
            heapq.heappop(expiring)
        if expiring and expiring[0][0] <= now:
            # Its place in the queue is taken away when those before it have gone.
            return heapq.heappop(expiring)[2]
        if gate.next_probe() <= now:
            gate.lets_go(now)
            return self.pop(self._arriving)
        return min(expiring[0][0] if expiring else math.inf, gate.next_probe()) - now

    def _expires(self, gate: Gate, turn: Turn) -> tuple[float, int, Turn]:
        self._order += 1
        return gate.expires(turn), self._order, turn
