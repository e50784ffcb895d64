"""A simulated client with the real controller."""

import random

from thredfi_async._engine.controller import Controller
from thredfi_async._engine.turns import Ticket


class Client:
    """What `limit_simulation` asks, answered by the limiter's controller.

    Args:
        choose: Makes what is random repeatable.
        limit: Requests in flight at most.
        rate: Requests a second at most.
    """

    def __init__(self, choose: random.Random, limit: int = 100, rate: float | None = None) -> None:
        self._controller = Controller(limit, rate=rate, vary=choose.random)

    def begins(self, now: float) -> Ticket | None:
        if not self._controller.is_free(now):
            return None
        self._controller.take(now)
        return self._controller.ticket

    def next(self, now: float) -> float:
        return self._controller.due(now)

    def rings(self, now: float) -> None:
        self._controller.opening.rings(now)

    def granted(self, now: float, ticket: Ticket) -> None:
        self._controller.granted(ticket, now)
        self._controller.in_flight -= 1

    def refused(self, now: float, ticket: Ticket, retry_after: float) -> float:
        self._controller.refused(ticket, retry_after, now)
        self._controller.in_flight -= 1
        return 0.0
