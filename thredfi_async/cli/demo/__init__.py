"""`demo`: archives hundreds of customers at once on a mock server with faults, and checks every claim."""

import asyncio
from dataclasses import dataclass

from rich.text import Text

from thredfi_async.cli.demo.play import Play, play
from thredfi_async.cli.demo.progress import Progress
from thredfi_async.cli.demo.show import as_object, conclusion, tables
from thredfi_async.cli.exit_codes import ExitCode
from thredfi_async.cli.session import Session

__all__ = ["Demo"]


@dataclass(frozen=True, kw_only=True)
class Demo:
    """The job of `thredfi demo`.

    Args:
        customers: How many to archive, at least 20, so that each kind of fault has its customer.
        seed: The seed of customers, faults and jitter.
    """

    customers: int = 500
    seed: int = 1

    def __call__(self, session: Session) -> int:
        """Run the demo, show it and check it."""
        with Progress(self.customers, shown=not session.out.json) as progress:
            result: Play = asyncio.run(play(self.customers, self.seed, progress.advance))
        if session.out.json:
            session.out.data(as_object(result))
        else:
            title = f"thredfi demo: {self.customers:,} customers, {result.slots} at a time, seed {self.seed}"
            session.out.show(Text(title, style="bold"), *tables(result), "")
            session.out.show(conclusion(result), wrap=False)
        return ExitCode.DONE if result.passed else ExitCode.REFUSED
