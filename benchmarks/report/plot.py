"""The plot: CPU per call of every client, as ratios to bare aiohttp, on a logarithmic scale.

Drawn without a library, so that it stays a few kilobytes of text, with colours readable on white and on black.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Final

from rounds import Ratio
from settings import Section

Scale = Callable[[float], float]

_LEFT: Final = 190
_WIDTH: Final = 430
_ROW: Final = 16
_GAP: Final = 14
_COLOURS: Final = ("#8ab4f8", "#4285f4", "#1a56c4")
_INK: Final = "#808080"
_FONT: Final = "font-family='system-ui, sans-serif' font-size='12'"


def plot(sections: Sequence[Section]) -> str | None:
    """Draw the clients on asyncio; None if they were not measured."""
    bars: dict[str, dict[str, Ratio]] = {}
    for section in sections:
        for key, ratio in section.data.items():
            match key.split("/"):
                case ["asyncio", peer, load, "cpu"] if isinstance(ratio, Ratio):
                    bars.setdefault(peer, {})[load] = ratio
                case _:
                    continue
    return _drawn(bars) if bars else None


def _drawn(bars: Mapping[str, Mapping[str, Ratio]]) -> str:
    ratios = [ratio for loads in bars.values() for ratio in loads.values()]
    low, high = math.floor(math.log2(min(r.low for r in ratios))), math.ceil(math.log2(max(r.high for r in ratios)))
    low, high = min(low, -1), max(high, 1)

    def x(value: float) -> float:
        return _LEFT + _WIDTH * (math.log2(value) - low) / (high - low)

    loads = list(next(iter(bars.values())))
    parts = [_legend(loads)]
    y = 44
    for peer in sorted(bars, key=lambda name: bars[name][loads[-1]].median):
        weight = " font-weight='bold'" if peer == "thredfi" else ""
        middle = y + _ROW * len(loads) / 2 + 4
        parts.append(f"<text x='{_LEFT - 10}' y='{middle:.0f}' text-anchor='end'{weight}>{escape(peer)}</text>")
        for index, load in enumerate(loads):
            parts.append(_bar(bars[peer][load], y + index * _ROW, _COLOURS[index % len(_COLOURS)], x))
        y += _ROW * len(loads) + _GAP
    parts.append(_axis(range(low, high + 1), y, x))
    size = f"width='{_LEFT + _WIDTH + 60}' height='{y + 36}' viewBox='0 0 {_LEFT + _WIDTH + 60} {y + 36}'"
    title = "<title>CPU per archive call, as a ratio to a bare aiohttp post (asyncio)</title>"
    return f"<svg xmlns='http://www.w3.org/2000/svg' {size} {_FONT} fill='{_INK}'>{title}{''.join(parts)}</svg>\n"


def _legend(loads: Sequence[str]) -> str:
    parts: list[str] = []
    for index, load in enumerate(loads):
        left = _LEFT + index * 110
        parts.append(f"<rect x='{left}' y='12' width='12' height='12' fill='{_COLOURS[index % len(_COLOURS)]}'/>")
        parts.append(f"<text x='{left + 18}' y='22'>{escape(load)} at once</text>")
    return "".join(parts)


def _bar(ratio: Ratio, y: float, colour: str, x: Scale) -> str:
    # Bars start at the ratio 1, to either side, so that costs below a bare post are visible.
    left, right = sorted((x(1.0), x(ratio.median)))
    middle = y + _ROW / 2
    return (
        f"<rect x='{left:.1f}' y='{y + 1}' width='{max(right - left, 1):.1f}' height='{_ROW - 3}' fill='{colour}'/>"
        f"<path d='M{x(ratio.low):.1f} {middle:.1f}H{x(ratio.high):.1f}' stroke='{_INK}'/>"
        f"<text x='{x(max(ratio.high, 1.0)) + 6:.1f}' y='{middle + 4:.1f}'>{ratio.median:.2f}</text>"
    )


def _axis(powers: range, y: float, x: Scale) -> str:
    parts = [f"<path d='M{x(1.0):.1f} 34V{y}' stroke='{_INK}'/>"]
    for power in powers:
        at = x(2.0**power)
        parts.append(f"<path d='M{at:.1f} {y}v5' stroke='{_INK}'/>")
        parts.append(f"<text x='{at:.1f}' y='{y + 20}' text-anchor='middle'>{2.0**power:g}</text>")
    return "".join(parts)
