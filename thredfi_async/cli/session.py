"""The state of one run of the command, and what is known if it ends early."""

__lazy_modules__: list[str] = ["asyncio", "thredfi_async", "thredfi_async.cli.output"]
import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from thredfi_async import CallEnded, Effect, Event
from thredfi_async.cli.output import Output

T = TypeVar("T")


def run_now(work: Coroutine[Any, Any, T]) -> T:
    """Run like `asyncio.run`, but do not let Ctrl-C wait for threads.

    Args:
        work: What to run.

    Returns:
        Its result.

    Raises:
        KeyboardInterrupt: It was interrupted, and has ended.
    """
    with asyncio.Runner() as runner:
        try:
            return runner.run(work)
        except KeyboardInterrupt:
            # Closing the loop joins the threads of its executor, where the look-up of a name may hang.
            runner.get_loop().set_default_executor(ThreadPoolExecutor(1))
            raise


class Known:
    """A hook that remembers what is known of the calls that can change something.

    Attributes:
        effect: What the one call did, as far as is known by now; None once there may be more than one.
        idempotency_key: The key that its request carried, if it came to have one.
        began: Whether it was begun.
    """

    def __init__(self) -> None:
        """Start before the call."""
        self.effect: Effect | None = Effect.NOT_APPLIED
        self.idempotency_key: str | None = None
        self.began: bool = False

    def begins(self, idempotency_key: str | None) -> None:
        """Treat the effect as unknown from now on, until the call has ended."""
        self.began = True
        self.effect, self.idempotency_key = Effect.UNKNOWN, idempotency_key

    def begins_many(self) -> None:
        """State no effect from now on: customers are archived, each with an effect of its own."""
        self.effect = None

    def on_event(self, event: Event, /) -> None:
        """Take the effect from the call's last event, which it sends when cancelled, too."""
        if isinstance(event, CallEnded) and event.operation == "customers.archive":
            self.effect, self.idempotency_key = event.effect, event.idempotency_key


@dataclass(kw_only=True)
class Session:
    """One run of the command.

    Args:
        out: Its stdout.
        debug: Whether stack traces are wanted.
        log_level: The level from which logs are shown; None for none.
        known: What is known of its call.
        look: The command that shows the record that it is about, if there is one.
        interrupted: What Ctrl-C has interrupted, and what is known then, in a sentence.
    """

    out: Output
    debug: bool = False
    log_level: int | None = None
    known: Known = field(default_factory=Known)
    look: str | None = None
    interrupted: str = "Interrupted."

    @property
    def logs(self) -> bool:
        """Whether logs go to stderr."""
        return self.log_level is not None


Job = Callable[[Session], int]
"""A command with its arguments parsed; it runs outside of typer, which would swallow Ctrl-C."""
