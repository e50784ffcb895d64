"""`resume`: from a journal to the rest of its run."""

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

from thredfi_async.bulk import ItemState
from thredfi_async.bulk.readers import Source, open_source
from thredfi_async.cli.bulk.conclude import conclude
from thredfi_async.cli.bulk.ending import Ending
from thredfi_async.cli.bulk.facts import STDIN, Facts, facts_of, fits_host, writing
from thredfi_async.cli.bulk.next_steps import commands_of
from thredfi_async.cli.bulk.refusals import refusals, refused
from thredfi_async.cli.bulk.source import BadLines, count
from thredfi_async.cli.bulk.speed import Speed
from thredfi_async.cli.bulk.target import Target
from thredfi_async.cli.bulk.undertaking import Undertaking, bad_lines_of, totals_of
from thredfi_async.cli.session import Session
from thredfi_async.cli.settings import Connection


@dataclass(frozen=True, kw_only=True)
class Resume:
    """The job of `thredfi bulk resume`.

    Args:
        connection: Where to.
        journal: The journal's path.
        source: Where the source is now, if not where it was.
        failed: Whether the rejected ones are sent again, too.
        other_host: Whether it may be another host than before.
        yes: Whether the question is answered before it is asked.
        speed: How fast.
    """

    connection: Connection
    journal: Path
    source: str | None = None
    failed: bool = False
    other_host: bool = False
    yes: bool = False
    speed: Speed = field(default_factory=Speed)

    def __call__(self, session: Session) -> int:
        """Look at journal and source, say what is left, ask, and do it."""
        target = Target(self.connection.client().base_url)
        bad = BadLines()
        with contextlib.ExitStack() as stack:
            with refusals():
                journal = stack.enter_context(writing(self.journal, create=False))
                said, before = Facts(journal.run), totals_of(self.journal)
                fits_host(self.journal, said, target, other_host=self.other_host)
                if said.finished and not self._is_left(before):
                    return conclude(self._nothing_left(said, before), session.out)
                source = stack.enter_context(contextlib.closing(self._opened(said, bad)))
                source.must_be(size=said.size, sha256=said.sha256)
                counted = count(source, bad, whole=False, quiet=session.out.json)
                facts = facts_of(
                    source, target, business_id=said.business_id, partial=said.partial, rejected=said.rejected
                )
            undertaking = Undertaking(
                connection=self.connection,
                target=target,
                source=source,
                bad=bad,
                counted=counted,
                journal=self.journal,
                facts=facts,
                before=before,
                speed=self.speed,
                again=(ItemState.REJECTED,) if self.failed else (),
                named=self.source,
            )
            undertaking.announce(session.out)
            undertaking.ask(yes=self.yes, json=session.out.json)
            with refusals():
                journal.describe(**facts.run)
            return undertaking.carry_out(session, journal)

    def _opened(self, said: Facts, bad: BadLines) -> Source:
        path = self.source or said.source
        again = f"thredfi bulk resume {self.journal} FILE"
        if path is None:
            raise refused(f"{self.journal} was not begun with a file, so there is nothing to read again.")
        if self.source is None and path == STDIN:
            sentence = "The source of this run was stdin, which cannot be read again."
            raise refused(sentence, advice=f"name a file with the same bytes: {again}")
        if self.source is None and not Path(path).exists():
            raise refused(f"{path}, the source of this run, is gone.", advice=f"say where it is now: {again}")
        return open_source(
            path,
            business_id=said.business_id,
            format=said.format,
            partial=said.partial,
            rejected=said.rejected,
            on_bad_line=bad,
        )

    def _is_left(self, before: dict[str, int]) -> bool:
        wanted = {"pending", "failed", "unknown", *(["rejected"] if self.failed else [])}
        return any(count for state, count in before.items() if state in wanted)

    def _nothing_left(self, said: Facts, before: dict[str, int]) -> Ending:
        commands = commands_of(self.connection, self.journal, said, source=self.source)
        return Ending(states=before, commands=commands, bad=bad_lines_of(self.journal))
