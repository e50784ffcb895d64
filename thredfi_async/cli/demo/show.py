"""What happened, for people and for machines."""

import sys
from typing import Any, Final

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from thredfi_async.cli.demo.plan import READ_TIMEOUT
from thredfi_async.cli.demo.play import Play
from thredfi_async.mock_server import FaultKind

_AGAIN: Final = "sent again: same key, same bytes"
_FAULTS: Final = {
    FaultKind.THROTTLE: ("429 with Retry-After", "every call waited as long as asked"),
    FaultKind.SERVER_ERROR: ("503", "waited with jitter, sent again"),
    FaultKind.RESET_BEFORE: ("reset before it was read", _AGAIN),
    FaultKind.RESET_AFTER: ("reset after it was applied", _AGAIN),
    FaultKind.TRUNCATED: ("applied, answer cut in half", _AGAIN),
    FaultKind.HANG: ("no answer at all", f"given up after {READ_TIMEOUT:g} s, sent again"),
    FaultKind.LATENCY: ("slow answer", "waited for"),
    FaultKind.EXPIRED_TOKEN: ("401, token expired", "one new token for all, sent again"),
    FaultKind.NOT_JSON: ("200 with a proxy's HTML", "not believed: asked with a GET"),
    FaultKind.WRONG_ID: ("200 about someone else", "not believed: asked with a GET"),
    FaultKind.NULL_FIELDS: ("answer with null fields", "read all the same"),
}


def tables(play: Play) -> list[RenderableType]:
    """Return tables of what happened.

    Args:
        play: What happened.

    Returns:
        The faults, the figures, and the checks.
    """
    return [_faults(play), _figures(play), "", _checks(play)]


def conclusion(play: Play) -> Text:
    """Return in one line how it ended.

    Args:
        play: What happened.

    Returns:
        The line.
    """
    count, total = play.archived, play.customers
    if not play.passed:
        failed = ", ".join(check.name for check in play.checks if not check.passed)
        line = f"{count:,} of {total:,} customers are archived, says the server; what was claimed is not so: {failed}"
        return Text(line, style="bold red")
    return Text(f"All {total:,} customers are archived, says the server itself.", style="bold green")


def as_object(play: Play) -> dict[str, Any]:
    """Return what happened for machines."""
    return {
        "customers": play.customers,
        "seed": play.seed,
        "archived": play.archived,
        "passed": play.passed,
        "seconds": round(play.elapsed, 3),
        "customers_per_second": round(play.customers / play.elapsed, 1),
        **_counts(play),
        "faults": {kind.value: play.thrown[kind] for kind in FaultKind},
        "checks": [{"name": each.name, "passed": each.passed, "sentence": each.sentence} for each in play.checks],
    }


def _counts(play: Play) -> dict[str, int]:
    return {
        "calls": len(play.results),
        "succeeded": play.succeeded,
        "failed": len(play.results) - play.succeeded,
        "requests": play.tally.requests,
        "retries": play.tally.retries,
        "refused_tokens": play.tally.refused,
        "token_refreshes": play.tokens - 1,
        "settled": play.tally.settled,
    }


def _faults(play: Play) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("what the mock server did", no_wrap=True)
    table.add_column("times", justify="right", style="cyan")
    table.add_column("what the client made of it")
    for kind, (what, answer) in _FAULTS.items():
        table.add_row(what, f"{play.thrown[kind]:,}", answer)
    return table


def _figures(play: Play) -> Table:
    counts = _counts(play)
    rows = (
        ("calls", "calls", "all at once, in one asyncio.gather"),
        ("succeeded", "  succeeded", ""),
        ("failed", "  failed", ""),
        ("requests", "attempts", "requests that they sent"),
        ("retries", "  retries", "after a wait"),
        (
            "refused_tokens",
            "  replayed after a 401",
            f"{counts['token_refreshes']} token{'s'[: counts['token_refreshes'] != 1]} fetched for all of them",
        ),
        ("settled", "  settled", "answer no proof, so the server was asked"),
    )
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", style="cyan")
    table.add_column(style="dim")
    for name, label, note in rows:
        table.add_row(label, f"{counts[name]:,}", note)
    rate = play.customers / play.elapsed
    table.add_row("time", f"{play.elapsed:.1f} s", f"{rate:,.0f} customers a second")
    return table


def _checks(play: Play) -> Table:
    fancy = sys.stdout is not None and (sys.stdout.encoding or "").lower().startswith("utf")
    yes, no = ("✓", "✗") if fancy else ("ok", "NO")
    table = Table.grid(padding=(0, 1, 0, 0))
    for check in play.checks:
        table.add_row(Text(yes, "green") if check.passed else Text(no, "bold red"), check.sentence)
    return table
