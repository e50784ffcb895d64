"""Whether a worker is ready, and whether it is alive: what `/readyz` and `/livez` tell."""

from typing import Final

from thredfi_async import Clock
from thredfi_async.worker.conditions import Conditions
from thredfi_async.worker.gate import Gate

_STANDSTILL: Final = 1800.0
"""Seconds without an end of any message, though nothing is known that would hold them up."""


class Status:
    """What is known of a worker's state.

    Args:
        gate: Holds messages while the API is unavailable.
        clock: Tells the time.

    Attributes:
        conditions: What keeps the worker from its work.
    """

    def __init__(self, gate: Gate, clock: Clock) -> None:
        self.conditions: Conditions = Conditions(clock.monotonic)
        self._gate, self._clock = gate, clock
        self._moved_at = clock.monotonic()
        self.conditions.begin("start", "it is starting")

    def is_ready(self) -> None:
        """Note that the start has ended well."""
        self.conditions.end("start")

    def stops(self) -> None:
        """Note that no more messages are taken."""
        self.conditions.begin("stop", "it is stopping")

    def moves(self) -> None:
        """Note that a message came to an end."""
        self._moved_at = self._clock.monotonic()

    def note_gate(self) -> None:
        """Note whether the API is available, as the gate has it."""
        cause, reason = self._gate.cause, self._gate.reason
        if cause is None:
            self.conditions.end("api")
        elif cause == "api":
            self.conditions.begin("api", f"the API is unavailable: {reason}")
        else:
            self.conditions.begin("api", f"the API refuses the credentials, or the address is wrong: {reason}")

    def troubles_of_work(self) -> list[str]:
        """Return what keeps the worker from its work, and for how long; empty while it works."""
        self.note_gate()
        return self.conditions.lines()

    def troubles_of_life(self, in_flight: int) -> list[str]:
        """Return that nothing ends any more, though nothing known holds it up: only a restart may help then.

        Args:
            in_flight: Messages that the worker holds.
        """
        still = self._clock.monotonic() - self._moved_at
        if in_flight == 0 or self.troubles_of_work():
            self.moves()
        elif still > _STANDSTILL:
            return [f"none of {in_flight} messages has come to an end for {still:.0f} s"]
        return []
