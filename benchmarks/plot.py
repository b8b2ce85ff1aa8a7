"""The plot of the results, as SVG that is the same for the same results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from benchmarks.report import Ratio, Result

__all__ = ["plot"]

_ROW, _LABEL, _WIDTH, _GAP, _TOP = 22, 250, 300, 60, 64  # px
_STYLE = """
    text { font: 12px system-ui, sans-serif; fill: #57606a; }
    .title { font-weight: 600; }
    .line { stroke: #8c959f; stroke-width: 1; }
    .grid { stroke: #8c959f; stroke-opacity: .25; }
    .met { fill: #2da44e; stroke: #2da44e; }
    .missed { fill: #cf222e; stroke: #cf222e; }
    .free { fill: #57606a; stroke: #57606a; }
    .target { stroke: #57606a; stroke-width: 2; }
"""


def plot(results: Sequence[Result]) -> str:
    """Two panels: how many times as fast as mad-prefect 2.3.0, and how many times what the floor takes."""
    bottom = _TOP + _ROW * len(results)
    panels = [
        _panel(_LABEL, "times as fast as 2.3.0", [(r.against_old, r.case.targets.old, True) for r in results], bottom),
        _panel(
            _LABEL + _WIDTH + _GAP,
            "times what the floor takes",
            [(r.against_floor, r.case.targets.floor, False) for r in results],
            bottom,
        ),
    ]
    labels = [
        f'<text x="{_LABEL - 12}" y="{_middle(row) + 4}" text-anchor="end">{escape(result.case.id)}</text>'
        for row, result in enumerate(results)
    ]
    width, height = _LABEL + 2 * _WIDTH + _GAP + 20, bottom + 40
    note = f'<text x="{_LABEL}" y="{height - 8}">dot: median · line: least to most · bar: target</text>'
    parts = "\n".join([f"<style>{_STYLE}</style>", *labels, *panels, note])
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">\n{parts}\n</svg>\n'


def _middle(row: int) -> int:
    return _TOP + _ROW * row + _ROW // 2


def _panel(left: int, title: str, rows: Sequence[tuple[Ratio | None, float | None, bool]], bottom: int) -> str:
    """A column of dots on a logarithmic scale. A row has its ratio, its target, and whether more is better."""
    values = [1.0, *(v for ratio, _, _ in rows if ratio for v in (ratio.least, ratio.most))]
    values += [target for _, target, _ in rows if target]
    low, high = math.log2(min(values)) - 0.25, math.log2(max(values)) + 0.25

    def at(value: float) -> float:
        return round(left + _WIDTH * (math.log2(value) - low) / (high - low), 1)

    parts = [f'<text class="title" x="{left}" y="20">{title}</text>']
    for power in range(math.ceil(low), math.floor(high) + 1):
        x = at(2.0**power)
        kind = "line" if power == 0 else "grid"
        parts.append(f'<line class="{kind}" x1="{x}" y1="{_TOP}" x2="{x}" y2="{bottom}"/>')
        parts.append(f'<text x="{x}" y="{_TOP - 8}" text-anchor="middle">{2.0**power:g}</text>')
    for row, (ratio, target, more) in enumerate(rows):
        y = _middle(row)
        if target:
            x = at(target)
            parts.append(f'<line class="target" x1="{x}" y1="{y - 8}" x2="{x}" y2="{y + 8}"/>')
        if ratio:
            kind = "free" if target is None else "met" if (ratio.median >= target) == more else "missed"
            parts.append(f'<line class="{kind}" x1="{at(ratio.least)}" y1="{y}" x2="{at(ratio.most)}" y2="{y}"/>')
            parts.append(f'<circle class="{kind}" cx="{at(ratio.median)}" cy="{y}" r="4"/>')
    return "\n".join(parts)
