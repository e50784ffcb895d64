"""How the run of a journal stands: the one way from a journal to a verdict, for everything that shows one."""

import os
from collections.abc import Mapping

from thredfi_async.bulk.journal import JournalView
from thredfi_async.bulk.journal.ends import is_interruption, stop_of
from thredfi_async.bulk.journal.facts import CHECKED, CHECKED_INVALID, INVALID_LINES, ITEMS, number_in, path_of
from thredfi_async.bulk.line_counts import Counts
from thredfi_async.bulk.verdict import Origin, Verdict, verdict


def verdict_in(view: JournalView, *, running: bool | None = None, stopped: str | None = None) -> Verdict:
    """Decide how the run of a journal stands.

    Args:
        view: The journal.
        running: Whether its run is running; by default, whether a process has the journal open for writing.
        stopped: Why it stopped by itself, where the journal could not be told.

    Returns:
        The verdict.

    Raises:
        JournalError: The journal cannot be read.
    """
    # Asked first: a run that ends in between has written its end by then.
    running = view.is_being_written if running is None else running
    invalid_lines = sum(1 for _ in view.invalid_lines())
    return verdict_of(view.run, view.totals(), invalid_lines=invalid_lines, running=running, stopped=stopped)


def verdict_of(
    run: Mapping[str, str],
    totals: Mapping[str, int],
    *,
    invalid_lines: int,
    running: bool = False,
    stopped: str | None = None,
) -> Verdict:
    """Decide how a run stands, from what its journal says.

    Args:
        run: The journal's facts about the run.
        totals: Its items by state.
        invalid_lines: Its invalid lines.
        running: Whether a process has it open for writing.
        stopped: Why it stopped by itself, where the journal could not be told.

    Returns:
        The verdict.
    """
    why, finished = run.get("stopped_reason"), bool(run.get("finished_at"))
    # Over a queue, publishing reads the source; who only collects has none.
    collected = bool(run.get("queue")) and "queue_listed" not in run
    ended = bool(run.get("published_at")) if run.get("queue") and not collected else finished
    # What the journal had at the run's end, and has lost since, counts as never done.
    had = {name: (number_in(run, name) or 0) if finished else 0 for name in (ITEMS, INVALID_LINES)}
    lines, foreseen = number_in(run, "source_records"), number_in(run, CHECKED_INVALID) or 0
    counts = Counts.of(
        totals,
        read=ended or collected,
        lines=None if lines is None else lines - max(foreseen - invalid_lines, 0),
        items=had[ITEMS],
        invalid_lines=max(invalid_lines, had[INVALID_LINES]),
        duplicates=number_in(run, "duplicates") or 0,
    )
    copy = path_of(run.get("invalid_lines_path"))
    return verdict(
        counts,
        read=ended or (counts.not_started == 0 and run.get(CHECKED) == "1"),
        running=running and not finished and why is None and stopped is None,
        interrupted=is_interruption(why),
        stopped=stopped or stop_of(why),
        origin=origin_of(run),
        copied=copy is not None and os.path.exists(copy),  # noqa: PTH110 - of any name, also one that cannot be
        queue_is_empty=run.get("queue_is_empty") == "1",
    )


def origin_of(run: Mapping[str, str]) -> Origin:
    """Return where a run's customers come from, from its journal's facts."""
    if run.get("queue"):
        return Origin.QUEUE
    path = run.get("source_path")
    return Origin.PROGRAM if not path else Origin.STDIN if path == "-" else Origin.FILE
