"""Writes the report as one HTML page that needs no network and no other file."""

import base64
import datetime as dt
import hashlib
from collections.abc import Iterator, Mapping
from importlib import resources
from itertools import islice
from typing import Any, Final, TextIO

import attrs

from thredfi_async import ConfigurationError
from thredfi_async._checks.text import printable
from thredfi_async._extras import how_to_install
from thredfi_async._jobs.states import ItemState
from thredfi_async.bulk.journal import JournalView
from thredfi_async.bulk.line_counts import STATES
from thredfi_async.bulk.report import charts
from thredfi_async.bulk.report.not_archived import timestamp
from thredfi_async.bulk.report.summary import MEANINGS, Summary, summary
from thredfi_async.bulk.report.timeseries import points_of

MOST_FAILURES: Final = 5000
"""Failures that the page lists; the CSV file has them all."""
MOST_BUSINESSES: Final = 25
MOST_REASONS: Final = 50
MOST_LINES: Final = 200


@attrs.frozen
class Business:
    """A business's outcomes by state."""

    business_id: str
    counts: Mapping[str, int]
    items: int
    open: int


def write_html(view: JournalView, file: TextIO) -> None:
    """Write a run's report as one page.

    Args:
        view: The run's journal.
        file: Where to write; open it as UTF-8.

    Raises:
        ConfigurationError: jinja2 is not installed.
        JournalError: The journal cannot be read.
        OSError: The file cannot be written.
    """
    template = _template()
    file.writelines(template.generate(**_context(view)))


def _template() -> Any:  # noqa: ANN401 - jinja2 is imported on use
    try:
        import jinja2  # noqa: PLC0415 - the extra `report` brings it, and only this page needs it
    except ImportError:
        raise ConfigurationError(f"the page needs the package jinja2: {how_to_install('report')}") from None
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.lstrip_blocks = True
    environment.finalize = _shown
    environment.filters["number"] = lambda value: f"{value:,}"
    environment.filters["timestamp"] = _readable
    return environment.from_string(_asset("page.html"))


def _shown(value: object) -> object:
    """Return a value for the page: every text is printable, wherever it stands, but the page's own parts."""
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _context(view: JournalView) -> dict[str, Any]:
    total = summary(view)
    businesses = _businesses(view)
    style, script = _asset("page.css"), _asset("page.js")
    return {
        "charts": charts.charts_of(points_of(view.samples())),
        "geometry": charts,
        "businesses": businesses[:MOST_BUSINESSES],
        "business_count": len(businesses),
        "failures": islice(view.not_archived(), MOST_FAILURES),
        "shown": min(total.failures, MOST_FAILURES),
        "invalid_lines": list(islice(view.invalid_lines(), MOST_LINES)),
        "journal": view.path,
        "meanings": MEANINGS,
        "names": {state: state.replace("_", " ") for state in STATES},
        "facts": _facts(total),
        "reasons": total.reasons[:MOST_REASONS],
        "script": script,
        "script_hash": _hash(script),
        "states": STATES,
        "style": style,
        "style_hash": _hash(style),
        "total": total,
        "verdict": total.verdict,
        "written_at": dt.datetime.now(dt.UTC).isoformat(sep=" ", timespec="minutes").removesuffix("+00:00"),
    }


def _businesses(view: JournalView) -> list[Business]:
    """Return the businesses, those with the most items that are not archived first."""
    found: list[Business] = []
    for business_id, counts in view.by_business().items():
        items = sum(counts.values())
        done = counts.get(ItemState.ARCHIVED, 0) + counts.get(ItemState.ALREADY_ARCHIVED, 0)
        found.append(Business(str(business_id), {state: counts.get(state, 0) for state in STATES}, items, items - done))
    return sorted(found, key=lambda each: (-each.open, -each.items, each.business_id))


def _facts(total: Summary) -> Iterator[tuple[str, str]]:
    run = total.run
    labels = {
        "source_path": "Input",
        "source_sha256": "SHA-256 of the input",
        "base_url": "API",
        "limit_found": "Limit",
        "created_at": "Begun",
        "finished_at": "Finished",
        "id": "Run",
    }
    for key, label in labels.items():
        if run.get(key):
            yield label, _date(run[key]) if key.endswith("_at") else run[key]
    if run.get("bodies"):
        yield (
            "Data sent",
            "from the input" if run["bodies"] == "source" else "each customer's record as the server has it",
        )
    if total.verdict.counts.duplicates:
        yield "Repeated lines", f"{total.verdict.counts.duplicates:,}"


def _date(text: str) -> str:
    try:
        return f"{dt.datetime.fromisoformat(text).astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"
    except ValueError:
        return text


def _readable(seconds: float | None) -> str:
    return timestamp(seconds).replace("T", " ").removesuffix("+00:00")


def _asset(name: str) -> str:
    return resources.files("thredfi_async.bulk.report").joinpath("assets", name).read_text("utf-8")


def _hash(text: str) -> str:
    """Return the hash of an inline script or style for the page's content security policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
