"""How a run ended, on stdout: the verdict, the figures, and the commands that lead on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from rich.console import Group
from rich.text import Text

from thredfi_async.bulk.verdict import Verdict
from thredfi_async.cli.bulk.commands import Next
from thredfi_async.cli.exit_codes import ExitCode
from thredfi_async.cli.formatting import duration, outcomes, plural
from thredfi_async.cli.output import Output, OutputError, ReaderGoneError, abandon_stdout, tell
from thredfi_async.cli.progress.display import event


class Ended(Protocol):
    """How a command of many customers ended."""

    @property
    def exit_code(self) -> int:
        """Its exit code."""
        ...

    def as_json(self) -> Mapping[str, Any]:
        """Return it for machines."""
        ...

    def as_text(self) -> Group:
        """Return it for people."""
        ...


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """How a run ended.

    Args:
        verdict: How it stands.
        next: The commands that lead on.
        elapsed: Seconds that this process took, or None where it sent nothing.
        now: Customers that got their outcome in this process, or None where it sent nothing.
        interrupted: The signal that ended it, if one did.
        at_once: Whether a second one cut off what was in flight.
        stopped: Why it stopped by itself, if it did.
        limit: What was found out about the API's limit, in words; None if nothing was.
        requests: The requests that this process sent, and those that repeated one before; empty where it sent none.
    """

    verdict: Verdict
    next: Sequence[Next]
    elapsed: float | None = None
    now: int | None = None
    interrupted: str | None = None
    at_once: bool = False
    stopped: str | None = None
    limit: str | None = None
    requests: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def exit_code(self) -> int:
        """The exit code."""
        return ExitCode.STOPPED if self.verdict.exit_code is None else self.verdict.exit_code

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            **self.verdict.as_json(),
            "elapsed": None if self.elapsed is None else round(self.elapsed, 3),
            "done_now": self.now,
            **self.requests,
            "limit": self.limit,
            "interrupted": self.interrupted,
            "stopped": self.stopped,
            "next": [each.as_json() for each in self.next if not each.is_offer],
        }

    def as_text(self) -> Group:
        """Return it for people."""
        lines = [headline(self.verdict), Text(f"  {outcomes(self.verdict.counts.states)}{self._time()}")]
        if self.interrupted is not None and not self.verdict.complete:
            cut = "customers whose requests were cut off are asked about when it is resumed"
            lines.append(Text(f"  {cut if self.at_once else 'what was in flight has ended'}"))
        if self.limit is not None:
            lines.append(Text(f"  {self.limit}"))
        return Group(*lines, *figures(self.verdict), *steps(self.next))

    def _time(self) -> str:
        if self.elapsed is None or self.now is None:
            return ""
        now = f"{self.now:,} of them now, " if self.now else "no new outcome, "
        now = "" if self.now == self.verdict.counts.started else now
        return f"; {now}in {duration(self.elapsed)}"


def headline(verdict: Verdict) -> Text:
    """Return the verdict's sentence in its colour."""
    return Text(verdict.sentence, style=f"bold {verdict.colour}")


def figures(verdict: Verdict) -> list[Text]:
    """Return the lines of the source that are no customers of their own, for people."""
    counts, lines = verdict.counts, list[Text]()
    if counts.invalid_lines:
        lines.append(Text(f"  {plural(counts.invalid_lines, 'invalid line')}, left out"))
    if counts.duplicates:
        lines.append(Text(f"  {plural(counts.duplicates, 'repeated line')}; each customer was sent once"))
    return lines


def steps(next_: Sequence[Next]) -> list[Text]:
    """Return the commands that lead on, for people."""
    return [
        Text.assemble((why, "bold"), colon, rest) for each in next_ for why, colon, rest in (str(each).partition(": "),)
    ]


def conclude(ended: Ended, out: Output, *, unheard: OutputError | ReaderGoneError | None = None) -> int:
    """Write how a run ended: to stdout, or to stderr if that cannot be written.

    Args:
        ended: How it did.
        out: Stdout.
        unheard: Why stdout cannot be written, if that is known already.

    Returns:
        The exit code: that of the run's outcomes, even if they cannot be written.
    """
    if unheard is None:
        try:
            if out.json:
                event(out, "summary", **ended.as_json())
            else:
                out.show(ended.as_text(), wrap=False)
        except (OutputError, ReaderGoneError) as error:
            unheard = error
    if unheard is not None:
        abandon_stdout()
        why = str(unheard) or "its reader has closed it"
        tell(f"The output cannot be written: {why}.", ended.as_text())
    return ended.exit_code
