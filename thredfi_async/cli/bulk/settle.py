"""`settle`: ask the API about every customer whose outcome is not known."""

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from thredfi_async import LoggingHook
from thredfi_async.bulk import BulkError, Journal
from thredfi_async.bulk.settling import Settlement, settle
from thredfi_async.cli.bulk.display import event
from thredfi_async.cli.bulk.endpoint import Endpoint
from thredfi_async.cli.bulk.formatting import plural
from thredfi_async.cli.bulk.journal_files import writing
from thredfi_async.cli.bulk.journal_metadata import JournalMetadata, fits_host
from thredfi_async.cli.bulk.next_steps import commands_of
from thredfi_async.cli.bulk.preflight_errors import preflight_errors
from thredfi_async.cli.bulk.undertaking import totals_of
from thredfi_async.cli.bulk.watch import Watched, watch
from thredfi_async.cli.exit_codes import ExitCode
from thredfi_async.cli.session import Session
from thredfi_async.cli.settings import Connection

_CONCURRENCY = 20


@dataclass(frozen=True, kw_only=True)
class Settle:
    """The job of `thredfi bulk settle`.

    Args:
        connection: How to reach the API.
        journal: The journal's path.
        allow_host_change: Whether it may be another host than before.
        concurrency: Questions at a time; 20 by default.
    """

    connection: Connection
    journal: Path
    allow_host_change: bool = False
    concurrency: int | None = None

    def __call__(self, session: Session) -> int:
        """Ask, and write down what the API says."""
        target = Endpoint(self.connection.client().base_url)
        with contextlib.ExitStack() as stack:
            with preflight_errors():
                journal = stack.enter_context(writing(self.journal, create=False))
            facts = JournalMetadata(journal.run)
            fits_host(self.journal, facts, target, allow_host_change=self.allow_host_change)
            found, stopped = Found(total=totals_of(self.journal).get("unknown", 0)), None
            try:
                watched = asyncio.run(self._settle(session, journal, found))
            except BulkError as error:
                watched, stopped = Watched(), str(error).rstrip(".")
            left = totals_of(self.journal).get("unknown", 0)
        resume = commands_of(self.connection, self.journal, facts).resume
        code = _exit_code(watched, stopped, left)
        if session.out.json:
            event(
                session.out,
                "summary",
                exit_code=int(code),
                **found.as_json(),
                unknown=left,
                interrupted=watched.interrupted,
                stopped=stopped,
                next=[{"why": "retry what is unknown with", "command": resume}] if left else [],
            )
        else:
            session.out.show(*_as_text(found, watched, stopped, left, resume), wrap=False)
        return code

    async def _settle(self, session: Session, journal: Journal, found: "Found") -> Watched:
        hooks = (LoggingHook(),) if session.debug else ()
        async with self.connection.client(*hooks) as client:
            asking = asyncio.ensure_future(
                settle(client, journal, concurrency=self.concurrency or _CONCURRENCY, on_progress=found.see)
            )

            async def work() -> None:
                # A question that is cut off changes nothing, so the first signal may end them all.
                await asyncio.wait([asking])
                if not asking.cancelled():
                    found.see(asking.result())

            def stop() -> None:
                asking.cancel()

            return await watch(
                work(),
                drain=stop,
                glance=lambda: found,
                draining="no more questions are asked, and what was answered is kept",
                out=session.out,
                debug=session.debug,
            )


class Found:
    """What the API has said so far.

    Args:
        total: How many customers it is asked about.
    """

    def __init__(self, total: int) -> None:
        """Begin without answers."""
        self.total = total
        self._settlement = Settlement()

    def see(self, settlement: Settlement) -> None:
        """Note how far it has come."""
        self._settlement = settlement

    def __str__(self) -> str:
        """Return it in one line."""
        found = self._settlement
        parts = [f"{found.archived:,} archived", f"{found.still_active:,} still active"]
        if found.unanswered:
            parts.append(f"{found.unanswered:,} without an answer")
        return f"{found.asked:,} of {self.total:,} asked about: {', '.join(parts)}"

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        found = self._settlement
        return {
            "total": self.total,
            "asked": found.asked,
            "archived": found.archived,
            "still_active": found.still_active,
            "unanswered": found.unanswered,
        }


def _exit_code(watched: Watched, stopped: str | None, left: int) -> ExitCode:
    if watched.interrupted is not None and left:
        return ExitCode.INTERRUPTED
    if stopped is not None:
        return ExitCode.STOPPED
    return ExitCode.UNKNOWN if left else ExitCode.DONE


def _as_text(found: Found, watched: Watched, stopped: str | None, left: int, resume: str) -> list[Text]:
    if not found.total:
        return [Text("Nothing to settle: no outcome is unknown.", style="bold green")]
    if stopped is not None:
        head = Text(f"Stopped: {stopped}", style="bold red")
    elif watched.interrupted is not None and left:
        head = Text("Interrupted; what was answered is kept.", style="bold yellow")
    elif left:
        head = Text(f"{plural(left, 'outcome')} still unknown; a request may yet be on its way.", style="bold yellow")
    else:
        head = Text("Every outcome is known.", style="bold green")
    lines = [head, Text(f"  {found}")]
    if left:
        lines.append(Text.assemble(("Retry what is unknown with: ", "bold"), resume))
    return lines
