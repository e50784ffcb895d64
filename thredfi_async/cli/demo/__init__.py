"""`demo`: archives hundreds of customers at once on a mock server with faults, and checks every claim."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass

from rich.text import Text

from thredfi_async.cli.demo.play import Play, play
from thredfi_async.cli.demo.show import as_object, conclusion, tables
from thredfi_async.cli.error_report import ErrorReport, ReportedError
from thredfi_async.cli.exit_codes import ExitCode
from thredfi_async.cli.progress.display import display
from thredfi_async.cli.progress.follow import follow
from thredfi_async.cli.progress.rate import Progress
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
        session.known.begins_many()
        result = asyncio.run(self._play(session))
        if session.out.json:
            session.out.data(as_object(result))
        else:
            title = f"thredfi demo: {self.customers:,} customers, {result.slots} at a time, seed {self.seed}"
            session.out.show(Text(title, style="bold"), *tables(result), "")
            session.out.show(conclusion(result), wrap=False)
        return ExitCode.DONE if result.passed else ExitCode.REFUSED

    async def _play(self, session: Session) -> Play:
        """Run the demo and show how far it is; raise what to report if a signal ends it."""
        ended, began = Counter[str](), time.monotonic()
        playing = asyncio.ensure_future(play(self.customers, self.seed, lambda: ended.update(["calls"])))

        def look() -> Progress:
            elapsed = time.monotonic() - began
            return Progress(title="Archiving", elapsed=elapsed, done=ended["calls"], total=self.customers)

        async def work() -> None:
            await asyncio.wait([playing])

        followed = await follow(
            work(),
            look=look,
            drain=playing.cancel,
            draining="the demo ends",
            display=display(session.out, logs=session.logs, only_bar=True),
        )
        if followed.interrupted is not None:
            raise ReportedError(self._interruption(ended["calls"]))
        return playing.result()

    def _interruption(self, ended: int) -> ErrorReport:
        """Return what is known of a demo that was ended early: it has archived, and all of it is gone."""
        return ErrorReport(
            kind="Interrupted",
            sentence=f"Interrupted, when {ended:,} of {self.customers:,} customers were done. They were invented, "
            "and the mock server is gone with them.",
            exit_code=ExitCode.INTERRUPTED,
            effect=None,
            advice="thredfi demo begins anew",
        )
