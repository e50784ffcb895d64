"""How a run ended: the exit code, the message, and the commands to go on with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Group
from rich.text import Text

from thredfi_async.cli.bulk.formatting import duration, outcomes, plural
from thredfi_async.cli.exit_codes import ExitCode


@dataclass(frozen=True, kw_only=True)
class Next:
    """A command to go on with.

    Args:
        why: What it is for.
        command: The line to paste.
    """

    why: str
    command: str


@dataclass(frozen=True, kw_only=True)
class Commands:
    """The lines to paste, each as this run's journal and host need them.

    Args:
        resume: Goes on.
        report: Writes who is not archived, and why.
        again: Sends the rejected ones again.
        bad: Shows the invalid lines, or archives the file of invalid lines once they are fixed.
    """

    resume: str
    report: str
    again: str
    bad: Next


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a run ended.

    Args:
        states: Items by outcome, over all runs on the journal; `pending` are those without one.
        commands: The lines to paste.
        bad: Lines that are no items.
        duplicates: Items that are listed more than once.
        elapsed: Seconds that this process took, or None where it sent nothing.
        interrupted: The signal that ended it, if one did.
        at_once: Whether a second one cut off what was in flight.
        stopped: Why it stopped by itself before its end, if it did.
        resumable: Whether it can go on from there.
        unread: Whether the source was not read to its end.
    """

    states: Mapping[str, int]
    commands: Commands
    bad: int = 0
    duplicates: int = 0
    elapsed: float | None = None
    interrupted: str | None = None
    at_once: bool = False
    stopped: str | None = None
    resumable: bool = True
    unread: bool = False

    @property
    def exit_code(self) -> ExitCode:
        """The exit code: what is still open counts before what has failed for good."""
        if self._is_early:
            return ExitCode.INTERRUPTED if self.interrupted is not None else ExitCode.STOPPED
        if self._of("unknown"):
            return ExitCode.UNKNOWN
        return ExitCode.REFUSED if self._of("rejected") + self._of("failed") + self.bad else ExitCode.DONE

    @property
    def next(self) -> list[Next]:
        """The commands to go on with, the most urgent one first."""
        if self._is_early:
            return [Next(why="go on with", command=self.commands.resume)] if self.resumable else []
        found: list[Next] = []
        if self._of("unknown") + self._of("failed"):
            found.append(Next(why="retry what is unknown or failed with", command=self.commands.resume))
        if self._of("rejected"):
            found.append(Next(why="see who was rejected, and why, with", command=self.commands.report))
            found.append(Next(why="when that is fixed, send them again with", command=self.commands.again))
        if self.bad:
            found.append(self.commands.bad)
        return found

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "exit_code": int(self.exit_code),
            "states": dict(self.states),
            "invalid_lines": self.bad,
            "duplicates": self.duplicates,
            "elapsed": None if self.elapsed is None else round(self.elapsed, 3),
            "interrupted": self.interrupted,
            "stopped": self.stopped,
            "resumable": self.resumable,
            "complete": not self._is_early,
            "next": [{"why": each.why, "command": each.command} for each in self.next],
        }

    def as_text(self) -> Group:
        """Return it for people."""
        lines = [self._headline(), Text(f"  {outcomes(self.states)}{self._rate()}")]
        if self._of("pending") or self.unread:
            lines.append(Text(f"  {self._open()}"))
        if self.bad:
            lines.append(Text(f"  {plural(self.bad, 'invalid line')}, left out"))
        if self.duplicates:
            lines.append(Text(f"  {plural(self.duplicates, 'repeated line')}; each customer was sent once"))
        return Group(*lines, *self.steps_as_text())

    def steps_as_text(self) -> list[Text]:
        """Return the commands to go on with, for people."""
        return [Text.assemble((f"{each.why[0].upper()}{each.why[1:]}: ", "bold"), each.command) for each in self.next]

    @property
    def _is_early(self) -> bool:
        early = bool(self._of("pending")) or self.unread
        return self.stopped is not None or (early and self.interrupted is not None) or early

    def _of(self, state: str) -> int:
        return self.states.get(state, 0)

    def _headline(self) -> Text:
        if self.stopped is not None:
            words, style = f"Stopped: {self.stopped}", "bold red"
        elif self._is_early:
            ended = "customers whose requests were cut off are asked about when it is resumed"
            words = f"Interrupted; {ended if self.at_once else 'what was in flight has ended'}."
            style = "bold yellow"
        elif self.exit_code is ExitCode.DONE:
            words, style = "Done: every customer is archived.", "bold green"
        elif self.exit_code is ExitCode.UNKNOWN:
            words, style = "At its end, and some outcomes are unknown.", "bold yellow"
        else:
            words, style = "At its end, and not everything is archived.", "bold yellow"
        return Text(words, style=style)

    def _rate(self) -> str:
        if self.elapsed is None:
            return ""
        return f"; in {duration(self.elapsed)}"

    def _open(self) -> str:
        count = self._of("pending")
        open_ = f"{count:,} not yet started" if count else ""
        return ", ".join(filter(None, (open_, "the source was not read to its end" if self.unread else "")))
