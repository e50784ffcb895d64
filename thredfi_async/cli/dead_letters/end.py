"""`dead-letters redrive` and `discard`."""

import asyncio
import sys
import time
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from typing import Any

import typer
from rich.console import Group
from rich.text import Text

from thredfi_async.cli.bulk.nats import Nats, broker_preflight_errors
from thredfi_async.cli.bulk.preflight_errors import preflight_error
from thredfi_async.cli.bulk.summary import conclude
from thredfi_async.cli.exit_codes import ExitCode
from thredfi_async.cli.formatting import plural
from thredfi_async.cli.output import tell
from thredfi_async.cli.progress.display import display
from thredfi_async.cli.progress.follow import Followed, follow
from thredfi_async.cli.progress.rate import Progress
from thredfi_async.cli.session import Session
from thredfi_async.worker.dead_letters import DeadLetters, Ended, StoredLetter, dead_letters

_WORDS = {
    Ended.REDRIVEN: "put into the queue again",
    Ended.REDRIVEN_BEFORE: "in the queue already, from another redrive",
    Ended.LEFT: "kept, which another redrive put into the queue, and which left it: workers are done with it, unless "
    "it was purged; discard it, or give --again",
    Ended.DISCARDED: "deleted",
    Ended.CUT: "kept, without all of the original message: publish the command again from its source",
    Ended.TOO_LARGE: "kept, larger than the queue takes",
    Ended.UNREADABLE: "kept, which cannot be read",
}
_KEPT = frozenset({Ended.LEFT, Ended.CUT, Ended.TOO_LARGE, Ended.UNREADABLE})


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which dead letters are meant.

    Args:
        numbers: By their ids.
        code: By the reason; None for whatever reason.
    """

    numbers: Collection[int] = ()
    code: str | None = None

    def __call__(self, stored: StoredLetter) -> bool:
        """Return whether this is one of them."""
        if self.numbers:
            return stored.number in self.numbers
        return self.code is None or (stored.letter is not None and stored.letter.code == self.code)

    def __str__(self) -> str:
        """Return which ones, in words."""
        if self.numbers:
            return plural(len(self.numbers), "dead letter")
        return "all dead letters" if self.code is None else f"all dead letters with the code {self.code}"


def chosen(numbers: list[int] | None, *, code: str | None, every: bool) -> Choice:
    """Return which dead letters the arguments mean.

    Raises:
        typer.BadParameter: They mean none, or contradict each other.
    """
    if (bool(numbers), code is not None, every).count(True) != 1:
        raise typer.BadParameter("give ids, --code or --all, and one of these alone", param_hint="--all")
    return Choice(numbers=frozenset(numbers or ()), code=code)


@dataclass(frozen=True, kw_only=True)
class Redrive:
    """The job of `thredfi dead-letters redrive`.

    Args:
        nats: Where the queue is.
        choice: Which ones.
        again: Whether those too that another redrive put there.
    """

    nats: Nats
    choice: Choice
    again: bool = False

    def __call__(self, session: Session) -> int:
        """Put them into the queue again."""

        def redrive(letters: DeadLetters) -> Coroutine[Any, Any, None]:
            return letters.redrive(self.choice, numbers=self.choice.numbers, again=self.again)

        return _carry_out(session, self.nats, self.choice, redrive, title="Redriving")


@dataclass(frozen=True, kw_only=True)
class Discard:
    """The job of `thredfi dead-letters discard`.

    Args:
        nats: Where the queue is.
        choice: Which ones.
        yes: Whether the question is answered before it is asked.
    """

    nats: Nats
    choice: Choice
    yes: bool = False

    def __call__(self, session: Session) -> int:
        """Ask, and delete them."""
        if not self.yes:
            is_a_person = all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))
            if session.out.json or not is_a_person:
                sentence = f"This needs a yes, and there is no one to ask: it would delete {self.choice}."
                raise preflight_error(sentence, advice="look at them with `thredfi dead-letters list`, then add --yes")
            if not typer.confirm(f"Delete {self.choice}, with all that they hold?", err=True):
                raise preflight_error("The answer was no, so nothing was deleted.")

        def delete(letters: DeadLetters) -> Coroutine[Any, Any, None]:
            return letters.discard(self.choice, numbers=self.choice.numbers)

        return _carry_out(session, self.nats, self.choice, delete, title="Deleting")


def _carry_out(
    session: Session,
    nats: Nats,
    choice: Choice,
    work_on: Callable[[DeadLetters], Coroutine[Any, Any, None]],
    *,
    title: str,
) -> int:
    settings, config = nats.settings(), nats.stream_config()
    session.known.begins_many()
    began, found = time.monotonic(), list[DeadLetters]()

    def look() -> Progress:
        letters = found[0]
        ended = {each.value: count for each, count in letters.ended.items()}
        return Progress(
            title=title,
            elapsed=time.monotonic() - began,
            done=sum(ended.values()),
            notes=tuple(f"WAITING: {trouble}" for trouble in letters.troubles),
            facts={**ended, "troubles": letters.troubles},
            warning=bool(letters.troubles),
        )

    async def work() -> Followed:
        async with dead_letters(settings, config) as letters:
            found.append(letters)
            return await follow(
                work_on(letters),
                look=look,
                drain=letters.drain,
                draining="nothing new is begun, and what is in flight ends",
                display=display(session.out, logs=session.logs),
            )

    with broker_preflight_errors():
        try:
            followed = asyncio.run(work())
        except BaseException:
            if found and found[0].ended:
                tell(f"{plural(found[0].ended.total(), 'dead letter')} done. Running the same again is safe.")
            raise
    result = Result(letters=found[0], followed=followed, choice=choice, next=nats.repeated("worker"))
    return conclude(result, session.out, unheard=followed.unheard)


@dataclass(frozen=True, kw_only=True)
class Result:
    """How it ended.

    Args:
        letters: What became of each.
        followed: Whether anything ended it early.
        choice: Which ones were meant.
        next: The command that archives what was redriven.
    """

    letters: DeadLetters
    followed: Followed
    choice: Choice
    next: str

    @property
    def exit_code(self) -> ExitCode:
        """The exit code: what was asked for and could not be done is a failure."""
        if self.followed.interrupted:
            return ExitCode.INTERRUPTED
        ended = self.letters.ended
        is_missing = bool(self.choice.numbers) and ended.total() < len(self.choice.numbers)
        return ExitCode.REFUSED if is_missing or _KEPT & ended.keys() else ExitCode.DONE

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        counts = {each.value: self.letters.ended[each] for each in Ended}
        return {"exit_code": int(self.exit_code), "interrupted": self.followed.interrupted, **counts}

    def as_text(self) -> Group:
        """Return it for people."""
        ended = self.letters.ended
        lines = [Text(f"{plural(ended[each], 'dead letter')} {_WORDS[each]}.") for each in Ended if ended[each]]
        if not ended and not self.followed.interrupted:
            lines.append(Text("No dead letter is one of these.", style="bold yellow"))
        elif self.choice.numbers and ended.total() < len(self.choice.numbers) and not self.followed.interrupted:
            lines.append(Text(f"{len(self.choice.numbers) - ended.total():,} of the ids: no such dead letter."))
        if self.followed.interrupted:
            lines.append(Text("Interrupted. Running the same again is safe.", style="bold yellow"))
        if ended[Ended.REDRIVEN] + ended[Ended.REDRIVEN_BEFORE]:
            lines.append(Text.assemble(("Archive them with: ", "bold"), self.next))
        return Group(*lines)
