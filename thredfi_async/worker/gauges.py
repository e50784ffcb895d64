"""What is read off a worker and its client whenever somebody asks for metrics."""

from typing import TYPE_CHECKING

from thredfi_async.limits import Limiter

if TYPE_CHECKING:
    from thredfi_async.worker.worker import Worker


def show_gauges(worker: "Worker", client: object) -> None:
    """Add the gauges to a worker's figures.

    Args:
        worker: The worker.
        client: Its client, whose limiter is shown; a stand-in for one has none.
    """
    gauge = worker.figures.gauge
    gauge("held", "Messages that are held, at work or waiting.", lambda: worker.held)
    gauge("waiting", "Messages of these that wait for the API to be well.", lambda: worker.gate.waiting)
    gauge("api_unwell", "1 while the API, or the credentials, do not work.", lambda: not worker.gate.is_open)
    gauge("broker_connected", "1 while NATS is connected.", lambda: worker.is_connected)
    limiter = getattr(client, "_limiter", None)
    if isinstance(limiter, Limiter):
        gauge("limiter_window", "Requests that the client allows itself at once.", lambda: limiter.window)
        gauge("limiter_in_use", "Requests under way.", lambda: limiter.in_use)
        gauge("limiter_waiting", "Calls that wait for their turn.", lambda: limiter.waiting)
        gauge("limiter_cooldown_seconds", "For how long the API wants peace.", limiter.cooldown)
