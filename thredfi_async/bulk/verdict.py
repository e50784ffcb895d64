"""How a bulk run stands: what is said of it, in which colour, with which exit code, and what to do next.

Everything that shows a run reads this one decision: the summary on the screen and its exit code, `--json`, `status`,
`settle`, `report`, the line about the CSV file, and the page. It is about every line of the source: customers by
outcome, lines that were never started, and lines that are no customers.
"""

import enum
from collections.abc import Mapping
from typing import Any, Final, Literal

import attrs

from thredfi_async.bulk.line_counts import Counts

Colour = Literal["green", "yellow", "red", "cyan"]


class Outcome(enum.StrEnum):
    """How a run stands, in one word for programs."""

    ARCHIVED = "archived"
    """At its end: every customer of the source is archived, and there is at least one."""
    EMPTY = "empty"
    """At its end: the source lists no customer."""
    NOT_ARCHIVED = "not_archived"
    """At its end: some customers were rejected or have failed, or lines of the source are invalid."""
    UNKNOWN = "unknown"
    """At its end: whether some customers are archived is unknown."""
    RUNNING = "running"
    """It is running."""
    INTERRUPTED = "interrupted"
    """A signal, or the program that ran it, ended it before its end."""
    STOPPED = "stopped"
    """It stopped by itself before its end, for a reason."""
    UNFINISHED = "unfinished"
    """It is not at its end, and does not run: it was killed, or its customers are still in a queue."""


class Step(enum.StrEnum):
    """What to do next; the text says what for, and is followed by a command where there is one."""

    RESUME = "go on with"
    RETRY = "retry what is unknown or failed with"
    RERUN = "run the program that began this run again, with the same journal"
    PAGE = "see the whole run in a browser with"
    REPORT = "see who was rejected, and why, with"
    RESEND = "when that is fixed, send them again with"
    FIX_LINES = "fix the invalid lines in their copy, then run that file with"
    SEE_LINES = "see the invalid lines with"
    FIX_SOURCE = "fix the invalid lines in the source, then run it with a journal of its own"
    COLLECT = "collect the outcomes with"
    PUBLISH = "publish what is left with"
    PUBLISH_LOST = "publish again what the queue has lost with"


class Origin(enum.StrEnum):
    """Where a run's customers come from, which decides how it goes on."""

    FILE = "file"
    STDIN = "stdin"
    QUEUE = "queue"
    """A file that was published to a queue, from which workers take it."""
    PROGRAM = "program"
    """A Python program: only that can go on."""


_EXIT_CODES: Final[Mapping[Outcome, int | None]] = {
    Outcome.ARCHIVED: 0,
    Outcome.EMPTY: 1,
    Outcome.NOT_ARCHIVED: 1,
    Outcome.UNKNOWN: 3,
    Outcome.RUNNING: None,
    Outcome.INTERRUPTED: 130,
    Outcome.STOPPED: 4,
    Outcome.UNFINISHED: 4,
}
_COLOURS: Final[Mapping[Outcome, Colour]] = {
    Outcome.ARCHIVED: "green",
    Outcome.EMPTY: "yellow",
    Outcome.NOT_ARCHIVED: "yellow",
    Outcome.UNKNOWN: "yellow",
    Outcome.RUNNING: "cyan",
    Outcome.INTERRUPTED: "yellow",
    Outcome.STOPPED: "red",
    Outcome.UNFINISHED: "yellow",
}
_AT_ITS_END: Final = frozenset({Outcome.ARCHIVED, Outcome.EMPTY, Outcome.NOT_ARCHIVED, Outcome.UNKNOWN})


@attrs.frozen(kw_only=True)
class Verdict:
    """How a run stands; made by `verdict`.

    Args:
        outcome: It, in one word.
        counts: The lines of the source.
        sentence: It, for people.
        steps: What to do next, the most urgent first.
    """

    outcome: Outcome
    counts: Counts
    sentence: str
    steps: tuple[Step, ...]

    @property
    def colour(self) -> Colour:
        """The sentence's colour; green only if every customer of the source is archived."""
        return _COLOURS[self.outcome]

    @property
    def exit_code(self) -> int | None:
        """The exit code of a command that ends like this; None while the run is running."""
        return _EXIT_CODES[self.outcome]

    @property
    def complete(self) -> bool:
        """Whether the source was read to its end, and everything in it has an outcome."""
        return self.outcome in _AT_ITS_END

    @property
    def resumable(self) -> bool:
        """Whether `thredfi bulk resume` has anything to do."""
        return Step.RESUME in self.steps or Step.RETRY in self.steps

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        counts = self.counts
        return {
            "outcome": self.outcome.value,
            "sentence": self.sentence,
            "colour": self.colour,
            "exit_code": self.exit_code,
            "complete": self.complete,
            "resumable": self.resumable,
            "remedy": self.steps[0].name.lower() if self.steps else None,
            "states": counts.states,
            "not_started": counts.not_started,
            "invalid_lines": counts.invalid_lines,
            "duplicates": counts.duplicates,
        }


def verdict(  # noqa: PLR0913 - the counts, and six facts about the run by name
    counts: Counts,
    *,
    read: bool = True,
    running: bool = False,
    interrupted: bool = False,
    stopped: str | None = None,
    origin: Origin = Origin.FILE,
    resumable: bool = True,
    copied: bool = False,
    queue_is_empty: bool = False,
) -> Verdict:
    """Decide how a run stands.

    Args:
        counts: Every line of the source.
        read: Whether the source was read to its end.
        running: Whether the run is running.
        interrupted: Whether a signal, or the program, ended it.
        stopped: Why it stopped by itself, as a sentence, if it did.
        origin: Where the customers come from.
        resumable: Whether it can go on at all.
        copied: Whether there is a file of the invalid lines.
        queue_is_empty: Whether the queue is known to hold nothing of the run any more.

    Returns:
        The verdict.
    """
    outcome = _outcome(counts, read=read, running=running, interrupted=interrupted, stopped=stopped)
    steps: tuple[Step, ...] = ()
    if resumable and outcome is not Outcome.RUNNING:
        if origin is Origin.QUEUE:
            steps = _steps_of_queue(counts, read=read, copied=copied, queue_is_empty=queue_is_empty)
        else:
            steps = _steps(counts, outcome, origin, copied=copied)
    left = counts.left
    if not read and counts.not_started == 0:
        rest = "outcomes not collected yet" if origin is Origin.QUEUE else "the source not read to its end"
        left = ", ".join(filter(None, (left, rest)))
    return Verdict(outcome=outcome, counts=counts, sentence=_sentence(outcome, left, stopped), steps=steps)


def _outcome(counts: Counts, *, read: bool, running: bool, interrupted: bool, stopped: str | None) -> Outcome:
    if running:
        return Outcome.RUNNING
    if stopped is not None:
        return Outcome.STOPPED
    # What is still open counts before what has failed for good; a signal after the last item does not count.
    if not read or counts.pending or counts.not_started != 0:
        return Outcome.INTERRUPTED if interrupted else Outcome.UNFINISHED
    if counts.unknown:
        return Outcome.UNKNOWN
    if counts.rejected or counts.failed or counts.invalid_lines:
        return Outcome.NOT_ARCHIVED
    return Outcome.ARCHIVED if counts.successes else Outcome.EMPTY


def _sentence(outcome: Outcome, left: str, stopped: str | None) -> str:
    match outcome:
        case Outcome.ARCHIVED:
            return "Done: every customer is archived."
        case Outcome.EMPTY:
            return "Done, and the source lists no customer."
        case Outcome.NOT_ARCHIVED:
            return f"Done, and not everything is archived: {left}."
        case Outcome.UNKNOWN:
            return f"Done, and some outcomes are unknown: {left}."
        case Outcome.STOPPED:
            return f"Stopped: {(stopped or '').rstrip('.')}." + (f" Left: {left}." if left else "")
        case _:
            head = {Outcome.RUNNING: "Running", Outcome.INTERRUPTED: "Interrupted"}.get(outcome, "Not finished")
            return f"{head}; left: {left}." if left else f"{head}."


def _steps(counts: Counts, outcome: Outcome, origin: Origin, *, copied: bool) -> tuple[Step, ...]:
    by_program = origin is Origin.PROGRAM
    if outcome not in _AT_ITS_END:
        return (Step.RERUN if by_program else Step.RESUME,)
    steps: list[Step] = []
    if counts.unknown or counts.failed:
        steps.append(Step.RERUN if by_program else Step.RETRY)
    if counts.rejected:
        steps.append(Step.REPORT)
        if not by_program:
            steps.append(Step.RESEND)
    return (*steps, *_steps_of_invalid_lines(counts, copied=copied))


def _steps_of_queue(counts: Counts, *, read: bool, copied: bool, queue_is_empty: bool) -> tuple[Step, ...]:
    steps: list[Step] = []
    if counts.not_started != 0:
        steps.append(Step.PUBLISH)
    if counts.pending and queue_is_empty:
        steps.append(Step.PUBLISH_LOST)
    elif counts.pending or (not read and not steps):
        steps.append(Step.COLLECT)
    if (counts.failed or counts.unknown) and not steps:
        # The workers gave these up; the same command publishes them again.
        steps.append(Step.PUBLISH)
    if counts.rejected:
        steps.append(Step.REPORT)
    return (*steps, *_steps_of_invalid_lines(counts, copied=copied))


def _steps_of_invalid_lines(counts: Counts, *, copied: bool) -> tuple[Step, ...]:
    if not counts.invalid_lines:
        return ()
    return (Step.FIX_LINES if copied else Step.SEE_LINES,)
