"""Reports the figures: text for the terminal, a page and a plot for the documentation, JSON for machines."""

import json
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from rounds import Ratio
from settings import Section, Settings, Table, Target

from report.plot import plot

_PACKAGES: Final = ("aiohttp", "attrs", "cattrs", "httpx", "msgspec", "pydantic", "tenacity", "uvloop")


def write(folder: Path, sections: Sequence[Section], settings: Settings) -> None:
    """Write the page's tables, the plot and the JSON.

    Args:
        folder: The output folder; created if it is missing.
        sections: The results.
        settings: The settings of the measurement.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page = f"<!-- Written by `nox -s bench`: measure again instead of editing. -->\n\n{as_markdown(sections, settings)}"
    (folder / "results.md").write_text(page, "utf-8")
    (folder / "results.json").write_text(json.dumps(_for_machines(sections, settings), indent=1) + "\n", "utf-8")
    if (drawn := plot(sections)) is not None:
        (folder / "results.svg").write_text(drawn, "utf-8")


def as_markdown(sections: Sequence[Section], settings: Settings) -> str:
    """Return the page: the promises first, then every section's tables."""
    targets = [target for section in sections for target in section.targets]
    parts = [_where(settings)]
    if targets:
        parts.append("## What is promised")
        parts.append(_table(Table("", ["promise", "measured", "at most", "holds"], [_row(each) for each in targets])))
    for section in sections:
        parts.append(f"## {section.title}")
        parts.append("\n".join(section.text))
        for table in section.tables:
            parts.extend((f"{table.caption}:", _table(table)))
        parts.extend(f"Not measured: {name}, because {why}." for name, why in section.missing.items())
    return "\n\n".join(parts) + "\n"


def _where(settings: Settings) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in _versions().items())
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d} with Python {platform.python_version()} on {platform.system()} "
        f"{platform.machine()}, in {settings.rounds} rounds.\nThe packages: {versions}."
    )


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # scenarios that need it report it as missing
    return found


def _row(target: Target) -> list[str]:
    unit = f" {target.unit}" if target.unit else ""
    return [target.promise, f"{target.figure}{unit}", f"{target.bound:.2f}{unit}", "yes" if target.holds else "**no**"]


def _table(table: Table) -> str:
    lines = [table.head, ["---", *["---:"] * (len(table.head) - 1)], *table.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _for_machines(sections: Sequence[Section], settings: Settings) -> dict[str, Any]:
    return {
        "rounds": settings.rounds,
        "python": platform.python_version(),
        "packages": _versions(),
        "targets": [
            {"promise": each.promise, "bound": each.bound, "holds": each.holds, **_plain(each.figure)}
            for section in sections
            for each in section.targets
        ],
        "figures": {
            section.title: {name: _plain(ratio) for name, ratio in section.data.items()} for section in sections
        },
        "missing": {name: why for section in sections for name, why in section.missing.items()},
    }


def _plain(ratio: Ratio) -> dict[str, float]:
    return {"median": round(ratio.median, 4), "low": round(ratio.low, 4), "high": round(ratio.high, 4)}
